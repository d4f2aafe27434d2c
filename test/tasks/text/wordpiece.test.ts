import { readFileSync } from 'node:fs';
import test from 'tape';
import { InputError } from '../../../kernels/errors.ts';
import { tokenizerFiles, type Piece } from '../../../src/tasks/text/tokenizer.ts';
import { splitWords } from '../../../src/tasks/text/words.ts';
import { tokenizerFromFiles } from '../../../src/tasks/text/from-files.ts';
import { loadTokenizer } from '../../../src/tasks/text/load.ts';
import { buildVocab } from '../../../src/tasks/text/vocab.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';

const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
const vocab = [
  ...specials,
  'wind',
  '##mill',
  '##mil',
  '##ls',
  '##s',
  'w',
  ',',
  '港',
  'cafe',
  'é',
  '##\u1161',
  '\u1100',
];
const cased = createWordPieceTokenizer({ vocab, doLowerCase: false });
const uncased = createWordPieceTokenizer({ vocab, doLowerCase: true });

function rows(pieces: readonly Piece[]) {
  return pieces.map((p) => [p.id, p.text, p.start, p.end]);
}

test('the longest entry wins, from the left', (t) => {
  t.deepEqual(rows(uncased.encode('Windmills, WIND')), [
    [5, 'wind', 0, 4],
    [6, '##mill', 4, 8],
    [9, '##s', 8, 9],
    [11, ',', 9, 10],
    [5, 'wind', 11, 15],
  ]);
  t.deepEqual(rows(cased.encode('windmilwind')), [[1, '[UNK]', 0, 11]], 'no way back from a greedy choice');
  t.deepEqual(rows(cased.encode('Wind 港港')), [
    [1, '[UNK]', 0, 4],
    [12, '港', 5, 6],
    [12, '港', 6, 7],
  ]);
  t.deepEqual(
    rows(uncased.encode('CAFE\u0301 é')),
    [
      [13, 'cafe', 0, 5],
      [1, '[UNK]', 6, 7],
    ],
    'é is e here, which is no entry',
  );
  t.deepEqual(rows(cased.encode('é')), [[14, 'é', 0, 1]]);
  t.deepEqual(
    rows(uncased.encode('가')),
    [
      [16, '\u1100', 0, 1],
      [15, '##\u1161', 0, 1],
    ],
    'two pieces of one character',
  );
  t.end();
});

test('special tokens are neither added nor recognised', (t) => {
  t.deepEqual([cased.padId, cased.unkId, cased.clsId, cased.sepId, cased.maskId], [0, 1, 2, 3, 4]);
  t.equal(cased.vocabSize, vocab.length);
  t.deepEqual([cased.idOf('[SEP]'), cased.idOf('[sep]')], [3, undefined], 'but found by name');
  t.deepEqual(
    cased.encode('[SEP]').map((p) => p.id),
    [1, 1, 1],
    'the name in a text is three words',
  );
  t.end();
});

test('a word of 100 code points is looked up, one of 101 is unknown', (t) => {
  const deseret = createWordPieceTokenizer({ vocab: [...specials, '𐐨', '##𐐨'], doLowerCase: false });
  const pieces = deseret.encode('𐐨'.repeat(100));
  t.equal(pieces.length, 100);
  t.deepEqual(rows(pieces.slice(-1)), [[6, '##𐐨', 198, 200]]);
  t.deepEqual(rows(deseret.encode('𐐨'.repeat(101))), [[1, '[UNK]', 0, 202]]);
  t.end();
});

test('encodeWords gives every word a piece, with offsets in the word', (t) => {
  t.deepEqual(cased.encodeWords(['windmill', '\u0000\u200b', '', 'wind,s']).map(rows), [
    [
      [5, 'wind', 0, 4],
      [6, '##mill', 4, 8],
    ],
    [[1, '[UNK]', 0, 2]],
    [[1, '[UNK]', 0, 0]],
    [
      [5, 'wind', 0, 4],
      [11, ',', 4, 5],
      [1, '[UNK]', 5, 6],
    ],
  ]);
  const text = 'Windmills, 港 café';
  t.deepEqual(
    uncased.encodeWords(splitWords(text).map((w) => w.text)).flatMap((ps) => ps.map((p) => p.id)),
    uncased.encode(text).map((p) => p.id),
    'the words of splitWords give the pieces of the text',
  );
  t.end();
});

test('the words of the STSN fixture give the ids that its oracle used', async (t) => {
  const folder = 'test/fixtures/stsn';
  const batch = JSON.parse(readFileSync(`${folder}/batch.json`, 'utf8')) as { tokens: string[] }[];
  const expected = JSON.parse(readFileSync(`${folder}/pieces.json`, 'utf8')) as number[][][];
  const tokenizer = await loadTokenizer(`${folder}/both`);
  const ids = batch.map((row) => tokenizer.encodeWords(row.tokens).map((pieces) => pieces.map((p) => p.id)));
  t.deepEqual(ids, expected);
});

test('vocabularies that cannot be used', (t) => {
  const make = (entries: readonly string[] | ReadonlyMap<string, number>) => () =>
    createWordPieceTokenizer({ vocab: entries, doLowerCase: false, what: 'v.txt' });
  for (const token of specials.slice(0, 4)) {
    t.throws(
      make(vocab.filter((v) => v !== token)),
      new RegExp(`v\\.txt: no entry \\${token.slice(0, -1)}\\]`),
      token,
    );
  }
  t.equal(make(vocab.filter((v) => v !== '[MASK]'))().maskId, undefined, '[MASK] may be absent');
  t.throws(make([...vocab, '[PAD]']), /v\.txt: \[PAD\] stands twice, at lines 1 and 18/);
  t.throws(make([...vocab, '[PAD]']), InputError);
  t.throws(make(vocab.map((v) => `${v}\r`)), /no entry \[PAD\]/, 'Windows line ends');
  t.throws(make(new Map(vocab.map((v) => [v, 3]))), /"\[PAD\]" and "\[UNK\]" share the id 3/);
  t.throws(make(new Map(vocab.map((v, i) => [v, i + 0.5]))), /id of "\[PAD\]" is 0\.5/);
  t.throws(make(new Map(vocab.map((v, i) => [v, i * 1e8]))), /id of "\[UNK\]" is 100000000/);
  const twice = make([...vocab, 'w'])();
  t.deepEqual(rows(twice.encode('w')), [[17, 'w', 0, 1]], 'of equal entries the last counts');
  t.end();
});

test('tokenizerFiles loads again as the same tokenizer', (t) => {
  const gaps = new Map([...specials, '', '\u2028', 'wind', '##ls'].map((entry, i) => [entry, 2 * i]));
  for (const original of [
    cased,
    uncased,
    createWordPieceTokenizer({ vocab, doLowerCase: true, stripAccents: false }),
    createWordPieceTokenizer({ vocab: gaps, doLowerCase: false }),
  ]) {
    const files = tokenizerFiles(original);
    const again = tokenizerFromFiles(files);
    t.deepEqual(tokenizerFiles(again), files);
    t.equal(again.vocabSize, original.vocabSize);
    t.deepEqual(again.encode('WINDls windls café CAFÉ é'), original.encode('WINDls windls café CAFÉ é'));
  }
  t.end();
});

test('buildVocab', (t) => {
  const words = ['Ada', 'ada', 'wins', 'wins', 'wins', 'a,b', '港'];
  const expected = [...specials, ',', 'a', 'b', 'd', 'i', 'n', 's', 'w', '港'];
  expected.push('##a', '##b', '##d', '##i', '##n', '##s', '##w', 'wins', 'ada');
  t.deepEqual(buildVocab(words, { doLowerCase: true }), expected);
  t.deepEqual(
    buildVocab([...words].reverse(), { doLowerCase: true }),
    expected,
    'the order of the corpus is no matter',
  );
  t.deepEqual(
    buildVocab(words, { doLowerCase: true, size: expected.length - 1 }),
    expected.slice(0, -1),
    'size',
  );
  t.deepEqual(buildVocab(words, { doLowerCase: true, minCount: 3 }), expected.slice(0, -1), 'minCount');
  t.deepEqual(
    buildVocab(words, { doLowerCase: true, reserved: ['[unused1]', '<s>', '[unused1]'] }),
    [...specials, '[unused1]', '<s>', ...expected.slice(specials.length)],
    'reserved tokens follow the special ones',
  );
  t.throws(() => buildVocab(words, { doLowerCase: true, size: 20 }), /20 entries cannot hold the 21/);
  const tokenizer = createWordPieceTokenizer({ vocab: expected, doLowerCase: true });
  t.deepEqual(
    tokenizer.encode('Winda, 港').map((p) => p.text),
    ['w', '##i', '##n', '##d', '##a', ',', '港'],
    'an unseen word falls apart into characters',
  );
  t.end();
});
