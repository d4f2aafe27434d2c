/** What is shown: tables, marked texts, numbers. */

/** An element with its content and properties. */
export const make = (tag, content = [], properties = {}) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...[content].flat());
  return made;
};

/** A row of a table; cells from `numbers` on are numbers. */
export const tableRow = (texts, numbers, tag = 'td') =>
  make(
    'tr',
    texts.map((text, i) =>
      make(tag, text, { className: i >= numbers ? 'number' : '', ...(tag === 'th' && { scope: 'col' }) }),
    ),
  );

/** A table of texts, its heads first. */
export const table = ([heads, ...rows], numbers) =>
  make('table', [
    make('thead', tableRow(heads, numbers, 'th')),
    make(
      'tbody',
      rows.map((row) => tableRow(row, numbers)),
    ),
  ]);

const rounded = (value) => value.toLocaleString('en', { maximumSignificantDigits: 3 });

function flopText(flops) {
  const [unit, size] = [
    ['GFLOP', 1e9],
    ['MFLOP', 1e6],
    ['kFLOP', 1e3],
  ].find(([, least]) => flops >= least) ?? ['FLOP', 1];
  return `${rounded(flops / size)} ${unit}`;
}

export const costHeads = ['tokens', 'time', 'time a token', 'computed', 'dispatches'];
export const costRow = ({ tokens, ms, flops, dispatches }) => [
  String(tokens),
  `${rounded(ms)} ms`,
  tokens > 0 ? `${rounded(ms / tokens)} ms` : '',
  flopText(flops),
  dispatches.toLocaleString('en'),
];

/** The nodes of a text with its entities marked, each with its type and its relations by number: 1→ from it, →1 to it. */
export function markedText({ text, entities, relations }) {
  const types = [...new Set(entities.map(({ type }) => type))].sort();
  const tinted = (made, type) => {
    made.style.setProperty('--hue', Math.round((360 * types.indexOf(type)) / types.length + 250) % 360);
    return made;
  };
  const label = (entity) => {
    const numbers = relations.flatMap(({ head, tail }, r) => [
      ...(entities[head] === entity ? [` ${r + 1}→`] : []),
      ...(entities[tail] === entity ? [` →${r + 1}`] : []),
    ]);
    return tinted(make('span', [entity.type, ...numbers], { className: 'type' }), entity.type);
  };
  const cuts = [...new Set([0, text.length, ...entities.flatMap(({ start, end }) => [start, end])])];
  cuts.sort((a, b) => a - b);
  return cuts.slice(1).flatMap((to, i) => {
    // Entities may nest and cross: each part has the marks of all that cover it, the shortest innermost.
    const covering = entities
      .filter(({ start, end }) => start <= cuts[i] && to <= end)
      .sort((a, b) => a.end - a.start - (b.end - b.start));
    const part = covering.reduce(
      (inner, { type }) => tinted(make('mark', inner), type),
      text.slice(cuts[i], to),
    );
    return [part, ...covering.filter(({ end }) => end === to).map(label)];
  });
}

/** The relations of an extraction as a table, numbered as in the text. */
export const relationTable = ({ entities, relations }) =>
  table(
    [
      ['', 'from', 'relation', 'to', 'score'],
      ...relations.map(({ head, tail, type, score }, i) => [
        ...[String(i + 1), entities[head].text, type, entities[tail].text],
        score.toFixed(2),
      ]),
    ],
    4,
  );

const digits = (error) => (error === undefined ? '' : error === null ? 'NaN' : error.toExponential(1));

export const verifyHeads = ['kernel', 'cases', 'forward', 'bound', 'backward', 'bound', 'ULP', ''];
export const verifyRow = ({ ok, error, worst, ...result }) => {
  const row = [
    ...[result.kernel, String(result.cases)],
    ...[result.forward, result.forwardBound, result.backward, result.backwardBound].map(digits),
    worst ? (worst.ulps?.toFixed(1) ?? 'NaN') : '',
    ok ? 'ok' : `WRONG ${error ?? ''}`,
  ];
  const made = tableRow(row, 1);
  made.classList.toggle('wrong', !ok);
  return made;
};
