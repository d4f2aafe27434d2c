/** Prediction and extraction by tiny models with random weights: what must hold whatever a model has learnt. */
import test from 'tape';
import type { Json } from '../../../src/models/config.ts';
import type { Stsn } from '../../../src/models/stsn.ts';
import type { SpanOptions } from '../../../src/tasks/spans/model.ts';
import type { Prediction } from '../../../src/tasks/spans/decode.ts';
import { predict } from '../../../src/tasks/spans/predict.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import { inputError, randomModel, sentencesOf, tinyConfig, tinyEncoder, tokenizerOf } from './tiny.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

const annotated = sentencesOf(0, 15);
const tokenizer = tokenizerOf(annotated);
const tokens = [...annotated.map((s) => s.tokens), ['Ostra'], ['.']];

const modelOf = (given: Json = {}): Stsn =>
  randomModel(runtime, tinyConfig(annotated, tokenizer, { maxSpanWidth: 3, ...given }), 5);

const loaded = (model: Stsn) => ({ model, tokenizer, extra: undefined, what: 'model' });

/** Sets the span head's bias, so that a model finds what it is told to. */
async function bias(model: Stsn, values: (classes: number) => number[]): Promise<Stsn> {
  const { tensor } = model.parameters.all.get('span_head.bias')!;
  await runtime.write(tensor, Float32Array.from(values(tensor.size)));
  return model;
}

/** A random model that takes about one span in nine for an entity. */
const model = await bias(modelOf({ relationThreshold: 0.5 }), (n) => [
  1.5,
  ...new Array<number>(n - 1).fill(0),
]);
const run = (list = tokens, options: SpanOptions = {}): Promise<Prediction[]> =>
  predict(loaded(model), list, (i) => `row ${i + 1}`, options);
const expected = await run();

const withoutScores = (list: readonly Prediction[]): unknown =>
  list.map(({ entities, relations }) => [
    entities.map(({ type, start, end }) => [type, start, end]),
    relations.map(({ type, head, tail }) => [type, head, tail]),
  ]);

function worstScore(a: readonly Prediction[], b: readonly Prediction[]): number {
  const scores = (list: readonly Prediction[]) =>
    list.flatMap((p) => [...p.entities, ...p.relations].map((x) => x.score));
  const other = scores(b);
  return Math.max(...scores(a).map((score, i) => Math.abs(score - other[i])));
}

test('predictions are well-formed', (t) => {
  const entities = expected.flatMap((p) => p.entities);
  const relations = expected.flatMap((p) => p.relations);
  t.ok(
    entities.length > 50 && relations.length > 50,
    `${entities.length} entities, ${relations.length} relations`,
  );
  expected.forEach((p, i) => {
    for (const e of p.entities)
      if (!(e.start >= 0 && e.end > e.start && e.end <= tokens[i].length && e.end - e.start <= 3))
        t.fail(`row ${i + 1}: ${JSON.stringify(e)}`);
    for (const r of p.relations)
      if (r.head === r.tail || !p.entities[r.head] || !p.entities[r.tail] || !(r.score >= 0.5))
        t.fail(`row ${i + 1}: ${JSON.stringify(r)}`);
  });
  t.ok(entities.every(({ score }) => score > 0 && score <= 1));
  t.equal(expected.length, tokens.length);
  t.ok(
    expected.slice(-2).every((p) => p.relations.length === 0),
    'sentences of one word',
  );
  t.end();
});

test('the result depends neither on the batching nor on the order', async (t) => {
  for (const batchSize of [1, 3, 16, 100]) {
    const found = await run(tokens, { batchSize });
    t.deepEqual(withoutScores(found), withoutScores(expected), `batches of ${batchSize}`);
    t.ok(worstScore(found, expected) <= 1e-5, `scores within ${worstScore(found, expected)}`);
  }
  const reversed = (await run([...tokens].reverse())).reverse();
  t.deepEqual(withoutScores(reversed), withoutScores(expected), 'reversed');
  t.ok(worstScore(reversed, expected) <= 1e-5);
  t.deepEqual(await run(), expected, 'twice the same bits');
  t.deepEqual(await run([]), [], 'no sentence');
});

test('pairs are scored in chunks', async (t) => {
  const total = expected.reduce((sum, { entities: { length } }) => sum + length * (length - 1), 0);
  const relationLogits = model.relationLogits.bind(model);
  for (const pairChunk of [16, 128, 4096]) {
    const sizes: number[] = [];
    model.relationLogits = (states, heads, tails) => {
      sizes.push(heads.length / 3);
      return relationLogits(states, heads, tails);
    };
    const found = await run(tokens.slice(0, 5), { pairChunk });
    const pairs = found.reduce((sum, { entities: { length } }) => sum + length * (length - 1), 0);
    t.ok(
      Math.max(...sizes) <= pairChunk && sizes.every((n) => n > 0),
      `at most ${Math.max(...sizes)} at once`,
    );
    t.equal(
      sizes.reduce((a, b) => a + b, 0),
      pairs,
      `all ${pairs} of ${total}`,
    );
    t.deepEqual(withoutScores(found), withoutScores(expected.slice(0, 5)), `chunks of ${pairChunk}`);
    t.ok(worstScore(found, expected.slice(0, 5)) <= 1e-5);
  }
  model.relationLogits = relationLogits;
  for (const options of [
    { pairChunk: 0 },
    { batchSize: 0 },
    { batchSize: 1.5 },
    { overlap: -1 },
    { overlap: NaN },
  ])
    t.match(
      await inputError(() => run(tokens, options)),
      /^predict: (pairChunk|batchSize|overlap) must be an integer/,
    );
  t.equal(runtime.memory.report().liveByLabel.activations, 0, 'no activation is left');
});

test('the flat policy leaves no overlap, and relations among what it keeps', async (t) => {
  const flat = await run(tokens, { policy: 'flat' });
  let dropped = 0;
  flat.forEach(({ entities, relations }, i) => {
    const all = new Set(expected[i].entities.map((e) => `${e.type} ${e.start} ${e.end}`));
    dropped += all.size - entities.length;
    entities.forEach((e, j) => {
      if (!all.has(`${e.type} ${e.start} ${e.end}`)) t.fail(`row ${i + 1}: a new entity`);
      if (j > 0 && e.start < entities[j - 1].end) t.fail(`row ${i + 1}: an overlap`);
    });
    if (relations.some((r) => !entities[r.head] || !entities[r.tail])) t.fail(`row ${i + 1}: a loose end`);
  });
  t.ok(dropped > 0, `${dropped} overlapping entities were left out`);
  t.end();
});

test('models that find nothing, and a model without relation types', async (t) => {
  const none = await bias(modelOf(), (n) => [100, ...new Array<number>(n - 1).fill(0)]);
  const found = await predict(loaded(none), tokens, String);
  t.ok(
    found.every((p) => p.entities.length === 0 && p.relations.length === 0),
    'nothing',
  );
  none.parameters.release();
  const entitiesOnly = modelOf({ relationTypes: [] });
  const some = await predict(loaded(entitiesOnly), tokens, String);
  t.ok(
    some.some((p) => p.entities.length > 0) && some.every((p) => p.relations.length === 0),
    'entities alone',
  );
  entitiesOnly.parameters.release();
});

test('errors name the sentence', async (t) => {
  t.match(await inputError(() => run([['a'], []])), /^row 2: a sentence of 0 words/);
  const narrow = modelOf({ encoder: { ...tinyEncoder, max_position_embeddings: 8 } });
  const unseen = ['a', 'eeeeeeeeee'].map((word) => [word]);
  t.equal(
    await inputError(() => predict(loaded(narrow), unseen, (i) => `row ${i + 1}`)),
    "row 2: 1 word makes 12 word pieces, more than the encoder's 8 positions; shorten the word, or leave it out",
    'a word that fits no window',
  );
  narrow.parameters.release();
});

test('extraction: offsets are UTF-16 code units of the line as given', async (t) => {
  // Takes every single word for a Person, so that all offsets of words can be seen.
  const every = await bias(modelOf({ maxSpanWidth: 1, relationTypes: [] }), (n) => {
    const values = new Array<number>(n).fill(0);
    values[1 + tinyConfig(annotated, tokenizer).entityTypes.indexOf('Person')] = 100;
    return values;
  });
  const lines: [string, [string, number][]][] = [
    [
      'Ana saw Bo.',
      [
        ['Ana', 0],
        ['saw', 4],
        ['Bo', 8],
        ['.', 10],
      ],
    ],
    ['', []],
    ['  \tleading', [['leading', 3]]],
    [' \t ', []],
    [
      'Zoë\tréussit',
      [
        ['Zoë', 0],
        ['réussit', 4],
      ],
    ],
    [
      'cafe\u0301 noir',
      [
        ['cafe\u0301', 0],
        ['noir', 6],
      ],
    ],
    [
      '𝒳𝒴 met 𠮷a',
      [
        ['𝒳𝒴', 0],
        ['met', 5],
        ['𠮷', 9],
        ['a', 11],
      ],
    ],
    [
      '她在東京。',
      [
        ['她', 0],
        ['在', 1],
        ['東', 2],
        ['京', 3],
        ['。', 4],
      ],
    ],
    [
      'Ｆｕｌｌ　ｗｉｄｔｈ！',
      [
        ['Ｆｕｌｌ', 0],
        ['ｗｉｄｔｈ', 5],
        ['！', 10],
      ],
    ],
    [
      '🚀🚀 up',
      [
        ['🚀🚀', 0],
        ['up', 5],
      ],
    ],
    [
      'ends in CR\r',
      [
        ['ends', 0],
        ['in', 5],
        ['CR', 8],
      ],
    ],
  ];
  const extracted = (texts: readonly string[]) =>
    stsn.extract(loaded(every), texts, (i) => `in.txt: line ${i + 1}`);
  const { results } = await extracted(lines.map(([line]) => line));
  t.equal(results.length, lines.length, 'a result for every line');
  lines.forEach(([line, words], i) => {
    const { text, entities, relations } = results[i];
    t.equal(text, line, 'the line itself');
    t.deepEqual(
      entities.map((e) => [e.text, e.start]),
      words,
      JSON.stringify(line),
    );
    t.ok(
      entities.every((e) => line.slice(e.start, e.end) === e.text && e.type === 'Person' && e.score === 1),
    );
    t.deepEqual(relations, []);
  });
  const long = new Array<string>(130).fill('a').join(' ');
  const { results: found } = await extracted(['ok', '', long]);
  t.deepEqual(
    found[2].entities.map(({ start, text }) => [start, text]),
    Array.from({ length: 130 }, (_, i) => [2 * i, 'a']),
    'each word once of a line that is longer than the encoder',
  );
  t.deepEqual((await extracted([])).results, []);
  t.deepEqual((await extracted(['', ' '])).results, [
    { text: '', entities: [], relations: [] },
    { text: ' ', entities: [], relations: [] },
  ]);
  every.parameters.release();
});

test('extraction: relations index the entities, spans of several words keep the text between', async (t) => {
  const lines = annotated.slice(0, 4).map((s) => s.tokens.join('  '));
  const { results } = await stsn.extract(loaded(model), lines, String);
  results.forEach(({ entities, relations }, i) => {
    const same = expected[i];
    t.deepEqual(
      entities.map((e) => e.text),
      same.entities.map((e) => tokens[i].slice(e.start, e.end).join('  ')),
    );
    t.deepEqual(
      relations.map(({ head, tail }) => [head, tail]),
      same.relations.map(({ head, tail }) => [head, tail]),
    );
  });
});
