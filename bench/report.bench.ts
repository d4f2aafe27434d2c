/** `bench report`: documents of other benchmarks as one HTML file with plots, which needs nothing else. */
import { InputError } from '../kernels/errors.ts';
import { benchColumns } from '../src/cli/bench.ts';
import { parseArguments } from '../src/cli/command.ts';
import {
  escapeHtml,
  lightPalette,
  plotStyle,
  svgOf,
  valueText,
  type Palette,
  type Plot,
} from '../src/plots/plot.ts';
import { readJsonFile } from '../src/tasks/folder.ts';
import type { Bench, BenchDocument } from './harness.ts';
import { plotsOf } from './report.plots.ts';

/** The same hues as `lightPalette`, lighter. */
const darkPalette: Palette = {
  paper: '#15171a',
  ink: '#e8e8e8',
  soft: '#a3a8ae',
  rule: '#32363b',
  series: ['#56b4e9', '#f0903c', '#2fc39b', '#d7a0c8', '#d8c25a'],
};

const variables = ({ series, ...colours }: Palette): string =>
  [...Object.entries(colours), ...series.map((colour, i) => [`s${i}`, colour])]
    .map(([name, colour]) => `--${name}: ${colour};`)
    .join(' ');

/** The palette by name: a reader's light or dark mode chooses. */
const named: Palette = {
  ...{ paper: 'var(--paper)', ink: 'var(--ink)', soft: 'var(--soft)', rule: 'var(--rule)' },
  series: lightPalette.series.map((_, i) => `var(--s${i})`),
};

const STYLE = `
:root { color-scheme: light dark; ${variables(lightPalette)} }
@media (prefers-color-scheme: dark) { :root { ${variables(darkPalette)} } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .2rem; } h3 { font-size: 1rem; margin: 0; }
p { margin: .2rem 0; color: var(--soft); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(34rem, 100%), 1fr)); gap: 2rem; }
figure { margin: 1rem 0 0; min-width: 0; } svg { width: 100%; height: auto; }
${plotStyle(named)}details { margin-top: .5rem; overflow-x: auto; } summary { cursor: pointer; color: var(--soft); }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .7rem .15rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
td:first-child, th:first-child { text-align: left; } .fails { color: var(--s1); font-weight: 600; }
`;

const row = (cells: readonly string[], tag: 'td' | 'th'): string =>
  `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;

const tableHtml = ([head, ...body]: readonly (readonly string[])[]): string =>
  `<table><thead>${row(head, 'th')}</thead><tbody>${body.map((cells) => row(cells, 'td')).join('\n')}</tbody></table>`;

/** The numbers of a line plot; those of a scatter plot are the document's rows. */
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

const figure = (plot: Plot): string =>
  `<figure><figcaption><h3>${escapeHtml(plot.title)}</h3><p>${escapeHtml(plot.caption)}</p></figcaption>
${svgOf(plot)}${plotTable(plot)}</figure>`;

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
