/** SentencePiece models: what is read of them, and that their pieces are SentencePiece's own. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { loadTokenizer } from '../../../src/tasks/text/load.ts';
import { tokenizerFromFiles } from '../../../src/tasks/text/from-files.ts';
import type { Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { inputError } from '../runs.ts';

// ---- a writer of the format, for small models ------------------------------------------------------------------------

type Value = number | string | Uint8Array;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return [...bytes, value];
}

/** A message of (field, value) pairs: numbers as varints, the rest by length. */
const message = (...fields: [field: number, value: Value][]): Uint8Array =>
  Uint8Array.from(
    fields.flatMap(([field, value]) => {
      if (typeof value === 'number') return [...varint(8 * field), ...varint(value)];
      const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
      return [...varint(8 * field + 2), ...varint(bytes.length), ...bytes];
    }),
  );

/** A piece: text, score (a float, absent where 0), type (absent where normal). */
function piece(text: string, score: number, type = 1): Uint8Array {
  const float = [5 + 8 * 2, ...new Uint8Array(Float32Array.of(score).buffer)];
  return Uint8Array.from([
    ...message([1, text]),
    ...(score ? float : []),
    ...message(...(type === 1 ? [] : [[3, type] as [number, Value]])),
  ]);
}

const specials = [
  ['<pad>', 0, 3],
  ['<unk>', 0, 2],
  ['[CLS]', 0, 3],
  ['[SEP]', 0, 3],
  ['[MASK]', 0, 3],
] as const;
const words = [
  ['▁', -3],
  ['▁Café', -2],
  ['▁cafe', -2.5],
  ['s', -3.25],
  ['港', -4],
  ['"', 0, 4],
] as const;
const pieces = [...specials, ...words].map(([text, score, type]): [number, Value] => [
  1,
  piece(text, score, type),
]);
const normalizer = (...more: [number, Value][]): [number, Value] => [
  3,
  message([1, 'nmt_nfkc'], [2, 'table'], ...more),
];
// The trainer's settings hold a negative number (ten bytes) and what is not read.
const trainer: [number, Value] = [2, Uint8Array.from([...message([3, 1], [4, 11]), 8 * 41, ...minusOne()])];
const small = message(...pieces, trainer, normalizer());

function minusOne(): number[] {
  return [...Array<number>(9).fill(255), 1];
}

/** XLM-RoBERTa's: its own three first. */
const xlm = message(
  ...[
    ...([
      ['<unk>', 0, 2],
      ['<s>', 0, 3],
      ['</s>', 0, 3],
    ] as const),
    ...words,
  ].map(([text, score, type]): [number, Value] => [1, piece(text, score, type)]),
  trainer,
  normalizer(),
);

async function load(files: Record<string, string | Uint8Array>, name = ''): Promise<Tokenizer> {
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-spiece-'));
  try {
    for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content);
    return await loadTokenizer(join(folder, name));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The text of the original under each piece, and its id. */
const slices = (tokenizer: Tokenizer, text: string) =>
  tokenizer.encode(text).map(({ start, end, id }) => [text.slice(start, end), id]);

test('a small model', async (t) => {
  const tokenizer = await load({ 'spiece.model': small });
  const { padId, unkId, clsId, sepId, maskId, vocabSize } = tokenizer;
  t.deepEqual([padId, unkId, clsId, sepId, maskId, vocabSize], [0, 1, 2, 3, 4, 11]);
  t.deepEqual([tokenizer.idOf('[SEP]'), tokenizer.idOf('nowhere')], [3, undefined]);
  const text = ' Cafe\u0301s  港𠮷 ``Café';
  t.deepEqual(
    slices(tokenizer, text),
    [
      ['Cafe\u0301', 6],
      ['s', 8],
      ['', 5],
      ['港', 9],
      ['𠮷', 1],
      ['', 5],
      ['``', 10],
      ['Café', 1],
    ],
    'case and accents are kept without a config',
  );
  const lower = await load({ 'spiece.model': small, 'tokenizer_config.json': '{"do_lower_case": true}' });
  t.deepEqual(
    slices(lower, 'Café Cafés'),
    [
      ['Café', 7],
      ['Café', 7],
      ['s', 8],
    ],
    'lower case strips accents',
  );
  const accents = '{"do_lower_case": true, "keep_accents": true}';
  const kept = await load({ 'spiece.model': small, 'tokenizer_config.json': accents });
  t.notOk(
    slices(kept, 'Café').some(([, id]) => id === 7),
    'unless they are kept',
  );
  t.deepEqual(tokenizer.encode(''), []);
  t.deepEqual(
    slices(await load({ 'any.model': small }, 'any.model'), 's'),
    slices(tokenizer, 's'),
    'a file alone',
  );
  const again = tokenizerFromFiles(tokenizer.files());
  t.deepEqual(again.encode(text), tokenizer.encode(text), 'a checkpoint keeps it as a tokenizer.json');
});

test('another vocabulary in the folder comes first', async (t) => {
  const vocab = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '港'].join('\n');
  const tokenizer = await load({ 'spiece.model': small, 'vocab.txt': vocab });
  t.deepEqual(slices(tokenizer, '港s'), [
    ['港', 4],
    ['s', 1],
  ]);
});

test('what is not such a model is said in one line', async (t) => {
  const complaint = (content: Uint8Array) => inputError(() => load({ 'spiece.model': content }));
  const wrong: [Uint8Array, RegExp][] = [
    [new Uint8Array(), /spiece\.model: not a SentencePiece model: no piece stands for the unknown$/],
    [small.subarray(0, small.length - 3), /spiece\.model: not a SentencePiece model$/],
    [new TextEncoder().encode('a text, not a model'), /spiece\.model: not a SentencePiece model$/],
    [Uint8Array.from({ length: 20 }, () => 255), /spiece\.model: not a SentencePiece model$/],
    [message(...pieces, [2, message([3, 2])], normalizer()), /only unigram models without byte fallback/],
    [message(...pieces, [2, message([35, 1])], normalizer()), /only unigram models without byte fallback/],
    [message(...pieces, trainer, normalizer([3, 0])), /addDummyPrefix is off, which is not supported/],
    [message(...pieces, trainer, [3, message([1, 'mine'])]), /normalisation "mine" is not one of identity,/],
    [message([1, Uint8Array.of(10, 1, 255)], ...pieces, trainer, normalizer()), /not UTF-8 at byte 0/],
    [message(pieces[1], ...pieces.slice(5), trainer, normalizer()), /spiece\.model: no pad token/],
  ];
  for (const [content, expected] of wrong) t.match(await complaint(content), expected);
});

const german = '../shared/data/vocab/albert-30k-german/spiece.model';
test(
  'the ids of SentencePiece',
  { skip: existsSync(german) ? false : `${german} is not there` },
  async (t) => {
    const tokenizer = await loadTokenizer(german);
    t.equal(tokenizer.vocabSize, 30000);
    // By the Python package sentencepiece 0.2.
    const expected: [text: string, ids: number[]][] = [
      [
        'Die Straße in München führt 3,5 km am Fluss entlang.',
        [36, 7504, 1, 21, 20, 1055, 668, 11597, 295, 68, 2017, 2614, 9],
      ],
      [
        'Das "Haus am See" (gebaut 1998) kostet 40 €; wer kauft es?',
        [74, 13, 7, 6171, 68, 744, 7, 13, 5, 15979, 1162, 6, 8559, 805, 13, 12, 82, 2698, 27214, 64, 132],
      ],
      ['Ｆｕｌｌ ﬁx ½ Größe – 港口 😀', [15201, 13, 10609, 13, 21929, 16484, 1, 21, 13, 10, 13, 1, 13, 1]],
      ['ein\u3000Wort\u00a0mehr\tund  noch eins', [38, 1387, 117, 16, 99, 38, 18]],
      ['Donaudampfschifffahrtsgesellschaftskapitän', [6589, 11083, 25193, 11293, 18, 24449]],
    ];
    for (const [text, ids] of expected) {
      const found = tokenizer.encode(text);
      t.deepEqual(
        found.map(({ id }) => id),
        ids,
        text,
      );
      const covered = found.map(({ start, end }) => text.slice(start, end)).join('');
      t.equal(covered, text.replace(/\s/g, ''), 'its offsets leave nothing out');
    }
  },
);

test("XLM-RoBERTa's model has fairseq's ids", async (t) => {
  const files = { 'sentencepiece.bpe.model': xlm };
  const tokenizer = await load(files);
  const { clsId, padId, sepId, unkId, maskId, vocabSize } = tokenizer;
  t.deepEqual([clsId, padId, sepId, unkId, maskId, vocabSize], [0, 1, 2, 3, 10, 11]);
  const text = 'Cafés  港港 <mask>';
  t.deepEqual(
    slices(tokenizer, text).slice(0, 5),
    [
      ['Café', 5],
      ['s', 7],
      ['', 4],
      ['港', 8],
      ['港', 8],
    ],
    'case and accents are kept',
  );
  t.ok(
    slices(tokenizer, text).every(([, id]) => id !== maskId),
    'the name of the mask is text',
  );
  const named = '{"tokenizer_class": "XLMRobertaTokenizer"}';
  const other = await load({ 'spiece.model': xlm, 'tokenizer_config.json': named });
  t.equal(other.padId, 1, 'the class decides whatever the file is called');
  const albert = '{"tokenizer_class": "AlbertTokenizer"}';
  t.match(
    await inputError(() => load({ ...files, 'tokenizer_config.json': albert })),
    /tokenizer_class is "AlbertTokenizer", but the vocabulary is sentencepiece\.bpe\.model$/,
  );
  t.match(
    await inputError(() =>
      load({
        'sentencepiece.bpe.model': message(
          ...words.map(([text, score]): [number, Value] => [1, piece(text, score, text === 's' ? 2 : 1)]),
        ),
      }),
    ),
    /does not begin with <unk>, <s> and <\/s>, as XLM-RoBERTa's models do$/,
  );
});
