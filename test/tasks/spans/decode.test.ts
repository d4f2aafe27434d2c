import test from 'tape';
import { bestClasses, decodeEntities, decodeRelations } from '../../../src/tasks/spans/decode.ts';
import { entityPairs } from '../../../src/tasks/spans/enumerate.ts';

test('the best class and its probability, stable for large logits', (t) => {
  const { labels, scores } = bestClasses([0, Math.log(3), 0, 1e5, 1e5, 0, -1e5, 0, -1e5], 3);
  t.deepEqual([...labels], [1, 0, 1], 'a tie goes to the lowest class');
  t.deepEqual(
    [...scores].map((s) => +s.toFixed(12)),
    [0.6, 0.5, 1],
  );
  t.equal(bestClasses([], 4).labels.length, 0);
  t.end();
});

const spans = Int32Array.of(0, 2, 5, 0, 0, 3, 0, 4, 6, 0, 7, 8, 1, 0, 1, 1, 0, 2, 1, 1, 2);
const best = { labels: [1, 2, 2, 0, 1, 2, 1], scores: [0.8, 0.7, 0.9, 0.99, 0.5, 0.5, 0.5] };

test('all entities, overlapping ones too', (t) => {
  t.deepEqual(decodeEntities(spans, best, 3, ['A', 'B']), [
    [
      { type: 'B', start: 0, end: 3, score: 0.7 },
      { type: 'A', start: 2, end: 5, score: 0.8 },
      { type: 'B', start: 4, end: 6, score: 0.9 },
    ],
    [
      { type: 'A', start: 0, end: 1, score: 0.5 },
      { type: 'B', start: 0, end: 2, score: 0.5 },
      { type: 'A', start: 1, end: 2, score: 0.5 },
    ],
    [],
  ]);
  t.end();
});

test('flat: the best first, nothing over it; ties by start, then length', (t) => {
  const spansOf = (entities: { start: number; end: number }[][]): number[][][] =>
    entities.map((list) => list.map(({ start, end }) => [start, end]));
  t.deepEqual(spansOf(decodeEntities(spans, best, 3, ['A', 'B'], 'flat')), [
    [
      [0, 3],
      [4, 6],
    ],
    [[0, 2]],
    [],
  ]);
  const touching = Int32Array.of(0, 0, 2, 0, 2, 3);
  t.equal(
    decodeEntities(touching, { labels: [1, 1], scores: [1, 1] }, 1, ['A'], 'flat')[0].length,
    2,
    'touching',
  );
  t.end();
});

test('relations at or over the threshold, several on a pair', (t) => {
  const entity = { type: 'A', start: 0, end: 1 };
  const { pairs } = entityPairs([[], [entity, entity]]);
  const relations = decodeRelations(pairs, [0.4, 0.9, 0.39, NaN], 2, ['r', 's'], 0.4);
  t.deepEqual(relations, [
    [],
    [
      { type: 'r', head: 0, tail: 1, score: 0.4 },
      { type: 's', head: 0, tail: 1, score: 0.9 },
    ],
  ]);
  t.end();
});
