/** Character offsets as people's files have them: by code points, with blanks, inside a surrogate pair, inclusive. */
import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { parseDocuments } from '../../src/tasks/corpus/parse.ts';
import type { ReadOptions } from '../../src/tasks/corpus/reading.ts';
import { parseSentences } from '../../src/tasks/corpus/sentences.ts';

type Span = [type: string, start: number, end: number, text?: string];

const row = (text: string, spans: readonly Span[], more = {}) => ({
  text,
  entities: spans.map(([type, start, end, said]) => ({
    type,
    start,
    end,
    ...(said !== undefined && { text: said }),
  })),
  ...more,
});

const read = (rows: readonly unknown[], options?: ReadOptions) => {
  const { documents, notes } = parseDocuments(JSON.stringify(rows), 'f', options);
  const mentions = documents.map(({ text, entities }) =>
    entities.map((e) => `${e.type} ${text.slice(e.start, e.end)}`),
  );
  return { mentions, notes };
};

function complaint(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof InputError ? error.message : `not an InputError: ${String(error)}`;
  }
  return '';
}

const plain = row('Ilse Korn sails.', [['P', 0, 9, 'Ilse Korn']]);
const owls = '🦉🦉 Ilse Korn sails to 𠮷港.';
const byPoints: Span[] = [
  ['P', 3, 12, 'Ilse Korn'],
  ['L', 22, 24, '𠮷港'],
];
const byUnits: Span[] = [
  ['P', 5, 14, 'Ilse Korn'],
  ['L', 24, 27, '𠮷港'],
];

test('what entities cover tells code points from UTF-16, for all rows alike, and a note counts', (t) => {
  const found = [['P Ilse Korn'], ['P Ilse Korn', 'L 𠮷港']];
  t.deepEqual(read([plain, row(owls, byUnits)]), { mentions: found, notes: [] }, 'UTF-16: no note');
  const note =
    /^entities whose offsets count code points, not UTF-16 code units, as what they cover shows: 2$/;
  const points = read([plain, row(owls, byPoints)]);
  t.deepEqual(points.mentions, found);
  t.match(points.notes.join(), note);
  // A row that does not say what it covers is counted as the others are.
  const silent = row(owls, [['L', 22, 24]]);
  t.deepEqual(read([row(owls, byPoints), silent]).mentions[1], ['L 𠮷港']);
  // doccano's offsets are Python's, unless what... they do not say: the format's way.
  const doccano = {
    text: owls,
    label: [
      [3, 12, 'P'],
      [22, 24, 'L'],
    ],
  };
  t.deepEqual(read([doccano]), { mentions: [found[1]], notes: ['read as doccano JSONL'] });
  t.end();
});

test('an entity that fits by no counting names its row', (t) => {
  const wrong = row(owls, [['P', 4, 13, 'Ilse Korn']]);
  t.equal(
    complaint(() => read([plain, row(owls, byPoints), wrong])),
    'f: row 3: entities[0] says that it covers "Ilse Korn", but its offsets hold "lse Korn "',
  );
  t.equal(
    complaint(() => read([plain, row('Ilse Korn', [['P', 0, 9, 'Ilse  Kern']])])),
    'f: row 2: entities[0] says that it covers "Ilse  Kern", but its offsets hold "Ilse Korn"',
  );
  const broken = row('Ilse\nKorn', [['P', 0, 9, 'Ilse Korn']]);
  t.deepEqual(read([broken]).mentions, [['P Ilse\nKorn']], 'a line break said as a blank');
  t.end();
});

test('an offset inside a surrogate pair, or beyond the text, is refused', (t) => {
  t.equal(
    complaint(() => read([row('🦉 Ilse', [['P', 1, 7]])])),
    'f: row 1: entities[0].start is 1, inside the surrogate pair of 🦉',
  );
  t.equal(
    complaint(() => read([row('Ilse 🦉', [['P', 0, 6]])])),
    'f: row 1: entities[0].end is 6, inside the surrogate pair of 🦉',
  );
  t.match(
    complaint(() => read([row('Ilse', [['P', 0, 5]])])),
    /entities\[0\]\.end is 5, but the text has 4 characters$/,
  );
  t.match(
    complaint(() => read([{ text: '🦉 Ilse', label: [[2, 8, 'P']] }])),
    /row 1: label\[0\]\.end is 8, but the text has 6 code points$/,
  );
  t.match(
    complaint(() => read([row('Ilse', [['P', -1, 2]])])),
    /entities\[0\]\.start is -1/,
  );
  t.end();
});

test('white space at the ends is taken off and counted', (t) => {
  const { mentions, notes } = read([
    row('Ilse Korn sails', [
      ['P', 0, 10],
      ['V', 9, 15],
    ]),
    plain,
  ]);
  t.deepEqual(mentions, [['P Ilse Korn', 'V sails'], ['P Ilse Korn']]);
  t.deepEqual(notes, ['entities with white space at their ends, which is taken off: 2']);
  const said = row('Ilse Korn sails', [['P', 0, 10, 'Ilse Korn']]);
  t.deepEqual(read([said]).mentions, [['P Ilse Korn']], 'what it says may leave the blank out');
  t.equal(
    complaint(() => read([row('Ilse  Korn', [['P', 4, 6]])])),
    'f: row 1: entities[0] covers white space alone',
  );
  t.end();
});

test('--offsets speaks for rows that do not say what they cover', (t) => {
  const silent = row('🦉 Ilse Korn', [['P', 2, 11]]);
  t.deepEqual(read([silent], { offsets: 'codepoints' }).mentions, [['P Ilse Korn']]);
  const inclusive = row('Ilse Korn', [['P', 0, 8]]);
  t.deepEqual(read([inclusive], { offsets: 'inclusive' }).mentions, [['P Ilse Korn']]);
  const doccano = { text: '🦉 Ilse', label: [[3, 7, 'P']] };
  t.deepEqual(read([doccano], { offsets: 'utf16' }).mentions, [['P Ilse']]);
  // A row that says it is believed.
  const told = row(owls, byUnits);
  t.deepEqual(read([told, silent], { offsets: 'codepoints' }).mentions, [
    ['P Ilse Korn', 'L 𠮷港'],
    ['P Ilse Korn'],
  ]);
  const ends: Span[] = [['P', 0, 8, 'Ilse Korn']];
  const shown = read([row('Ilse Korn', ends)]);
  t.deepEqual(shown.mentions, [['P Ilse Korn']], 'inclusive ends show by themselves');
  t.match(shown.notes.join(), /count UTF-16 code units, the end inclusive, not UTF-16 code units/);
  t.end();
});

test('words of a text: entities that cut one are counted, and missed in scores', (t) => {
  const rows = [
    row(
      'Ilse Kornmann sails.',
      [
        ['P', 0, 9],
        ['V', 14, 19],
      ],
      { relations: [{ type: 'r', head: 0, tail: 1 }], id: 4 },
    ),
    row('\u200b', []),
  ];
  const { sentences, notes, places } = parseSentences(JSON.stringify(rows), 'f');
  t.deepEqual(sentences, [
    {
      tokens: ['Ilse', 'Kornmann', 'sails', '.'],
      entities: [{ type: 'V', start: 2, end: 3 }],
      relations: [],
      id: 4,
      beyond: { entities: ['P'], relations: ['r'] },
    },
  ]);
  t.deepEqual(places, ['row 1']);
  t.deepEqual(notes, [
    'entities that are not made of whole words: not learnt, and counted as missed: 1',
    'relations of such entities: not learnt, and counted as missed: 1',
    'sentences without a word, left out: 1',
  ]);
  t.end();
});
