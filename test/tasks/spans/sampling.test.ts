import test from 'tape';
import { labelSets, type Sentence } from '../../../src/tasks/dataset.ts';
import { readCorpus } from '../../../src/tasks/corpus-file.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import { allSamples, joinSamples, type Samples, sampleSentence } from '../../../src/tasks/spans/sampling.ts';
import { countSpans, enumerateSpans } from '../../../src/tasks/spans/enumerate.ts';
import { own, published } from '../data.ts';

const sentence: Sentence = {
  tokens: Array.from({ length: 12 }, (_, i) => `w${i}`),
  entities: [
    { type: 'B', start: 4, end: 6 },
    { type: 'A', start: 0, end: 1 },
    { type: 'A', start: 5, end: 12 },
    { type: 'B', start: 9, end: 12 },
  ],
  relations: [
    { type: 'r', head: 0, tail: 1 },
    { type: 's', head: 0, tail: 1 },
    { type: 's', head: 3, tail: 0 },
    { type: 's', head: 2, tail: 1 },
  ],
};
const labels = { ...labelSets([sentence]), maxSpanWidth: 3 };
const options = { ...labels, negativeSpans: 7, negativePairs: 2 };
const name = { seed: 1, epoch: 2, sentence: 3 };

/** Rows of three as strings. */
const rows = (table: Int32Array): string[] =>
  Array.from({ length: table.length / 3 }, (_, i) => table.subarray(3 * i, 3 * i + 3).join());

test('without sampling: every span and every ordered pair of kept entities, with its classes', (t) => {
  const all = allSamples(sentence, labels);
  t.deepEqual(all.spans, enumerateSpans([12], 3));
  const labelled = rows(all.spans).flatMap((row, i) =>
    all.spanLabels[i] ? [`${row}:${all.spanLabels[i]}`] : [],
  );
  t.deepEqual(labelled, ['0,0,1:1', '0,4,6:2', '0,9,12:2'], 'the entity of 7 tokens is left out');
  t.deepEqual(
    rows(all.heads),
    ['0,4,6', '0,4,6', '0,0,1', '0,0,1', '0,9,12', '0,9,12'],
    'by head, in file order',
  );
  t.deepEqual(rows(all.tails), ['0,0,1', '0,9,12', '0,4,6', '0,9,12', '0,4,6', '0,0,1'], 'then by tail');
  t.deepEqual([...all.relationTargets], [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], 'two types on the first pair');
  t.deepEqual(all.counts, { positiveSpans: 3, negativeSpans: 30, positivePairs: 2, negativePairs: 4 });
  t.end();
});

/** Checks that `some` is `all` without some of its negatives. */
function isSubset(some: Samples, all: Samples): boolean {
  const spanRows = rows(all.spans).map((row, i) => `${row}:${all.spanLabels[i]}`);
  const types = all.relationTargets.length / (all.heads.length / 3 || 1);
  const pairRows = (s: Samples): string[] =>
    rows(s.heads).map(
      (head, i) =>
        `${head};${rows(s.tails)[i]};${s.relationTargets.subarray(i * types, (i + 1) * types).join()}`,
    );
  const inOrder = (part: string[], whole: string[]): boolean => {
    const places = part.map((row) => whole.indexOf(row));
    return places.every((place, i) => place >= 0 && (i === 0 || place > places[i - 1]));
  };
  return (
    inOrder(
      rows(some.spans).map((row, i) => `${row}:${some.spanLabels[i]}`),
      spanRows,
    ) &&
    inOrder(pairRows(some), pairRows(all)) &&
    some.counts.positiveSpans === all.counts.positiveSpans &&
    some.spanLabels.filter((label) => label > 0).length === all.counts.positiveSpans &&
    some.counts.positivePairs === all.counts.positivePairs
  );
}

test('sampling keeps all positives, at most the asked negatives, in order', (t) => {
  const all = allSamples(sentence, labels);
  const sampled = sampleSentence(sentence, options, name);
  t.ok(isSubset(sampled, all), 'a subset in enumeration order with every positive');
  t.deepEqual(sampled.counts, { positiveSpans: 3, negativeSpans: 7, positivePairs: 2, negativePairs: 2 });
  t.equal(sampled.spanLabels.length, 10);
  t.equal(sampled.heads.length, 12);
  t.deepEqual(
    sampleSentence(sentence, { ...options, negativeSpans: 30, negativePairs: 4 }, name),
    all,
    'all fit',
  );
  const none = sampleSentence(sentence, { ...options, negativeSpans: 0, negativePairs: 0 }, name);
  t.deepEqual([...none.spanLabels], [1, 2, 2], 'no negatives asked, none given');
  t.deepEqual([...none.relationTargets], [1, 1, 0, 1]);
  t.end();
});

test('draws depend on seed, epoch and sentence, and on nothing else', (t) => {
  const drawn = (change: Partial<typeof name>): string =>
    rows(sampleSentence(sentence, options, { ...name, ...change }).spans).join(' ');
  t.equal(drawn({}), drawn({}));
  t.equal(new Set([drawn({}), drawn({ seed: 9 }), drawn({ epoch: 9 }), drawn({ sentence: 9 })]).size, 4);
  const seen = new Map<string, number>();
  for (let epoch = 0; epoch < 600; epoch++)
    for (const row of rows(sampleSentence(sentence, options, { ...name, epoch }).spans))
      seen.set(row, (seen.get(row) ?? 0) + 1);
  const negatives = [...seen.values()].filter((count) => count < 600);
  t.equal(negatives.length, 30, 'every negative is drawn at some time');
  t.ok(
    negatives.every((count) => Math.abs(count - 140) < 55),
    `evenly: ${Math.min(...negatives)} to ${Math.max(...negatives)} of 140`,
  );
  t.end();
});

test('a sentence without entities, or with one, has no pairs', (t) => {
  const bare = allSamples({ tokens: ['a', 'b'], entities: [], relations: [] }, labels);
  t.deepEqual([...bare.spanLabels], [0, 0, 0]);
  t.equal(bare.heads.length + bare.relationTargets.length, 0);
  const one = allSamples(
    { tokens: ['a'], entities: [{ type: 'A', start: 0, end: 1 }], relations: [] },
    labels,
  );
  t.deepEqual(one.counts, { positiveSpans: 1, negativeSpans: 0, positivePairs: 0, negativePairs: 0 });
  t.end();
});

test('joining numbers the sentences of a batch', (t) => {
  const one = allSamples(
    { tokens: ['a'], entities: [{ type: 'A', start: 0, end: 1 }], relations: [] },
    labels,
  );
  const joined = joinSamples([one, allSamples(sentence, labels)]);
  t.deepEqual(joined.spans, enumerateSpans([1, 12], 3));
  t.deepEqual(rows(joined.heads)[0], '1,4,6');
  t.deepEqual(rows(joined.tails)[5], '1,0,1');
  t.equal(joined.relationTargets.length, 12);
  t.deepEqual(joined.counts, { positiveSpans: 4, negativeSpans: 30, positivePairs: 2, negativePairs: 4 });
  t.end();
});

for (const { name, path, skip } of [
  own('words.json'),
  own('faults.json'),
  ...['conll04/conll04_dev', 'scierc/scierc_dev', 'diakg_sample/diakg_sample'].map((name) =>
    published(`${name}.json`),
  ),
]) {
  test(`sampling ${name}`, { skip }, (t) => {
    const sentences = readCorpus(stsn, path).sentences.slice(0, 80);
    const sets = { ...labelSets(sentences), maxSpanWidth: 10 };
    const wrong = sentences.filter((s, i) => {
      const all = allSamples(s, sets);
      const draw = { seed: 5, epoch: 0, sentence: i };
      const sampled = sampleSentence(s, { ...sets, negativeSpans: 100, negativePairs: 100 }, draw);
      const candidates = countSpans(s.tokens.length, 10) - all.counts.positiveSpans;
      return sampled.counts.negativeSpans !== Math.min(100, candidates) || !isSubset(sampled, all);
    });
    t.equal(wrong.length, 0);
    t.end();
  });
}
