import test from 'tape';
import { basicTokenize, standsAlone } from '../../../src/tasks/text/basic-tokenizer.ts';
import { splitWords } from '../../../src/tasks/text/words.ts';

type Row = [word: string, start: number, end: number];

function rows(text: string, doLowerCase: boolean, stripAccents?: boolean): Row[] {
  return basicTokenize(text, { doLowerCase, stripAccents }).map((w) => [w.text, w.start, w.end]);
}

test('words, punctuation and ideographs come apart, with their ranges', (t) => {
  t.deepEqual(
    rows("Otto's mill, (est.1890)", true),
    [
      ['otto', 0, 4],
      ["'", 4, 5],
      ['s', 5, 6],
      ['mill', 7, 11],
      [',', 11, 12],
      ['(', 13, 14],
      ['est', 14, 17],
      ['.', 17, 18],
      ['1890', 18, 22],
      [')', 22, 23],
    ],
    'ASCII punctuation',
  );
  t.deepEqual(
    rows('泵A3漏油。', false),
    [
      ['泵', 0, 1],
      ['A3', 1, 3],
      ['漏', 3, 4],
      ['油', 4, 5],
      ['。', 5, 6],
    ],
    'ideographs and ideographic punctuation',
  );
  t.deepEqual(
    rows('1$+2€', false),
    [
      ['1', 0, 1],
      ['$', 1, 2],
      ['+', 2, 3],
      ['2€', 3, 5],
    ],
    'symbols: ASCII ones alone',
  );
  t.deepEqual(rows('カタ한글', false), [['カタ한글', 0, 4]], 'kana and Hangul do not stand alone');
  t.deepEqual(rows('', true), [], 'nothing');
  t.deepEqual(rows(' \t\r\n\u3000\u2028', true), [], 'white space alone');
  t.end();
});

test('ranges count UTF-16 code units of the original', (t) => {
  t.deepEqual(
    rows('𠀋x😀', false),
    [
      ['𠀋', 0, 2],
      ['x😀', 2, 5],
    ],
    'an ideograph and an emoji beyond the BMP',
  );
  t.deepEqual(
    rows('𝓐b 𐐀', true),
    [
      ['𝓐b', 0, 3],
      ['𐐨', 4, 6],
    ],
    'lower-casing keeps surrogate pairs whole',
  );
  t.deepEqual(
    rows('a\u200bb\u0000c\ufffd d', false),
    [
      ['abc', 0, 5],
      ['d', 7, 8],
    ],
    'removed characters leave no gap',
  );
  t.deepEqual(rows('a\ud800b', false), [['ab', 0, 3]], 'a lone surrogate is removed');
  t.deepEqual(
    rows('a\u00a0b\u2028c\u3000d', false),
    [
      ['a', 0, 1],
      ['b', 2, 3],
      ['c', 4, 5],
      ['d', 6, 7],
    ],
    'separators',
  );
  t.deepEqual(rows('\ufeffa', false), [['a', 1, 2]], 'a byte-order mark');
  t.end();
});

test('lower-casing and accents', (t) => {
  t.deepEqual(
    rows('Café olé', true),
    [
      ['cafe', 0, 4],
      ['ole', 5, 8],
    ],
    'composed accents',
  );
  t.deepEqual(rows('Cafe\u0301s', true), [['cafes', 0, 6]], 'a decomposed accent inside');
  t.deepEqual(
    rows('Cafe\u0301 x', true),
    [
      ['cafe', 0, 5],
      ['x', 6, 7],
    ],
    'a decomposed accent belongs to its letter',
  );
  t.deepEqual(
    rows('İzmir', true),
    [['izmir', 0, 5]],
    'İ lower-cases to two code points, the second is an accent',
  );
  t.deepEqual(rows('İİx', true, false), [['i\u0307i\u0307x', 0, 3]], 'the same with accents kept');
  t.deepEqual(
    rows('ΟΔΟΣ ΣΑΣ', true),
    [
      ['οδος', 0, 4],
      ['σας', 5, 8],
    ],
    'the last sigma of a word',
  );
  t.deepEqual(
    rows('ＡＢ１，', true),
    [
      ['ａｂ１', 0, 3],
      ['，', 3, 4],
    ],
    'full-width forms stay full-width',
  );
  t.deepEqual(
    rows('a≠b', true),
    [
      ['a', 0, 1],
      ['=', 1, 2],
      ['b', 2, 3],
    ],
    'punctuation that only NFD brings out',
  );
  t.deepEqual(rows('Café', false), [['Café', 0, 4]], 'cased: all kept');
  t.deepEqual(rows('Café', false, true), [['Cafe', 0, 4]], 'accents alone');
  t.deepEqual(rows('\u0301', true), [], 'an accent alone leaves nothing');
  const [word] = basicTokenize('각x', { doLowerCase: true });
  t.deepEqual(
    word.chars.map((c) => [c.text, c.start, c.end]),
    [
      ['\u1100', 0, 1],
      ['\u1161', 0, 1],
      ['\u11a8', 0, 1],
      ['x', 1, 2],
    ],
    'the letters of a Hangul syllable share its range',
  );
  t.end();
});

test('standsAlone', (t) => {
  for (const char of '.,!`~$^。，「」中㐀豈𠀀丽') t.ok(standsAlone(char), char);
  for (const char of 'aé1€😀カ한＋') t.notOk(standsAlone(char), char);
  t.end();
});

test('splitWords keeps case and accents', (t) => {
  t.deepEqual(splitWords('Änne, 港A'), [
    { text: 'Änne', start: 0, end: 4 },
    { text: ',', start: 4, end: 5 },
    { text: '港', start: 6, end: 7 },
    { text: 'A', start: 7, end: 8 },
  ]);
  t.end();
});
