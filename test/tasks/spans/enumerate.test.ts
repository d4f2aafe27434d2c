import test from 'tape';
import type { Sentence } from '../../../src/tasks/dataset.ts';
import { readCorpus } from '../../../src/tasks/corpus-file.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import {
  countSpans,
  entityPairs,
  enumerateSpans,
  firstOfEachSpan,
  keptAnnotation,
  spanIndex,
  spanLabels,
  spanNotes,
} from '../../../src/tasks/spans/enumerate.ts';
import { firstOnSpan, own, published } from '../data.ts';

test('spans are listed by sentence, start, end', (t) => {
  t.deepEqual(
    [...enumerateSpans([3, 0, 1], 2)],
    [0, 0, 1, 0, 0, 2, 0, 1, 2, 0, 1, 3, 0, 2, 3, 2, 0, 1],
    'lengths 3, 0, 1 and width 2',
  );
  t.equal(enumerateSpans([], 4).length, 0);
  t.end();
});

test('countSpans and spanIndex agree with the enumeration', (t) => {
  for (const length of [0, 1, 2, 5, 11, 12]) {
    for (const maxWidth of [1, 2, 4, 10, 11, 20]) {
      const spans = enumerateSpans([length], maxWidth);
      const rows = Array.from({ length: spans.length / 3 }, (_, i) => i);
      t.equal(countSpans(length, maxWidth), rows.length, `count of length ${length}, width ${maxWidth}`);
      t.deepEqual(
        rows.map((i) => spanIndex(length, maxWidth, spans[3 * i + 1], spans[3 * i + 2])),
        rows,
        `rows of length ${length}, width ${maxWidth}`,
      );
    }
  }
  t.end();
});

const sentence: Sentence = {
  tokens: ['a', 'b', 'c', 'd', 'e'],
  entities: [
    { type: 'X', start: 0, end: 2 },
    { type: 'Y', start: 0, end: 5 },
    { type: 'Y', start: 0, end: 2 },
    { type: 'Z', start: 3, end: 4 },
    { type: 'X', start: 0, end: 2 },
  ],
  relations: [
    { type: 'moves', head: 2, tail: 3 },
    { type: 'too-wide', head: 3, tail: 1 },
    { type: 'one-span', head: 0, tail: 2 },
    { type: 'stays', head: 3, tail: 0 },
  ],
};

test('wide entities and second types are left out, their relations moved or lost', (t) => {
  t.deepEqual(
    firstOfEachSpan(sentence.entities),
    [0, 1, 3].map((i) => sentence.entities[i]),
  );
  t.deepEqual(keptAnnotation(sentence, 3), {
    entities: [sentence.entities[0], sentence.entities[3]],
    relations: [
      { type: 'moves', head: 0, tail: 1 },
      { type: 'stays', head: 1, tail: 0 },
    ],
    wide: 1,
    retyped: 1,
    lostRelations: 2,
  });
  t.equal(keptAnnotation(sentence, 5).wide, 0, 'a width of exactly maxSpanWidth stays');
  const notes = spanNotes([sentence, sentence], 3);
  t.equal(notes.length, 3);
  t.match(notes[0], /wider than 3 tokens: 2;/);
  t.match(notes[1], /another type: 2;/);
  t.match(notes[2], /one span: 4$/);
  t.deepEqual(spanNotes([{ ...sentence, entities: [], relations: [] }], 3), []);
  t.end();
});

test('every span has its class', (t) => {
  const { entities } = keptAnnotation(sentence, 2);
  const labels = spanLabels(entities, 5, 2, ['X', 'Y', 'Z']);
  // 0-1 0-2 1-2 1-3 2-3 2-4 3-4 3-5 4-5
  t.deepEqual([...labels], [0, 1, 0, 0, 0, 0, 3, 0, 0]);
  t.throws(() => spanLabels(entities, 5, 2, ['X']), /type "Z" is not among the model's types \(X\)/);
  t.end();
});

test('ordered pairs stay within a sentence', (t) => {
  const [x, , , z] = sentence.entities;
  t.deepEqual(entityPairs([[x], [z, x]]), {
    pairs: Int32Array.of(1, 0, 1, 1, 1, 0),
    heads: Int32Array.of(1, 3, 4, 1, 0, 2),
    tails: Int32Array.of(1, 0, 2, 1, 3, 4),
  });
  t.equal(entityPairs([]).pairs.length, 0);
  t.end();
});

for (const { name, path, skip } of [own('words.json'), published('conll04/conll04_dev.json')])
  test(`${name} loses only what is wide and what is typed twice`, { skip }, (t) => {
    const sentences = readCorpus(stsn, path).sentences;
    const widths = sentences.flatMap((s) => firstOnSpan(s.entities).map((e) => e.end - e.start));
    for (const maxWidth of [3, 10]) {
      const kept = sentences.map((s) => keptAnnotation(s, maxWidth));
      t.equal(
        kept.reduce((sum, k) => sum + k.entities.length, 0),
        widths.filter((width) => width <= maxWidth).length,
        `width ${maxWidth}`,
      );
    }
    t.end();
  });
