/** `bench report`: documents of other benchmarks as one HTML file with plots, which needs nothing else. */
import { InputError } from '../kernels/errors.ts';
import { benchColumns } from '../src/cli/bench.ts';
import { parseArguments } from '../src/cli/command.ts';
import { pageStyle, tableHtml } from '../src/plots/page.ts';
import { barsOf, type BarPlot } from '../src/plots/bars.ts';
import { escapeHtml, svgOf, valueText, type Plot } from '../src/plots/plot.ts';
import { readJsonFile } from '../src/tasks/folder.ts';
import type { Bench, BenchDocument } from './harness.ts';
import { findingOf } from './report.findings.ts';
import { plotsOf } from './report.plots.ts';

const STYLE = `${pageStyle}
body { max-width: 90rem; } h2 { margin-top: 2.5rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(34rem, 100%), 1fr)); gap: 2rem; }
figure { margin: 1rem 0 0; min-width: 0; } svg { width: 100%; height: auto; }
p.finding { color: var(--ink); }
details { margin-top: .5rem; overflow-x: auto; } .fails { color: var(--s1); font-weight: 600; }
`;

/** The numbers of a line plot; bars have theirs written behind them, those of a scatter plot are the document's rows. */
function plotTable({ series, x, y, kind }: Plot): string {
  if (kind === 'scatter') return '';
  const head = [x.label, ...series.map(({ name }) => `${name}, ${y.label}`)];
  const rows = series[0].points.map((p) => [
    valueText(p.x, x),
    ...series.map(({ points }) => {
      const same = points.find((other) => other.x === p.x);
      return same ? valueText(same.y, y) : '';
    }),
  ]);
  return `<details><summary>numbers</summary>${tableHtml([head, ...rows])}</details>`;
}

const figure = (plot: Plot | BarPlot): string =>
  `<figure><figcaption><h3>${escapeHtml(plot.title)}</h3><p>${escapeHtml(plot.caption)}</p></figcaption>
${plot.kind === 'bars' ? barsOf(plot) : svgOf(plot) + plotTable(plot)}</figure>`;

function section(document: BenchDocument): string {
  const { name, device, commit, dirty, date, checks } = document;
  const kind = device.software ? ', a software device: its times say nothing of a GPU' : '';
  const source =
    commit === null ? 'no checkout' : `commit ${commit.slice(0, 10)}${dirty ? ' with changes' : ''}`;
  const verdicts = checks.map(
    ({ claim, holds, measured }) =>
      `<li${holds ? '' : ' class="fails"'}>${holds ? 'holds' : 'FAILS'}: ${escapeHtml(`${claim} (${measured})`)}</li>`,
  );
  return `<section><h2>bench ${escapeHtml(name)}</h2>
<p>${escapeHtml(`${device.name}, ${device.driver}${kind}; ${source}; ${date}`)}</p>
<p class="finding">${escapeHtml(findingOf(document) ?? '')}</p>
<div class="plots">${plotsOf(document).map(figure).join('\n')}</div>
<details><summary>all ${document.rows.length} rows</summary>${tableHtml(benchColumns(document.rows))}</details>
${verdicts.length > 0 ? `<details><summary>${verdicts.length} checks</summary><ul>${verdicts.join('')}</ul></details>` : ''}
</section>`;
}

/** One self-contained HTML file: inline SVG, no script, no network; follows the reader's light or dark mode. */
export function reportHtml(documents: readonly BenchDocument[]): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Spanwise benchmarks</title><style>${STYLE}</style></head>
<body><h1>Spanwise benchmarks</h1>
${documents.map(section).join('\n')}
</body></html>
`;
}

/** Reads what `spanwise bench NAME --out F` wrote. Errors: InputError that names the file. */
function readDocument(file: string): BenchDocument {
  const document = readJsonFile(file, 'document') as Partial<BenchDocument>;
  const { name, device, rows } = document;
  if (typeof name !== 'string' || !Array.isArray(rows) || typeof device?.name !== 'string')
    throw new InputError(`bench report: ${file} is not the document of a benchmark`);
  return { checks: [], ...document } as BenchDocument;
}

/** The documents that the report is made of. */
const inputsOf = ({ inputs }: BenchDocument): readonly BenchDocument[] => inputs as readonly BenchDocument[];

export const reportBench: Bench = {
  doc: 'one HTML file with plots of documents: --in F… --out report.html',
  run({ args }) {
    const own = parseArguments(
      {
        ...{ name: 'bench report', summary: '', positional: '[F…]', run: () => Promise.resolve() },
        options: { in: { value: 'F', doc: '', required: true } },
      },
      args,
    );
    if (own === 'help') throw new InputError('bench report: see bench/README.md');
    const files = [own.text('in'), ...(own.positional === '' ? [] : [own.positional]), ...own.rest];
    const documents = files.map(readDocument);
    const rows = documents.map((document, i) => ({
      ...{ file: files[i], benchmark: document.name, device: document.device.name },
      ...{ date: document.date, plots: plotsOf(document).length },
    }));
    return Promise.resolve({ ...documents[0], name: 'report', rows, checks: [], inputs: documents });
  },
  file: (document) => reportHtml(inputsOf(document)),
};
