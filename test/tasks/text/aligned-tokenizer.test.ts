/** RoBERTa's byte-level BPE and XLM-RoBERTa's Unigram: exact offsets on any text, files of any form. */
import test from 'tape';
import { tokenizerFromFiles } from '../../../src/tasks/text/from-files.ts';
import { tokenizerFiles, type Piece, type Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { mulberry32, randomTexts } from './random.ts';

/** GPT-2's letters of the bytes: printable Latin-1 stands for itself, what is left counts up from U+0100. */
const letters = ((): string[] => {
  const plain = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(plain(byte) ? byte : next++));
})();
const spelt = (text: string): string[] => Array.from(new TextEncoder().encode(text), (byte) => letters[byte]);

const specials = ['<s>', '<pad>', '</s>', '<unk>', '<mask>'];
/** A vocabulary of all bytes and of merges that join bytes within and across characters, and a space to a word. */
const mergePairs: [string, string][] = [
  ['a', 'b'],
  ['Ġ', 'a'],
  ['Ġ', 'ab'],
  ['Ġ', 't'],
  ['h', 'e'],
  ['Ġt', 'he'],
  [letters[0xe6], letters[0xb8]],
  [letters[0xe6] + letters[0xb8], letters[0xaf]],
  [letters[0xc3], letters[0xa9]],
  [letters[0xa9], letters[0xc3]],
  [letters[0xe3], letters[0x80]],
  ['Ġ', 'Ġ'],
];
const vocabulary = Object.fromEntries(
  [...specials, ...letters, ...mergePairs.map(([a, b]) => a + b)].map((entry, id) => [entry, id]),
);
const merges = ['#version: 0.2', ...mergePairs.map(([a, b]) => `${a} ${b}`), ''].join('\n');
const slow = { 'vocab.json': JSON.stringify(vocabulary), 'merges.txt': merges };
const fast = (more: object = {}): Record<string, string> => ({
  'tokenizer.json': JSON.stringify({
    version: '1.0',
    added_tokens: specials.map((content, id) => ({
      id,
      content,
      special: true,
      lstrip: content === '<mask>',
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
    post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0] },
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      unk_token: null,
      vocab: vocabulary,
      merges: mergePairs.map((pair) => pair.join(' ')),
    },
    ...more,
  }),
});

const slices = (text: string, pieces: readonly Piece[]) =>
  pieces.map(({ start, end, text: piece }) => [text.slice(start, end), piece]);

/** Range of the characters of which a run of bytes holds a part, white space at the ends left out. */
function rangeOf(text: string, from: number, to: number): [number, number] | undefined {
  let [byte, at] = [0, 0];
  const touched: [number, number, string][] = [];
  for (const char of text) {
    const length = new TextEncoder().encode(char).length;
    if (byte < to && byte + length > from) touched.push([at, at + char.length, char]);
    byte += length;
    at += char.length;
  }
  while (touched.length > 0 && /\s/.test(touched[0][2])) touched.shift();
  while (touched.length > 0 && /\s/.test(touched[touched.length - 1][2])) touched.pop();
  return touched.length > 0 ? [touched[0][0], touched[touched.length - 1][1]] : undefined;
}

/** The first thing that is wrong with byte-level pieces: they are the text's bytes, each where it stands. */
function fault(text: string, pieces: readonly Piece[]): string | undefined {
  const bytes = spelt(text);
  if (pieces.map((piece) => piece.text).join('') !== bytes.join('')) return 'the pieces are not the text';
  let at = 0;
  for (const piece of pieces) {
    const length = [...piece.text].length;
    const [start, end] = rangeOf(text, at, at + length) ?? [-1, -1];
    if (start >= 0 && (piece.start !== start || piece.end !== end))
      return `${piece.text} is at ${piece.start}..${piece.end}, not ${start}..${end}`;
    if (start < 0 && piece.start !== piece.end) return `white space ${piece.text} is not empty`;
    at += length;
  }
  return undefined;
}

test('byte-level BPE: the pieces are the bytes of the text, each with its range', (t) => {
  for (const [name, files] of Object.entries({ slow, fast: fast() })) {
    const tokenizer = tokenizerFromFiles(files);
    const { padId, unkId, clsId, sepId, maskId, vocabSize } = tokenizer;
    t.deepEqual([clsId, padId, sepId, unkId, maskId], [0, 1, 2, 3, 4], name);
    t.equal(vocabSize, Object.keys(vocabulary).length);
    const random = mulberry32(7);
    const texts = [
      ...['the ab  theé港\u3000。', '\u00a0a\u00a0', ' ab ', '</s> <mask> <pad>', '', '\u200b \ud800x', 'éà'],
      ...randomTexts(11, 300),
      ...randomTexts(12, 100).map((text) =>
        text.replace(/./gu, (c) => (random() < 0.4 ? (' ab the 港'[c.charCodeAt(0) % 10] ?? c) : c)),
      ),
    ];
    const wrong = texts.map((text) => [text, fault(text, tokenizer.encode(text))]).filter(([, f]) => f);
    t.deepEqual(wrong.slice(0, 3), [], `${texts.length} texts`);
    t.notOk(
      tokenizer.encode('</s> <mask>').some(({ id }) => id < specials.length),
      'the name of a special token is text',
    );
    t.deepEqual(slices('the ab', tokenizer.encode('the ab')), [
      ['t', 't'],
      ['he', 'he'],
      ['ab', 'Ġab'],
    ]);
    t.deepEqual(
      tokenizer.encodeWords(['the', 'ab', '港a']).map((pieces, i) => slices(['the', 'ab', '港a'][i], pieces)),
      [
        [['the', 'Ġthe']],
        [['ab', 'Ġab']],
        [
          ['', 'Ġ'],
          ['港', '港'.replace('港', spelt('港').join(''))],
          ['a', 'a'],
        ],
      ],
      'a given word stands after a space',
    );
    t.match(tokenizer.casing, /^text keeps its case /);
    const copy = tokenizerFromFiles(tokenizerFiles(tokenizer));
    t.deepEqual(copy.encode(texts[0]), tokenizer.encode(texts[0]), 'copied and loaded');
  }
  t.end();
});

test('byte-level BPE: a space before the text, added tokens, files that are no merges', (t) => {
  const config = JSON.stringify({ tokenizer_class: 'RobertaTokenizer', add_prefix_space: true });
  const prefixed = tokenizerFromFiles({ ...slow, 'tokenizer_config.json': config });
  t.deepEqual(slices('the ab', prefixed.encode('the ab')), [
    ['the', 'Ġthe'],
    ['ab', 'Ġab'],
  ]);
  const added = [{ id: 300, content: '<é>', special: false, rstrip: true, lstrip: true }];
  const text = 'the <é>  ab<é>';
  t.deepEqual(slices(text, tokenizerFromFiles(fast({ added_tokens: added })).encode(text)), [
    ['t', 't'],
    ['he', 'he'],
    ['<é>', '<é>'],
    ['ab', 'ab'],
    ['<é>', '<é>'],
  ]);
  t.throws(
    () => tokenizerFromFiles({ ...slow, 'merges.txt': 'a b\na b c\n' }),
    /^InputError: merges\.txt: line 2: "a b c" is not two pieces with a space between$/,
  );
  t.throws(() => tokenizerFromFiles({ ...slow, 'vocab.json': '[]' }), /vocab\.json: not a JSON object/);
  const other = { ...slow, 'tokenizer_config.json': '{"tokenizer_class": "GPT2Tokenizer"}' };
  t.throws(() => tokenizerFromFiles(other), /tokenizer_class is GPT2Tokenizer, which is not followed/);
  t.end();
});

/** XLM-RoBERTa's `tokenizer.json` over the characters of some texts. */
function unigram(texts: readonly string[], known: (char: string) => boolean): Tokenizer {
  const chars = new Set(
    texts.flatMap((text) => [...text.normalize('NFKC')]).filter((c) => !/\s/.test(c) && known(c)),
  );
  const vocab: [string, number][] = [
    ...(['<s>', '<pad>', '</s>', '<unk>'].map((name) => [name, 0]) as [string, number][]),
    ...([
      ['▁', -3],
      ['▁the', -2],
      ['he', -2.5],
      ['▁ab', -2],
    ] as [string, number][]),
    ...[...chars].map((char, i): [string, number] => [char, -8 - (i % 7)]),
    ['<mask>', 0],
  ];
  return tokenizerFromFiles({
    'tokenizer.json': JSON.stringify({
      version: '1.0',
      added_tokens: [{ id: vocab.length - 1, content: '<mask>', special: true, lstrip: true }],
      normalizer: { type: 'Sequence', normalizers: [{ type: 'Precompiled', precompiled_charsmap: '' }] },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'WhitespaceSplit' },
          { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
        ],
      },
      post_processor: null,
      decoder: { type: 'Metaspace', replacement: '▁' },
      model: { type: 'Unigram', unk_id: 3, vocab },
    }),
  });
}

/** Whether the pieces go through the text in order and leave out nothing but white space and what has no form. */
function hole(text: string, pieces: readonly Piece[]): string | undefined {
  let [covered, from] = [0, 0];
  for (const { start, end } of pieces) {
    if (start < from || end < Math.max(start, covered) || end > text.length) return `range ${start}..${end}`;
    from = start;
    const gap = text
      .slice(covered, Math.max(covered, start))
      .normalize('NFKC')
      .replace(/[\s\p{C}\u2581\u00ad]/gu, '');
    if (gap.replace(/\p{M}/gu, '') !== '') return `left out ${JSON.stringify(gap)}`;
    covered = end;
  }
  return undefined;
}

for (const share of [1, 0.8])
  test(`Unigram: offsets on any text, ${share === 1 ? 'every' : 'not every'} character known`, (t) => {
    const texts = randomTexts(21, 250);
    const random = mulberry32(9);
    const drawn = new Map<string, boolean>();
    const known = (char: string): boolean => {
      if (!drawn.has(char)) drawn.set(char, random() < share);
      return drawn.get(char)!;
    };
    const tokenizer = unigram([...texts, 'the ab'], known);
    const wrong: unknown[] = [];
    for (const text of texts)
      try {
        const found = hole(text, tokenizer.encode(text));
        if (found) wrong.push([text, found]);
        if (tokenizer.encodeWords([text])[0].length === 0) wrong.push([text, 'no piece']);
      } catch (error) {
        wrong.push([text, (error as Error).message]);
      }
    t.deepEqual(wrong.slice(0, 3), [], `${texts.length} texts`);
    const text = '</s> the <mask>';
    t.notOk(
      tokenizer.encode(text).some(({ id }) => id === tokenizer.sepId || id === tokenizer.maskId),
      'the name of a special token is text',
    );
    t.end();
  });
