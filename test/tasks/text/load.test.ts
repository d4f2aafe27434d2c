import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { InputError } from '../../../kernels/errors.ts';
import { tokenizerFromFiles, vocabEntries } from '../../../src/tasks/text/from-files.ts';
import { loadTokenizer } from '../../../src/tasks/text/load.ts';
import { tokenizerFiles, type Piece } from '../../../src/tasks/text/tokenizer.ts';
import { decodeUtf8 } from '../../../src/io/utf8.ts';
import { inputError } from '../runs.ts';

const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
const entries = [...specials, 'rain', 'Rain', 'cafe', 'Café', '\u2028', ' x '];

/** The message of the InputError that `run` throws; '' where it throws none. */
function complaint(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof InputError ? error.message : `not an InputError: ${String(error)}`;
  }
  return '';
}

/** The text of the original under each piece, the piece, and its id. */
function slices(text: string, pieces: readonly Piece[]) {
  return pieces.map((p) => [text.slice(p.start, p.end), p.text, p.id]);
}

async function withFolder(
  files: Record<string, string | Uint8Array>,
  run: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-text-'));
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('vocab.txt, with and without tokenizer_config.json', async (t) => {
  const vocab = entries.join('\n') + '\n';
  const text = 'rain Rain Café';
  const ids = async (folder: string) => (await loadTokenizer(folder)).encode(text).map((p) => p.id);
  await withFolder({ 'vocab.txt': vocab }, async (folder) => {
    t.deepEqual(await ids(folder), [5, 6, 8], 'cased without a config');
    const { vocabSize } = await loadTokenizer(folder);
    t.equal(vocabSize, 11, 'U+2028 ends no line, the last line is not an entry');
    t.deepEqual(await ids(join(folder, 'vocab.txt')), [5, 6, 8], 'the file itself');
  });
  const lower = {
    'vocab.txt': vocab,
    'tokenizer_config.json': '{"do_lower_case": true, "strip_accents": null}',
  };
  await withFolder(lower, async (folder) => {
    t.deepEqual(await ids(folder), [5, 5, 7], 'do_lower_case strips accents too');
    t.deepEqual(await ids(join(folder, 'vocab.txt')), [5, 5, 7], 'the config beside the file counts');
    t.deepEqual(
      tokenizerFiles(await loadTokenizer(folder))['vocab.txt'],
      vocab,
      'the file comes out as it went in',
    );
  });
  t.deepEqual(vocabEntries('a\n\n b \r\n\n'), ['a', '', ' b \r', ''], 'only the final empty line goes');
});

test('what cannot be loaded says which file', async (t) => {
  const vocab = entries.join('\n') + '\n';
  t.equal(await inputError(() => loadTokenizer('no/such/folder')), 'no/such/folder: no such file or folder');
  await withFolder({}, async (f) =>
    t.match(
      await inputError(() => loadTokenizer(f)),
      /vocab\.txt: no such file, nor a tokenizer\.json, spiece\.model, .* or vocab\.json with merges\.txt$/,
    ),
  );
  await withFolder({ 'v.txt': 'a\nb\n' }, async (f) =>
    t.match(await inputError(() => loadTokenizer(`${f}/v.txt`)), /v\.txt: no entry \[PAD\]/),
  );
  await withFolder({ 'vocab.txt': Uint8Array.of(0x61, 0x0a, 0xe6, 0xb0, 0x0a) }, async (f) =>
    t.match(await inputError(() => loadTokenizer(f)), /vocab\.txt: not UTF-8 at byte 2 \(0xe6\), in line 2$/),
  );
  for (const [config, expected] of [
    ['{"do_lower_case":\n tru}', /tokenizer_config\.json: line 2: not JSON from "tru}" on$/],
    ['[]', /tokenizer_config\.json: not a JSON object$/],
    ['{"do_lower_case": "yes"}', /tokenizer_config\.json: do_lower_case is "yes", not true or false$/],
    [
      '{"tokenize_chinese_chars": false}',
      /tokenizer_config\.json: tokenize_chinese_chars is false; only true/,
    ],
  ] as const) {
    await withFolder({ 'vocab.txt': vocab, 'tokenizer_config.json': config }, async (f) =>
      t.match(await inputError(() => loadTokenizer(f)), expected),
    );
  }
});

test('decodeUtf8 names the first bad byte', (t) => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  t.equal(decodeUtf8(bytes('a港😀'), 'x'), 'a港😀');
  t.equal(decodeUtf8(bytes('\ufeffa'), 'x'), 'a', 'a byte-order mark is dropped');
  t.equal(decodeUtf8(new Uint8Array(), 'x'), '');
  const at = (...parts: (string | number[])[]) =>
    complaint(() =>
      decodeUtf8(Uint8Array.from(parts.flatMap((p) => (typeof p === 'string' ? [...bytes(p)] : p))), 'x.txt'),
    );
  t.equal(at([0xff]), 'x.txt: not UTF-8 at byte 0 (0xff), in line 1');
  t.equal(at('港\na', [0x80], 'b\n'), 'x.txt: not UTF-8 at byte 5 (0x80), in line 2', 'a stray continuation');
  t.equal(
    at('a', [0xe6, 0xb8], 'b'),
    'x.txt: not UTF-8 at byte 1 (0xe6), in line 1',
    'a character that breaks off',
  );
  t.equal(
    at('a', [0xf0, 0x9f, 0x98]),
    'x.txt: not UTF-8 at byte 1 (0xf0), in line 1',
    'the end inside a character',
  );
  t.equal(
    at('\ufeffa', [0xc0, 0xaf]),
    'x.txt: not UTF-8 at byte 4 (0xc0), in line 1',
    'after a byte-order mark',
  );
  t.equal(
    at('a'.repeat(5000), [0xed, 0xa0, 0x80]),
    'x.txt: not UTF-8 at byte 5000 (0xed), in line 1',
    'a surrogate',
  );
  const utf16 = 'x.txt: UTF-16, by its first two bytes, not UTF-8: "iconv -f UTF-16 -t UTF-8" converts it';
  t.equal(at([0xff, 0xfe, 0x41, 0]), utf16);
  t.equal(at([0xfe, 0xff, 0, 0x41]), utf16);
  t.match(at('PK', [3, 4, 20, 0xff]), /^x\.txt: a ZIP archive \(doccano exports one\)/);
  t.match(at([0x1f, 0x8b, 8]), /^x\.txt: compressed by gzip: unpack it with "gunzip"$/);
  t.end();
});

function wordPieceDefinition(change: Record<string, object> = {}): string {
  return JSON.stringify({
    added_tokens: [{ id: 0, content: '[PAD]', special: true }],
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      lowercase: true,
      ...change.normalizer,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    model: {
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      vocab: Object.fromEntries(entries.map((entry, id) => [entry, id])),
      ...change.model,
    },
  });
}

test('a WordPiece tokenizer.json', (t) => {
  const ids = (definition: string, config?: string) =>
    tokenizerFromFiles({ 'tokenizer.json': definition, ...(config && { 'tokenizer_config.json': config }) })
      .encode('Rain Café')
      .map((p) => p.id);
  t.deepEqual(ids(wordPieceDefinition()), [5, 7], 'lowercase strips accents');
  t.deepEqual(
    ids(wordPieceDefinition({ normalizer: { strip_accents: false } })),
    [5, 1],
    'unless told otherwise',
  );
  t.deepEqual(ids(wordPieceDefinition({ normalizer: { lowercase: false } })), [6, 8], 'cased');
  t.deepEqual(ids(wordPieceDefinition(), '{"do_lower_case": false}'), [6, 8], 'tokenizer_config.json wins');
  const again = tokenizerFromFiles(
    tokenizerFiles(tokenizerFromFiles({ 'tokenizer.json': wordPieceDefinition() })),
  );
  t.deepEqual(
    again.encode('Rain Café').map((p) => [p.id, p.start, p.end]),
    [
      [5, 0, 4],
      [7, 5, 9],
    ],
    'copied and loaded',
  );
  for (const [change, expected] of [
    [
      { normalizer: { type: 'Lowercase' } },
      'tokenizer.json, normalizer: type is "Lowercase"; only "BertNormalizer" is supported',
    ],
    [
      { normalizer: { handle_chinese_chars: false } },
      'tokenizer.json, normalizer: handle_chinese_chars is false; only true is supported',
    ],
    [
      { model: { continuing_subword_prefix: '@@' } },
      'tokenizer.json, model: continuing_subword_prefix is "@@"; only "##" is supported',
    ],
    [{ model: { vocab: { '[UNK]': 'one' } } }, 'tokenizer.json: the id of "[UNK]" is not a number'],
    [{ model: { vocab: { '[PAD]': 7 } } }, 'tokenizer.json: "[PAD]" has the ids 7 and 0'],
    [{ model: { vocab: { '[UNK]': 1 } } }, /^tokenizer\.json: no entry \[CLS\]/],
  ] as const) {
    const message = complaint(() => ids(wordPieceDefinition(change)));
    if (typeof expected === 'string') t.equal(message, expected);
    else t.match(message, expected);
  }
  t.end();
});

function unigram(pieces: [string, number][], normalizers: object[]): string {
  return JSON.stringify({
    added_tokens: [],
    normalizer: { type: 'Sequence', normalizers },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'WhitespaceSplit' }, { type: 'Metaspace', replacement: '▁' }],
    },
    post_processor: null,
    decoder: { type: 'Metaspace', replacement: '▁' },
    model: { type: 'Unigram', unk_id: 1, vocab: pieces },
  });
}

/** ALBERT's normaliser, but for its table of compatibility characters. */
const albertNormalizers = [
  { type: 'Replace', pattern: { String: '``' }, content: '"' },
  { type: 'NFKD' },
  { type: 'StripAccents' },
  { type: 'Lowercase' },
];
const names: [string, number][] = [
  ['<pad>', 0],
  ['<unk>', 0],
  ['[CLS]', 0],
  ['[SEP]', 0],
  ['[MASK]', 0],
];

test('a Unigram tokenizer.json (ALBERT), with offsets by alignment', (t) => {
  const pieces: [string, number][] = [
    ...names,
    ['▁', -3],
    ['▁cafe', -2],
    ['s', -3],
    ['▁fi', -2],
    ['n', -4],
    ['"', -3],
  ];
  const files = { 'tokenizer.json': unigram(pieces, albertNormalizers), 'tokenizer_config.json': '{}' };
  const tokenizer = tokenizerFromFiles(files);
  t.deepEqual(
    [
      tokenizer.padId,
      tokenizer.unkId,
      tokenizer.clsId,
      tokenizer.sepId,
      tokenizer.maskId,
      tokenizer.vocabSize,
    ],
    [0, 1, 2, 3, 4, 11],
  );
  const text = ' Café\u0301s  ﬁn 😀s `` n';
  t.deepEqual(slices(text, tokenizer.encode(text)), [
    ['Café\u0301', '▁cafe', 6],
    ['s', 's', 7],
    ['ﬁ', '▁fi', 8],
    ['n', 'n', 9],
    ['', '▁', 5],
    ['😀', '😀', 1],
    ['s', 's', 7],
    ['', '▁', 5],
    ['``', '"', 10],
    ['', '▁', 5],
    ['n', 'n', 9],
  ]);
  t.deepEqual(
    tokenizer.encodeWords(['cafes', '']).map((p) => slices('cafes', p)),
    [
      [
        ['cafe', '▁cafe', 6],
        ['s', 's', 7],
      ],
      [['', '<unk>', 1]],
    ],
  );
  t.deepEqual(tokenizerFiles(tokenizer), files, 'its files are copied as they are');
  t.match(
    complaint(() => tokenizerFromFiles({ 'tokenizer.json': unigram(names.slice(0, 3), []) })),
    /^tokenizer\.json: no sep token/,
  );
  t.end();
});

test('a byte-level BPE tokenizer.json (RoBERTa), with offsets by alignment', (t) => {
  const byteLetters = ['Ġ', 'r', 'a', 'i', 'n', 'æ', '¸', '¯', 'Ċ'];
  const vocab = ['<s>', '<pad>', '</s>', '<unk>', '<mask>', ...byteLetters, 'ra', 'Ġra', 'in'];
  const definition = JSON.stringify({
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(vocab.map((entry, id) => [entry, id])),
      merges: ['r a', 'Ġ ra', 'i n'],
    },
  });
  const tokenizer = tokenizerFromFiles({ 'tokenizer.json': definition });
  const text = 'rain rain\n港ra';
  t.deepEqual(
    slices(text, tokenizer.encode(text)).map(([slice, piece]) => [slice, piece]),
    [
      ['ra', 'ra'],
      ['in', 'in'],
      ['ra', 'Ġra'],
      ['in', 'in'],
      ['', 'Ċ'],
      ['港', 'æ'],
      ['港', '¸'],
      ['港', '¯'],
      ['ra', 'ra'],
    ],
  );
  t.deepEqual(
    slices('rain', tokenizer.encodeWords(['rain'])[0]).map(([slice, piece]) => [slice, piece]),
    [
      ['ra', 'Ġra'],
      ['in', 'in'],
    ],
  );
  t.match(
    complaint(() => tokenizer.encode('rain x')),
    /^tokenizer\.json: no offsets for this text: .* character 5, "x"$/,
  );
  t.end();
});

const german = '../shared/data/vocab/albert-30k-german/spiece.vocab';

test(
  'a published Unigram vocabulary',
  { skip: existsSync(german) ? undefined : `${german} is not there` },
  (t) => {
    const lines = readFileSync(german, 'utf8').trimEnd().split('\n');
    const pieces = lines.map((line): [string, number] => [line.split('\t')[0], Number(line.split('\t')[1])]);
    const tokenizer = tokenizerFromFiles({ 'tokenizer.json': unigram(pieces, albertNormalizers) });
    t.equal(tokenizer.vocabSize, 30000);
    const text = "Die Mühle am Café\u0301 öffnet um 9½ Uhr; ``gut so'', sagt ΣΑΣ 😀 – 港.";
    let covered = 0;
    let joined = '';
    for (const { start, end, text: piece } of tokenizer.encode(text)) {
      if (start < covered) t.fail(`piece at ${start} before ${covered}`);
      covered = end;
      joined += text.slice(start, end);
      if (/^▁?[a-z]+$/.test(piece)) {
        const slice = text
          .slice(start, end)
          .normalize('NFKD')
          .replace(/\p{Mn}/gu, '')
          .toLowerCase();
        t.equal(slice, piece.replace('▁', ''), piece);
      }
    }
    t.equal(joined, text.replace(/ /g, ''), 'the pieces leave nothing out');
    t.end();
  },
);
