import test from 'tape';
import { inverseClasses, relationClasses, visibleKinds } from '../../../src/models/lai-config.ts';
import { entitiesOf, keptTargets, relationsOf, targetsOf, widestOf } from '../../../src/tasks/lai/rows.ts';
import { pairRow } from '../../../src/tasks/spans/enumerate.ts';
import { sentence, tinyConfig } from './tiny.ts';

const relational = tinyConfig({ stage: 'relations' });

test('the kinds that each kind sees', (t) => {
  const sees = (visibility: string, markerVisibility = 'pair') =>
    visibleKinds(tinyConfig({ visibility, markerVisibility }));
  t.deepEqual(sees('invisible'), [0b101, 0b010, 0b001]);
  t.deepEqual(sees('invisible', 'all'), [0b101, 0b010, 0b101]);
  t.deepEqual(sees('visible'), [0b111, 0b011, 0b001]);
  t.deepEqual(sees('full'), [7, 7, 7]);
  t.end();
});

test('targets of spans: the filter tells entities, the span head what is kept', (t) => {
  const wide = { ...sentence, entities: [...sentence.entities, { type: 'LOC', start: 3, end: 6 }] };
  const labels = targetsOf(wide, tinyConfig());
  t.deepEqual([...labels], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2], 'of width 2 at most, in enumeration order');
  t.deepEqual(
    [...keptTargets(labels)],
    [1, -100, -100, -100, -100, 1, -100, -100, -100, -100, 2],
    'gold alone',
  );
  const filter = Float32Array.from({ length: 22 }, (_, i) => Number(i === 5));
  t.deepEqual(
    [...keptTargets(labels, filter)],
    [1, -100, 0, -100, -100, 1, -100, -100, -100, -100, 2],
    'and what the filter says yes to',
  );
  t.equal(keptTargets(Int32Array.of(-100), Float32Array.of(0, 1))[0], -100);
  t.equal(widestOf(relational), Infinity, 'entities of every width are related');
  t.end();
});

test('targets of pairs: a type, its inverse, a symmetric type both ways', (t) => {
  t.equal(relationClasses(relational), 3);
  t.deepEqual(inverseClasses(relational), [2, 1]);
  const targets = targetsOf(sentence, relational);
  t.deepEqual(
    [
      [0, 1],
      [0, 2],
      [1, 0],
      [1, 2],
      [2, 0],
      [2, 1],
    ].map(([i, j]) => pairRow(3, i, j)),
    [0, 1, 2, 3, 4, 5],
  );
  t.deepEqual([...targets], [0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
  t.deepEqual([...targetsOf({ ...sentence, entities: [], relations: [] }, relational)], []);
  t.throws(
    () => targetsOf({ ...sentence, relations: [{ type: 'owns', head: 0, tail: 1 }] }, relational),
    /^InputError: type "owns" is not among the model's types/,
  );
  t.end();
});

test('entities are what the filter and the span head take, overlaps stay', (t) => {
  const logits = new Float32Array(11 * 3);
  const filter = new Float32Array(22);
  for (const row of [0, 5, 6]) logits[3 * row + 1] = 2;
  logits[3 * 10 + 2] = 1;
  for (const row of [5, 6, 7, 10]) filter[2 * row + 1] = 1;
  filter.set([1, 1], 20);
  const found = (filtered: boolean) =>
    entitiesOf(logits, filtered ? filter : undefined, 6, tinyConfig()).map(
      (e) => `${e.type} ${e.start} ${e.end}`,
    );
  t.deepEqual(found(true), ['PER 2 4', 'PER 3 4'], 'equal is no');
  t.deepEqual(found(false), ['PER 0 1', 'PER 2 4', 'PER 3 4', 'LOC 5 6']);
  const score = Math.exp(2) / (Math.exp(2) + 2);
  t.ok(Math.abs(entitiesOf(logits, filter, 6, tinyConfig())[0].score - score) < 1e-6);
  t.end();
});

test('a relation needs both directions, a symmetric one is given once', (t) => {
  const config = { ...relational, relationThreshold: 0.5 };
  const logits = new Float32Array(18).fill(-3);
  const set = (head: number, tail: number, c: number, value: number) =>
    (logits[3 * pairRow(3, head, tail) + c] = value);
  set(0, 2, 0, 3);
  t.deepEqual(relationsOf(logits, sentence.entities, config), [], 'the inverse does not agree');
  set(2, 0, 2, 1);
  set(1, 0, 1, 2);
  set(0, 1, 1, 0);
  const found = relationsOf(logits, sentence.entities, config);
  t.deepEqual(
    found.map(({ type, head, tail }) => `${type} ${head} ${tail}`),
    ['spouse 0 1', 'lives 0 2'],
    'a score equal to the threshold counts',
  );
  t.equal(found[0].score, 0.5, 'the lesser of both');
  t.ok(Math.abs(found[1].score - 1 / (1 + Math.exp(-1))) < 1e-6);
  t.deepEqual(relationsOf(new Float32Array(0), sentence.entities.slice(0, 1), config), []);
  // What the targets say as logits decodes to the gold, a symmetric relation by the first of its entities.
  const gold = Float32Array.from(targetsOf(sentence, config), (target) => 10 * target - 5);
  t.deepEqual(
    relationsOf(gold, sentence.entities, config).map(({ type, head, tail }) => ({ type, head, tail })),
    [
      { type: 'spouse', head: 0, tail: 1 },
      { type: 'lives', head: 0, tail: 2 },
    ],
  );
  t.end();
});
