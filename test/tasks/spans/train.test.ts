/** What training learns, counts and refuses; where it writes. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { InputError, SpanwiseError } from '../../../kernels/errors.ts';
import type { Json } from '../../../src/models/config.ts';
import { interactions, Stsn } from '../../../src/models/stsn.ts';
import { Parameters, randomSource } from '../../../src/nn/parameters.ts';
import { folderStorage, loadModel } from '../../../src/node.ts';
import type { Sentence } from '../../../src/tasks/dataset.ts';
import { sampleSentence, type SampleCounts } from '../../../src/tasks/spans/sampling.ts';
import type { SpanRecipe } from '../../../src/tasks/spans/model.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import type { Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { defaultRecipe } from '../../../src/tasks/training/recipe.ts';
import { canResume } from '../../../src/tasks/training/state.ts';
import {
  corpusOf,
  inputError,
  logOf,
  randomModel,
  sentencesOf,
  temporaryFolder,
  tinyConfig,
  tinyEncoder,
  tokenizerOf,
  trainRun,
  type StsnRun,
} from './tiny.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

/** Options that train one epoch on `sentences` alone, with a tiny model made for them. */
function runOn(
  sentences: readonly Sentence[],
  overrides: Partial<SpanRecipe> = {},
  given: Json = {},
): StsnRun {
  const tokenizer = tokenizerOf(sentences);
  const recipe = { ...defaultRecipe(stsn.recipe), epochs: 1, lr: 3e-3, dropout: 0, ...overrides };
  const model = randomModel(runtime, tinyConfig(sentences, tokenizer, given), recipe.seed);
  const out = temporaryFolder();
  return {
    model,
    tokenizer,
    extra: undefined,
    what: out,
    train: corpusOf(sentences, 'train.json'),
    recipe,
    out,
  };
}

/** The log of the run on `options`, whose model is freed. */
async function logged(options: StsnRun): Promise<Record<string, unknown>[]> {
  try {
    await trainRun(stsn, options);
  } finally {
    options.model.parameters.release();
  }
  return logOf(options.out);
}

const related = sentencesOf(0, 16).filter((s) => s.relations.length > 0);

test('a tiny STSN learns eight sentences by heart', async (t) => {
  const run = runOn(related.slice(0, 8), { epochs: 40 }, { encoder: { ...tinyEncoder, hidden_size: 64 } });
  const report = await trainRun(stsn, run);
  const { ner, rePlus } = await stsn.evaluate(run, run.train);
  t.comment(`${report.steps} steps in ${report.seconds.toFixed(1)} s, loss ${report.loss.loss.toFixed(4)}`);
  t.equal(ner.micro.f1, 1, 'NER F1');
  t.ok(rePlus.micro.f1 >= 0.9, `RE+ F1 ${rePlus.micro.f1}`);
  t.equal(report.submitsPerStep, 1, 'a step is one submit');
  t.ok(report.step.backward.macs > report.step.forward.macs && report.flops > 0, 'the work is counted');
  run.model.parameters.release();

  const saved = await loadModel(runtime, run.out, stsn);
  const again = await saved.evaluate(run.train);
  t.deepEqual([again.ner.micro, again.rePlus.micro], [ner.micro, rePlus.micro], 'so does the saved model');
  saved.release();
  t.equal(runtime.memory.report().liveBytes, 0);
});

test('one step moves every parameter that the loss reaches, and no other', async (t) => {
  const cases: [string, Json, RegExp][] = [
    ...interactions.map((interaction): [string, Json, RegExp] => [
      interaction,
      { interaction, layers: 2 },
      interaction === 'both' ? /pooler/ : /pooler|combine/,
    ]),
    ['label: false', { label: false }, /pooler/],
    ['no layers', { layers: 0 }, /pooler/],
  ];
  for (const [name, given, unreached] of cases) {
    const options = runOn(related.slice(0, 4), {}, given);
    const { config } = options.model;
    options.model.parameters.release();
    const model = new Stsn(new Parameters(runtime, randomSource(1)), config, true);
    const before = await model.parameters.read();
    await trainRun(stsn, { ...options, model });
    const after = await model.parameters.read();
    const still = [...before].flatMap(([key, { data }]) =>
      data.every((value, i) => value === after.get(key)?.data[i]) ? [key] : [],
    );
    // The true gradient of an attention's key bias is 0: rounding decides whether it moves.
    const movable = [...before.keys()].filter((key) => !/key\.bias$/.test(key));
    t.deepEqual(
      movable.filter((key) => still.includes(key)),
      movable.filter((key) => unreached.test(key)),
      `${name}: ${before.size - still.length} of ${before.size} moved`,
    );
    t.ok(
      [...after.values()].every(({ data }) => data.every(Number.isFinite)),
      'all finite',
    );
    model.parameters.release();
  }
});

test('the log counts what was sampled', async (t) => {
  const sentences = sentencesOf(0, 12);
  const options = runOn(
    sentences,
    { epochs: 2, negativeSpans: 5, negativePairs: 1, seed: 3 },
    { maxSpanWidth: 2 },
  );
  const { recipe, model } = options;
  const expected = [0, 1].map((epoch) => {
    const counts: SampleCounts = { positiveSpans: 0, negativeSpans: 0, positivePairs: 0, negativePairs: 0 };
    sentences.forEach((s, sentence) => {
      const drawn = sampleSentence(s, { ...model.config, ...recipe }, { seed: recipe.seed, epoch, sentence });
      for (const key of Object.keys(counts) as (keyof SampleCounts)[]) counts[key] += drawn.counts[key];
    });
    return counts;
  });
  const [start, ...epochs] = await logged(options);
  epochs.forEach((e, i) => {
    const { positiveSpans, negativeSpans, positivePairs, negativePairs } = e;
    t.deepEqual(
      { positiveSpans, negativeSpans, positivePairs, negativePairs },
      expected[i],
      `epoch ${i + 1}`,
    );
  });
  t.equal(expected[0].negativeSpans, 5 * 12, 'as many negatives as allowed');
  t.match(String(start.notes), /wider than 2 tokens/, 'what the model cannot express is noted');
});

const plain = (...tokens: string[]): Sentence => ({ tokens, entities: [], relations: [] });
const onePlace: Sentence = { ...plain('Ostra', 'sleeps'), entities: [{ type: 'Place', start: 0, end: 1 }] };
const labels = { entityTypes: ['Person', 'Place'], relationTypes: ['Knows'] };

test('batches that have nothing for one of the losses', async (t) => {
  const cases: [string, Sentence[], Partial<SpanRecipe>, Json, RegExp][] = [
    ['no entity', [plain('It', 'rained', '.'), plain('Snow')], {}, labels, /relation/],
    ['no pair of entities', [onePlace, plain('Snow')], {}, labels, /relation/],
    ['no span at all', [plain('It', 'rained', '.')], { negativeSpans: 0 }, labels, /span|relation/],
    ['no negatives', related.slice(0, 4), { negativeSpans: 0, negativePairs: 0 }, {}, /^$/],
    ['a model without relation types', [onePlace], {}, {}, /relation/],
    ['a model without types', [plain('It', 'rained', '.')], {}, {}, /./],
    ['a model without labels', related.slice(0, 4), {}, { label: false }, /tag/],
    ['a model without labels and tags', related.slice(0, 4), {}, { label: false, tags: [] }, /tag/],
  ];
  for (const [name, sentences, overrides, given, zero] of cases) {
    const [start, epoch] = await logged(runOn(sentences, overrides, given));
    const none = 'no relation is annotated: the model learns entities alone';
    t.equal((start.notes as string[]).includes(none), zero.test('relation'), `${name}: that is noted`);
    for (const part of ['tag', 'span', 'relation']) {
      const value = Number(epoch[part]);
      t.ok(zero.test(part) ? value === 0 : value > 0, `${name}: ${part} ${value}`);
    }
    const sum = Number(epoch.tag) + Number(epoch.span) + Number(epoch.relation);
    t.ok(Math.abs(Number(epoch.loss) - sum) < 1e-5, `the loss is their sum`);
    t.ok(Number.isFinite(epoch.gradNorm), `gradient norm ${String(epoch.gradNorm)}`);
  }
});

test('data and recipes that are refused before the first step', async (t) => {
  const sentences = related.slice(0, 4);
  const refused = async (change: (o: StsnRun) => Partial<StsnRun>, message: RegExp, given: Json = {}) => {
    const options = runOn(sentences, {}, given);
    const changed = { ...options, ...change(options) };
    const text = await inputError(() => trainRun(stsn, changed));
    for (const { model } of [options, changed]) model.parameters.release();
    t.match(text, message);
    t.notOk(existsSync(join(options.out, 'log.jsonl')), 'nothing was written');
  };
  const strange = { ...onePlace, entities: [{ type: 'Ship', start: 0, end: 1 }] };
  const [first] = related.filter((s) => s.entities.length > 1);
  const marries = { ...first, relations: [{ type: 'Marries', head: 0, tail: 1 }] };
  const corpus = (...list: Sentence[]) => corpusOf(list, 'a.json');
  await refused(() => ({ train: corpus() }), /^a\.json: holds no sentence$/);
  await refused(() => ({ dev: corpus() }), /^a\.json: holds no sentence$/);
  await refused(() => ({ train: corpus(first, strange) }), /^a\.json: row 2: entities\[0\]\.type is "Ship"/);
  await refused(() => ({ train: corpus(marries) }), /^a\.json: row 1: relations\[0\]\.type is "Marries"/);
  const long = plain(...new Array<string>(200).fill('word'));
  await refused(() => ({ train: corpus(first, long) }), /^a\.json: row 2: 200 words make \d+ word pieces/);
  await refused(
    () => ({ train: corpus(long, first, long) }),
    /^a\.json: 2 bad rows \(--on-bad skip leaves them out\): row 1: 200 words .*; row 3: 200 words [^;]*; split it$/,
  );
  // Longer sentences are scored in windows, but no window holds half a word.
  const narrow = { encoder: { ...tinyEncoder, max_position_embeddings: 84 } };
  const wide = plain('e'.repeat(90));
  await refused(() => ({ dev: corpus(long, wide) }), /^a\.json: row 2: 1 word makes 92 word pieces/, narrow);
  for (const [key, value] of Object.entries({
    ...{ epochs: 0, lr: -1, batch: 1.5, seed: 2 ** 32, weightDecay: NaN, warmup: 2, dropout: 1, clip: 0 },
    ...{ negativeSpans: Infinity, negativePairs: -1 },
  }))
    await refused(
      ({ recipe }) => ({ recipe: { ...recipe, [key]: value } }),
      new RegExp(`^recipe: "${key}" must`),
    );
  await refused(({ model, tokenizer }) => {
    const config = { ...model.config, tags: model.config.tags.slice(0, -1) };
    return { model: new Stsn(new Parameters(runtime, randomSource(1)), config), tokenizer };
  }, /config: "tags" lacks I-/);
});

test('long rows that are left out, long dev rows, labels that dev alone has', async (t) => {
  const sentences = related.slice(0, 4);
  const long = plain(...new Array<string>(200).fill('word'));
  const ship: Sentence = { ...onePlace, entities: [{ type: 'Ship', start: 0, end: 1 }] };
  const train = { ...corpusOf([long, ...sentences], 'a.json'), onBad: 'skip' as const };
  const wide: Sentence = { ...long, entities: [{ type: 'Place', start: 0, end: 150 }] };
  const dev = corpusOf([wide, ship, ...sentences], 'b.json');
  const [start, epoch] = await logged({ ...runOn(sentences), train, dev });
  t.equal(start.sentences, 4);
  const notes = start.notes as string[];
  t.match(notes[0], /^bad rows, left out: 1 \(row 1: 200 words make \d+ word pieces/);
  t.ok(
    notes.includes('b.json: entities of types that the model does not have (Ship): 1; counted as missed'),
    notes.join('; '),
  );
  t.ok(
    notes.some((note) => /^b\.json: entities wider than \d+ tokens: 1;/.test(note)),
    'and what is too wide',
  );
  t.equal(typeof (epoch.dev as { ner: number }).ner, 'number', 'dev is scored, the long sentence in windows');
});

test('an output folder with other files keeps them', async (t) => {
  const options = runOn([onePlace]);
  mkdirSync(join(options.out, 'notes'));
  const others = ['notes/a.txt', 'config.yaml', 'model.bin'].map((name) => join(options.out, name));
  others.forEach((path) => writeFileSync(path, path));
  await logged(options);
  for (const path of others) t.equal(readFileSync(path, 'utf8'), path);
  (await loadModel(runtime, options.out, stsn)).release();
});

test('output folders that cannot be used are told before training', async (t) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'log/log.jsonl'), { recursive: true });
  writeFileSync(join(folder, 'vocab.txt'), 'of another model');
  let steps = 0;
  const refused = async (out: string, tokenizer?: Tokenizer) => {
    const options = runOn([onePlace]);
    const own = tokenizer ?? options.tokenizer;
    const message = await inputError(() =>
      trainRun(stsn, {
        ...options,
        tokenizer: own,
        out,
        onEvent: (e) => (steps += e.event === 'step' ? 1 : 0),
      }),
    );
    options.model.parameters.release();
    return message.replaceAll(folder, 'F');
  };
  t.match(await refused(join(folder, 'file')), /^F\/file\S*: /);
  t.match(await refused(join(folder, 'file/below')), /^F\/file\/below\S*: /);
  t.match(await refused(join(folder, 'log')), /F\/log\/log\.jsonl: is a folder/);
  const json = Object.create(tokenizerOf([onePlace]), {
    files: { value: () => ({ 'tokenizer.json': '{}' }) },
  }) as Tokenizer;
  t.match(await refused(folder, json), /^F\/vocab\.txt: would be taken for a part of the model's tokenizer/);
  t.equal(readFileSync(join(folder, 'vocab.txt'), 'utf8'), 'of another model');

  const closed = join(folder, 'closed');
  mkdirSync(closed, { mode: 0o555 });
  const root = process.getuid?.() === 0;
  if (root) process.seteuid?.(65534);
  const message = await refused(join(closed, 'model')).finally(() => root && process.seteuid?.(0));
  t.match(message, /^F\/closed\S*: permission denied/);
  t.equal(steps, 0, 'no step was made');
});

test('a loss that is not finite any more ends the run, and the checkpoint stays', async (t) => {
  for (const [recipe, said, saveSeconds] of [
    [{ epochs: 4, batch: 2, lr: 1e18 }, /diverged at step \d+ \(loss NaN, .*lower lr/],
    // No loss comes after the last step of an epoch, and none in one that is saved.
    [{ epochs: 1, batch: 4, lr: 1e30 }, /diverged at step 1 \(\S+ holds \S+\); try a lower lr/],
    [{ epochs: 1, batch: 2, lr: 1e30 }, /diverged at step 1 \(\S+ holds/, 1e-9],
  ] as [Partial<SpanRecipe>, RegExp, number?][]) {
    const options = runOn(related.slice(0, 4), { ...recipe, warmup: 0 });
    const error = await trainRun(stsn, { ...options, saveSeconds }).then(
      () => undefined,
      (e: unknown) => e,
    );
    options.model.parameters.release();
    t.ok(error instanceof SpanwiseError && !(error instanceof InputError));
    t.match(String(error), said);
    t.ok(await canResume(folderStorage(options.out)));
    for (const dir of [options.out, join(options.out, 'last')]) {
      const { model } = await loadModel(runtime, dir, stsn);
      const weights = await model.parameters.read();
      t.ok(
        [...weights.values()].every(({ data }) => data.every(Number.isFinite)),
        'it loads, all finite',
      );
      model.parameters.release();
    }
  }
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});
