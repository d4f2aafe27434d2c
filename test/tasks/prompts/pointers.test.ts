/** Pointers to answers: the pairing rule, by hand and against the rule written out differently. */
import test from 'tape';
import { stream } from '../../../src/nn/random.ts';
import { characterAnswer, decodePointers } from '../../../src/tasks/prompts/pointers.ts';

/** Probabilities from a picture: `S` a start, `E` an end, `B` both, `.` neither. */
const decode = (picture: string): [number, number][] => {
  const of = (letters: string) => Array.from(picture, (c) => (letters.includes(c) ? 0.9 : 0.1));
  return decodePointers(of('SB'), of('EB'), 0.5).map(({ first, last }) => [first, last]);
};

test('each end pairs with the nearest start that no nearer end has taken', (t) => {
  const cases: [picture: string, answers: [number, number][]][] = [
    ['', []],
    ['....', []],
    ['.S.E.', [[1, 3]]],
    ['B', [[0, 0]]],
    [
      'BB',
      [
        [0, 0],
        [1, 1],
      ],
    ],
    [
      'S.E.S.E',
      [
        [0, 2],
        [4, 6],
      ],
    ],
    ['SSE', [[1, 2]]],
    ['SEE', [[0, 1]]],
    [
      'SSEE',
      [
        [1, 2],
        [0, 3],
      ],
    ],
    [
      'S.B.E',
      [
        [2, 2],
        [0, 4],
      ],
    ],
    ['E.S', []],
    ['ES.E', [[1, 3]]],
    [
      'SS.E.SEE',
      [
        [1, 3],
        [5, 6],
        [0, 7],
      ],
    ],
  ];
  for (const [picture, answers] of cases) t.deepEqual(decode(picture), answers, picture || 'nothing');
  t.end();
});

test('random pointers: the same seen from the starts', (t) => {
  const random = stream(11);
  let answers = 0;
  for (let round = 0; round < 200; round++) {
    const starts = Array.from({ length: 12 }, () => random.uniform());
    const ends = Array.from({ length: 12 }, () => random.uniform());
    // From the last start to the first, each takes the nearest end at or after it that is left.
    const left = ends.flatMap((p, i) => (p >= 0.6 ? [i] : []));
    const expected = starts.flatMap((_, from) => {
      const first = starts.length - 1 - from;
      const at = left.findIndex((end) => end >= first);
      if (!(starts[first] >= 0.6) || at < 0) return [];
      const [last] = left.splice(at, 1);
      return [{ first, last, score: Math.sqrt(starts[first] * ends[last]) }];
    });
    expected.sort((a, b) => a.last - b.last);
    const found = decodePointers(starts, ends, 0.6);
    if (JSON.stringify(found) !== JSON.stringify(expected)) t.deepEqual(found, expected, `round ${round}`);
    answers += found.length;
  }
  t.ok(answers > 400, `${answers} answers`);
  t.end();
});

test('a score is the geometric mean, a probability equal to the threshold counts', (t) => {
  t.deepEqual(decodePointers([0.5, 0], [0, 0.98], 0.5), [{ first: 0, last: 1, score: 0.7 }]);
  t.deepEqual(decodePointers([0.4999, 0], [0, 1], 0.5), []);
  t.deepEqual(decodePointers([NaN, 1], [NaN, NaN], 0), [], 'NaN is nothing, whatever the threshold');
  t.end();
});

test('characters of an answer', (t) => {
  const piece = (start: number, end: number) => ({ id: 0, text: '', start, end });
  // 𠮷 takes two code units.
  const pieces = [piece(0, 1), piece(1, 3), piece(4, 5)];
  t.deepEqual(characterAnswer({ first: 1, last: 2, score: 1 }, pieces), { start: 1, end: 5, score: 1 });
  t.deepEqual(characterAnswer({ first: 1, last: 1, score: 1 }, pieces), { start: 1, end: 3, score: 1 });
  t.end();
});
