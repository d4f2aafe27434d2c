/** What a model gets wrong, as one HTML file that needs nothing else: in words, tables, a plot, and text by text. */
import { pageStyle, tableHtml } from '../../plots/page.ts';
import { escapeHtml, svgOf, type Plot } from '../../plots/plot.ts';
import type { Analysis, KindErrors, TextErrors } from './analysis.ts';
import { entityVerdicts, type EntityVerdict } from './entities.ts';
import type { JudgedAnnotation } from './judged.ts';
import { htmlText, markedHtml, type Mark } from './marks.ts';
import { relationVerdicts, type RelationVerdict } from './relations.ts';
import { analysisText, calibrationText, entityWords, percentText, relationWords } from './words.ts';

/** Texts that a page shows, those with the most errors: a browser takes some seconds for so many. */
const SHOWN = 1000;

/** The colour of each verdict among the series of a palette; the label says the same in words. */
const colours: Readonly<Record<EntityVerdict, string>> = {
  right: 'var(--s2)',
  type: 'var(--s3)',
  boundary: 'var(--s0)',
  both: 'var(--s4)',
  missed: 'var(--s1)',
  spurious: 'var(--s1)',
};

const wrong = entityVerdicts.filter((verdict) => verdict !== 'right');

const STYLE = `${pageStyle}
body { max-width: 70rem; } h2 { margin-top: 2.5rem; } h3 { margin-top: 1.5rem; font-weight: 500; color: var(--soft); }
.scroll { overflow-x: auto; margin: .5rem 0; } svg { max-width: 42rem; width: 100%; height: auto; display: block; }
.hit { background: color-mix(in srgb, var(--s2) var(--share), transparent); }
.slip { background: color-mix(in srgb, var(--s1) var(--share), transparent); }
.text { content-visibility: auto; contain-intrinsic-size: auto 8rem; }
.line { color: var(--ink); margin: .35rem 0; padding-left: 6rem; text-indent: -6rem; line-height: 1.9;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.line b { display: inline-block; width: 6rem; text-indent: 0; font-weight: 500; color: var(--soft); }
.line span { unicode-bidi: isolate; }
mark { color: inherit; background: color-mix(in srgb, var(--verdict) 16%, transparent); border-bottom: 2px solid var(--verdict);
  padding: .1rem .2rem; unicode-bidi: isolate; text-indent: 0; }
mark small { color: var(--verdict); margin-left: .35rem; font-size: 11px; }
mark.missed, mark.spurious { border-bottom-style: dashed; }
${entityVerdicts.map((verdict) => `.${verdict} { --verdict: ${colours[verdict]}; }`).join(' ')}
ul { margin: .2rem 0 .2rem 6rem; padding: 0; list-style: none; } li { margin: .1rem 0; }
fieldset { border: 1px solid var(--rule); margin: 1rem 0; padding: .4rem .8rem; } label { margin-right: 1rem; }
${[...wrong, 'relations'].map((only) => `body:has(#only-${only}:checked) .text:not(.has-${only})`).join(', ')} { display: none; }
`;

/** One table of verdicts by type. */
function typeTable<V extends string>(
  { perType }: KindErrors<V>,
  verdicts: readonly V[],
  words: Readonly<Record<V, string>>,
): string {
  const own = verdicts.filter((verdict) => Object.values(perType).some((of) => of.verdicts[verdict]));
  return `<div class="scroll">${tableHtml([
    ['type', 'gold', 'predicted', 'P', 'R', 'F1', ...own.map((verdict) => words[verdict])],
    ...Object.entries(perType).map(([type, of]) => [
      type,
      ...[of.support, of.predicted].map(String),
      ...[of.p, of.r, of.f1].map(percentText),
      ...own.map((verdict) => String(of.verdicts[verdict] ?? '')),
    ]),
  ])}</div>`;
}

/** Gold types down, predicted types across, coloured by the share of their row. */
function confusionTable({ confusion, perType }: NonNullable<Analysis['entities']>): string {
  const types = Object.keys(perType);
  const cell = (gold: string, predicted: string): string => {
    const count = confusion[gold]?.[predicted] ?? 0;
    if (count === 0) return '<td></td>';
    const share = Math.round((100 * count) / perType[gold].support);
    return `<td class="${gold === predicted ? 'hit' : 'slip'}" style="--share: ${Math.max(8, share / 1.5)}%">${count}</td>`;
  };
  const rows = types
    .filter((type) => perType[type].support > 0)
    .map((gold) => {
      const others = perType[gold].support - Object.values(confusion[gold] ?? {}).reduce((a, b) => a + b, 0);
      return `<tr><th>${htmlText(gold)}</th>${types.map((type) => cell(gold, type)).join('')}<td>${others || ''}</td></tr>`;
    });
  const heads = types.map((type) => `<th>${htmlText(type)}</th>`).join('');
  return `<div class="scroll"><table><thead><tr><th>gold</th>${heads}<th>nothing on its span</th></tr></thead><tbody>
${rows.join('\n')}</tbody></table></div>`;
}

/** The plot of scores against what they are worth. */
function reliabilityPlot(kinds: readonly { name: string; of: KindErrors<string> }[]): Plot {
  const ticks = [0, 20, 40, 60, 80, 100];
  return {
    title: 'Are the scores right?',
    caption: '',
    x: { label: 'score, percent', scale: 'linear', ticks },
    y: { label: 'of these right, percent', scale: 'linear', ticks },
    kind: 'lines',
    guides: [
      {
        name: 'as it should be',
        points: [
          { x: 0, y: 0 },
          { x: 100, y: 100 },
        ],
      },
    ],
    series: kinds.map(({ name, of }) => ({
      name,
      points: of.calibration!.bins.map(({ score, right }) => ({ x: 100 * score, y: 100 * right })),
    })),
  };
}

function calibrationSection({ entities, relations }: Analysis): string {
  const kinds = [
    { name: 'entities', of: entities as KindErrors<string> | undefined },
    { name: 'relations', of: relations as KindErrors<string> | undefined },
  ].flatMap(({ name, of }) => (of?.calibration ? [{ name, of }] : []));
  if (kinds.length === 0) return '';
  return `<h2>Are the scores right?</h2>
${kinds.map(({ name, of }) => `<p>${htmlText(calibrationText(of.calibration!, name))}</p>`).join('\n')}
<p>Each point is the predictions of a tenth of the scale: on the dashed line, of those with 70 percent 70 of 100 are right; below it the model is too sure.</p>
${svgOf(reliabilityPlot(kinds))}`;
}

/** The entities of one side of a text as marks. */
function marksOf({ entities, judged }: TextErrors, side: 'gold' | 'predicted'): Mark[] {
  return entities.flatMap(({ verdict, ...at }) => {
    const index = at[side];
    if (index === undefined) return [];
    const { type, start, end, score } = judged[side].entities[index];
    const told = verdict === 'right' ? [] : [entityWords[verdict]];
    const sure = side === 'predicted' && score !== undefined && told.length > 0 ? [score.toFixed(2)] : [];
    return [{ start, end, classes: verdict, label: [type, ...told, ...sure].join(' · ') }];
  });
}

function relationHtml(
  { judged }: TextErrors,
  { verdict, gold, predicted }: TextErrors['relations'][number],
): string {
  const said = (side: 'gold' | 'predicted', i: number | undefined): string[] => {
    if (i === undefined) return [];
    const { entities, relations }: JudgedAnnotation = judged[side];
    const { type, head, tail, score } = relations[i];
    const end = (e: number) =>
      `${judged.text.slice(entities[e].start, entities[e].end)} (${entities[e].type})`;
    const sure = score === undefined ? '' : ` · ${score.toFixed(2)}`;
    return [
      `${side}: <bdi>${htmlText(end(head))}</bdi> —${htmlText(type)}→ <bdi>${htmlText(end(tail))}</bdi>${sure}`,
    ];
  };
  const found = [...said('gold', gold), ...said('predicted', predicted)];
  return `<li>${relationWords[verdict]}: ${found.join('; ')}</li>`;
}

function textHtml(text: TextErrors, row: number): string {
  const { judged, entities, relations } = text;
  const lost = relations.filter(({ verdict }) => verdict !== 'right');
  const kinds = new Set<string>(entities.map(({ verdict }) => verdict));
  kinds.delete('right');
  if (lost.length > 0) kinds.add('relations');
  const lines = (['gold', 'predicted'] as const).flatMap((side) =>
    markedHtml(judged.text, marksOf(text, side)).map(
      (html, i) => `<p class="line"><b>${i === 0 ? side : ''}</b><span dir="auto">${html}</span></p>`,
    ),
  );
  const { entities: beyond = [], relations: far = [] } = judged.beyond ?? {};
  const told = [...beyond, ...far].map(
    (type) => `<li>${htmlText(type)}: not made of whole words, so nothing can find it</li>`,
  );
  told.push(...lost.map((one) => relationHtml(text, one)));
  if (beyond.length > 0) kinds.add('missed');
  if (far.length > 0) kinds.add('relations');
  const name = judged.id === undefined ? '' : ` · ${htmlText(String(judged.id))}`;
  return `<section class="text ${[...kinds].map((kind) => `has-${kind}`).join(' ')}"><h3>text ${row}${name}</h3>
${lines.join('\n')}${told.length > 0 ? `\n<ul>${told.join('')}</ul>` : ''}</section>`;
}

function textsSection({ texts, relations }: Analysis): string {
  const withErrors = texts.map((text, i) => ({ text, row: i + 1 })).filter(({ text }) => text.errors > 0);
  const shown = [...withErrors]
    .sort((a, b) => b.text.errors - a.text.errors || a.row - b.row)
    .slice(0, SHOWN)
    .sort((a, b) => a.row - b.row);
  if (shown.length === 0) return '<h2>The texts</h2>\n<p>None has an error.</p>';
  const kinds = new Set(shown.flatMap(({ text }) => text.entities.map(({ verdict }) => verdict)));
  const choices: [name: string, words: string][] = [
    ['all', 'all'],
    ...wrong
      .filter((verdict) => kinds.has(verdict))
      .map((verdict): [string, string] => [verdict, entityWords[verdict]]),
    ...(relations ? [['relations', 'a wrong relation'] as [string, string]] : []),
  ];
  const radios = choices.map(
    ([name, words], i) =>
      `<label><input type="radio" name="only" id="only-${name}"${i === 0 ? ' checked' : ''}> ${escapeHtml(words)}</label>`,
  );
  const some = shown.length < withErrors.length ? `, the ${SHOWN} with the most of ${withErrors.length}` : '';
  return `<h2>The texts with errors</h2>
<p>In the order of the file${some}. Above what the gold has, below what was predicted; what agrees is green and has its type alone, every other mark says what is wrong with it.</p>
<fieldset><legend>show those with</legend>${radios.join('\n')}</fieldset>
${shown.map(({ text, row }) => textHtml(text, row)).join('\n')}`;
}

/**
 * The page.
 * @param model and `data` name what was scored
 */
export function errorsPage(analysis: Analysis, { model, data }: { model: string; data: string }): string {
  const { entities, relations } = analysis;
  const title = `What ${model} gets wrong in ${data}`;
  const frequent = entities?.frequent ?? [];
  const sections = [
    `<h1>${htmlText(title)}</h1>\n${analysisText(analysis)
      .map((line) => `<p>${htmlText(line)}</p>`)
      .join('\n')}`,
    entities &&
      `<h2>Entities by type</h2>
<p>P: of what was predicted, the share that is right. R: of the gold, the share that was found. The columns on the right count by the gold's type.</p>
${typeTable<EntityVerdict>(entities, entityVerdicts, entityWords)}`,
    entities &&
      `<h2>Which type is taken for which</h2>
<p>Of what stands on the very span of the gold. A row is a type of the gold, a column what was predicted; the last column is missed or has another boundary.</p>
${confusionTable(entities)}`,
    relations &&
      `<h2>Relations by type and cause</h2>
<p>A relation needs its ends: what is lost with them is told apart from what is lost between two that were found.</p>
${typeTable<RelationVerdict>(relations, relationVerdicts, relationWords)}`,
    frequent.length > 0 &&
      `<h2>Wrong more than once</h2>
<p>The same words, wrong in the same way.</p>
<div class="scroll">${tableHtml([
        ['words', 'times', 'what', 'gold', 'predicted'],
        ...frequent.map((one) => [
          one.text,
          String(one.count),
          entityWords[one.verdict],
          one.gold ?? '',
          one.predicted ?? '',
        ]),
      ])}</div>`,
    calibrationSection(analysis),
    textsSection(analysis),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${htmlText(title)}</title>
<style>${STYLE}</style></head><body>
${sections.filter((section) => section).join('\n')}
</body></html>
`;
}
