/** Sentences longer than the encoder: windows that cover every word, and what is found in them put together. */
import test from 'tape';
import { parseBertConfig } from '../../../src/models/bert.ts';
import type { WordBatch } from '../../../src/models/words.ts';
import { Parameters, randomSource } from '../../../src/nn/parameters.ts';
import { stream, type Random } from '../../../src/nn/random.ts';
import type { Prediction } from '../../../src/tasks/spans/decode.ts';
import type { SpanModel } from '../../../src/tasks/spans/model.ts';
import { predict } from '../../../src/tasks/spans/predict.ts';
import { mergeWindows, wordWindows, type WordWindow } from '../../../src/tasks/spans/windows.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';
import { tinyEncoder } from './tiny.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

const ranges = (windows: readonly WordWindow[]) => windows.map(({ from, to }) => [from, to]);
const owned = (windows: readonly WordWindow[]) => windows.map(({ ownFrom, ownTo }) => [ownFrom, ownTo]);

test('windows by hand', (t) => {
  const ones = (count: number) => new Array<number>(count).fill(1);
  t.deepEqual(wordWindows([], 8), [{ from: 0, to: 0, ownFrom: 0, ownTo: 0 }], 'no word');
  t.deepEqual(ranges(wordWindows(ones(8), 8)), [[0, 8]], 'all words fit');
  const two = wordWindows(ones(9), 8);
  t.deepEqual(ranges(two), [
    [0, 8],
    [6, 9],
  ]);
  t.deepEqual(
    owned(two),
    [
      [0, 7],
      [7, 9],
    ],
    'what they share is parted in the middle',
  );
  t.deepEqual(
    ranges(wordWindows(ones(9), 8, 0)),
    [
      [0, 8],
      [8, 9],
    ],
    'no overlap',
  );
  t.deepEqual(
    ranges(wordWindows([3, 3, 3, 3, 1, 8, 1], 8)),
    [
      [0, 2],
      [2, 5],
      [5, 6],
      [6, 7],
    ],
    'words stay whole, and share only where there is room',
  );
  t.deepEqual(
    ranges(wordWindows([1, 9, 1], 8)),
    [
      [0, 1],
      [1, 2],
      [2, 3],
    ],
    'a word too long for any window is by itself',
  );
  t.end();
});

test('whatever the sizes: every word is the own of one window, none is too long or one too many', (t) => {
  const random = stream(3);
  let [cut, sharing] = [0, 0];
  for (let round = 0; round < 500; round++) {
    const pieces = Array.from({ length: 1 + random.integer(100) }, () => 1 + random.integer(6));
    const room = 1 + random.integer(40);
    const overlap = random.integer(20);
    const windows = wordWindows(pieces, room, overlap);
    const sum = (from: number, to: number) => pieces.slice(from, to).reduce((total, n) => total + n, 0);
    const owners = pieces.map((_, word) => windows.filter((w) => word >= w.ownFrom && word < w.ownTo).length);
    if (owners.some((count) => count !== 1)) t.fail(`round ${round}: owners ${owners.join(' ')}`);
    windows.forEach(({ from, to, ownFrom, ownTo }, w) => {
      const what = `round ${round}, window ${w}`;
      if (!(from <= ownFrom && ownFrom < ownTo && ownTo <= to))
        t.fail(`${what}: its own are not among its words`);
      if (to - from > 1 && sum(from, to) > room)
        t.fail(`${what}: ${sum(from, to)} pieces in room for ${room}`);
      if (to < pieces.length && sum(from, to + 1) <= room) t.fail(`${what}: one more word would fit`);
      if (w === 0) return;
      const before = windows[w - 1];
      if (from > before.to || to <= before.to) t.fail(`${what}: brings nothing new`);
      const shared = sum(from, before.to);
      if (shared > Math.min(overlap, room / 4)) t.fail(`${what}: shares ${shared} pieces`);
      if (shared > 0) sharing++;
    });
    if (windows.length > 1) cut++;
  }
  t.ok(cut > 300 && sharing > 300, `${cut} sentences were cut, ${sharing} windows share words`);
  t.end();
});

test('predictions of two windows put together, by hand', (t) => {
  const windows = [
    { from: 0, to: 8, ownFrom: 0, ownTo: 6 },
    { from: 4, to: 12, ownFrom: 6, ownTo: 12 },
  ];
  const entity = (type: string, start: number, end: number, score = 0.9) => ({ type, start, end, score });
  const found: Prediction[] = [
    {
      entities: [entity('A', 0, 1), entity('A', 5, 7), entity('B', 6, 7), entity('B', 7, 8)],
      relations: [
        { type: 'near', head: 0, tail: 1, score: 0.8 },
        { type: 'near', head: 1, tail: 2, score: 0.7 },
        { type: 'near', head: 2, tail: 0, score: 0.6 },
        { type: 'near', head: 0, tail: 3, score: 0.5 },
      ],
    },
    {
      entities: [entity('A', 1, 3, 0.4), entity('B', 2, 3, 0.95), entity('A', 6, 8)],
      relations: [
        { type: 'near', head: 0, tail: 1, score: 0.1 },
        { type: 'near', head: 1, tail: 0, score: 0.2 },
        { type: 'near', head: 2, tail: 1, score: 0.3 },
      ],
    },
  ];
  t.deepEqual(mergeWindows(windows, found), {
    entities: [entity('A', 0, 1), entity('A', 5, 7), entity('B', 6, 7, 0.95), entity('A', 10, 12)],
    relations: [
      { type: 'near', head: 0, tail: 1, score: 0.8 },
      { type: 'near', head: 1, tail: 2, score: 0.7 },
      { type: 'near', head: 2, tail: 1, score: 0.2 },
      { type: 'near', head: 3, tail: 2, score: 0.3 },
    ],
  });
  t.deepEqual(
    mergeWindows(windows, found, 'flat'),
    {
      entities: [entity('A', 0, 1), entity('B', 6, 7, 0.95), entity('A', 10, 12)],
      relations: [{ type: 'near', head: 2, tail: 1, score: 0.3 }],
    },
    'the better of two that overlap where the windows meet',
  );
  t.deepEqual(mergeWindows(windows.slice(0, 1), found.slice(0, 1)), found[0], 'one window');
  t.end();
});

const pieces = ['a', '##a', 'Ana', 'Bo', 'Ostra'];
const vocab = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...pieces];
const tokenizer = createWordPieceTokenizer({ vocab, doLowerCase: false });

/**
 * A model that follows a rule: "Ana", "Bo" and "Ana Bo" are persons, "Ostra" is a place, and a person lives in a place
 * one word away at most, whichever comes first. `seen` are the lengths of the sentences that it was given.
 */
function ruled(positions: number, seen: number[] = []): SpanModel<WordBatch> {
  const encoder = parseBertConfig(
    { ...tinyEncoder, vocab_size: vocab.length, max_position_embeddings: positions },
    'encoder',
  );
  const spelt = ({ pieces, words, columns }: WordBatch, b: number, start: number, end: number): string =>
    Array.from({ length: end - start }, (_, w) => {
      const at = 3 * (b * columns + start + w);
      const from = b * pieces.columns;
      return Array.from(
        pieces.ids.subarray(from + words[at + 1], from + words[at + 2]),
        (id) => vocab[id],
      ).join('');
    }).join(' ');
  const rows = (spans: Int32Array) =>
    Array.from({ length: spans.length / 3 }, (_, s) => spans.subarray(3 * s, 3 * s + 3));
  return {
    parameters: new Parameters(runtime, randomSource(1)),
    config: {
      ...{ encoder, maxSpanWidth: 2, relationThreshold: 0.5 },
      ...{ entityTypes: ['Person', 'Place'], relationTypes: ['lives'] },
    },
    states: (batch) => {
      seen.push(...batch.pieces.lengths);
      return batch;
    },
    spanLogits: (batch, spans) =>
      runtime.upload(
        Float32Array.from(
          rows(spans).flatMap(([b, start, end]) => {
            const name = spelt(batch, b, start, end);
            return [0, { Ana: 7, Bo: 8, 'Ana Bo': 9 }[name] ?? -9, name === 'Ostra' ? 9 : -9];
          }),
        ),
        [spans.length / 3, 3],
      ),
    relationLogits: (batch, heads, tails) => {
      const ends = rows(tails);
      return runtime.upload(
        Float32Array.from(rows(heads), ([b, start, end], p) => {
          const [, from, to] = ends[p];
          const near = Math.max(from - end, start - to) <= 1;
          return spelt(batch, b, from, to) === 'Ostra' && spelt(batch, b, start, end) !== 'Ostra' && near
            ? 9
            : -9;
        }),
        [heads.length / 3, 1],
      );
    },
  };
}

const words = (random: Random, length: number): string[] =>
  Array.from({ length }, () => ['a', 'aa', 'aaa', 'a', 'aa', 'Ana', 'Bo', 'Ostra'][random.integer(8)]);

test('a long text gives what it gives in one piece', async (t) => {
  const random = stream(8);
  const texts = [200, 5, 100, 62, 63, 64, 1].map((length) => words(random, length));
  const ask = (model: SpanModel<WordBatch>, options = {}) =>
    predict({ model, tokenizer }, texts, (i) => `row ${i + 1}`, options);
  const expected = await ask(ruled(1024));
  const relations = expected.reduce((total, each) => total + each.relations.length, 0);
  t.ok(expected[0].entities.length > 50 && relations > 50, `${relations} relations`);
  const seen: number[] = [];
  const inOrder = (list: readonly Prediction[]) =>
    list.map(({ entities, relations }) => ({
      entities,
      relations: [...relations].sort((a, b) => a.head - b.head || a.tail - b.tail),
    }));
  t.deepEqual(inOrder(await ask(ruled(66, seen))), inOrder(expected), 'in windows');
  t.ok(
    Math.max(...seen) <= 66 && seen.length > 2 * texts.length,
    `${seen.length} windows of 66 pieces at most`,
  );
  const told: [string, number, number][] = [];
  const progress = (...args: [string, number, number]) => told.push(args);
  t.deepEqual(
    inOrder(await ask(ruled(66), { batchSize: 3, progress })),
    inOrder(expected),
    'in other batches',
  );
  t.deepEqual(
    told.map(([, done]) => done),
    [...told.map(([, done]) => done)].sort((a, b) => a - b),
  );
  t.deepEqual(told.at(-1), ['sentences', texts.length, texts.length], 'progress counts texts, not windows');
  const flat = await ask(ruled(66), { policy: 'flat' });
  flat.forEach(({ entities, relations }, i) => {
    if (entities.some(({ start }, e) => e > 0 && start < entities[e - 1].end))
      t.fail(`row ${i + 1}: an overlap`);
    if (relations.some(({ head, tail }) => !entities[head] || !entities[tail]))
      t.fail(`row ${i + 1}: a loose end`);
  });
  t.deepEqual(inOrder(flat), inOrder(await ask(ruled(1024), { policy: 'flat' })), 'without overlaps');
});
