/** Training a CEREM: accumulation, freezing, resuming bit for bit, batches of like length, what is refused. */
import { join } from 'node:path';
import test from 'tape';
import { folderStorage, loadModel } from '../../../src/node.ts';
import { readSafetensorsFile, readTextFile } from '../../../src/io/files.ts';
import { bucketBatches } from '../../../src/tasks/prompts/batches.ts';
import { cerem } from '../../../src/tasks/prompts/cerem.ts';
import { evaluateCerem } from '../../../src/tasks/prompts/evaluate.ts';
import { parseSchema, schemaJson } from '../../../src/tasks/prompts/schema.ts';
import { parseRecipe } from '../../../src/tasks/training/recipe.ts';
import type { LogEvent } from '../../../src/tasks/training/curve.ts';
import { readState } from '../../../src/tasks/training/state.ts';
import { relativeError } from '../../relative-error.ts';
import { differences, finalFiles, inputError, logOf, temporaryFolder, trainRun } from '../runs.ts';
import { corpusOf, documentsOf, schema, tinyRecipe, tinyRun, type CeremRun } from './tiny.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime({ poison: false });
/** Trains and frees the model; ends at the first event that `stop` picks. */
async function train(options: CeremRun, stop?: (event: LogEvent) => boolean): Promise<string> {
  const onEvent = (event: LogEvent): void => {
    if (stop?.(event)) throw new Error('stopped');
  };
  try {
    await trainRun(cerem, { ...options, onEvent });
    return 'it ran to the end';
  } catch (error) {
    if ((error as Error).message === 'stopped') return 'stopped';
    throw error;
  } finally {
    options.model.parameters.release();
  }
}

const tensorsOf = (out: string, file: string) => readSafetensorsFile(join(out, file)).tensors;

/** What the dev scores of `everything` are, by epoch: the first only reaches 0.2, the second passes it. */
const scores = [0.2, 0.3, 0.15, 0.4];

/** A run that meets everything: parts of batches, frozen epochs and thawed ones, dropout, sampled negatives. */
const everything = { epochs: 4, accumulation: 3, freezeUntil: 0.2, negatives: 0.5 };

function runOfEverything(out: string, change: Partial<CeremRun> = {}): CeremRun {
  const made = tinyRun(runtime, out, everything);
  if (change.model) made.model.parameters.release();
  const options = { ...made, ...change };
  const { model, tokenizer, dev } = options;
  return {
    ...options,
    async evaluate() {
      const score = scores[logOf(out).length - 1];
      const evaluation = await evaluateCerem(model, tokenizer, dev?.documents ?? [], schema);
      return { score, f1: { entity: evaluation.entity?.micro.f1 ?? NaN }, evaluation };
    },
  };
}

const whole = temporaryFolder();
await train(runOfEverything(whole));
const epochs = logOf(whole).slice(1);

test('a run: the loss falls, the best model and the schema are in the folder', async (t) => {
  t.ok(Number(epochs[3].loss) < 0.7 * Number(epochs[0].loss), `${epochs[0].loss} to ${epochs[3].loss}`);
  t.ok(epochs.every((e) => e.positives === epochs[0].positives && e.negatives === epochs[0].negatives));
  t.ok(Number(epochs[0].positives) > 0 && Number(epochs[0].negatives) > 0, 'samples are counted');
  t.deepEqual(JSON.parse(readTextFile(join(whole, 'schema.json'), 'schema')), schemaJson(schema));
  t.deepEqual((await readState(cerem, folderStorage(whole))).recipe, { ...tinyRecipe, ...everything });
  const saved = await loadModel(runtime, whole, cerem);
  t.deepEqual(saved.extra, parseSchema(schemaJson(schema), 'saved'));
  saved.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('the encoder is frozen until the dev score passes the threshold, and learns from then on', async (t) => {
  t.deepEqual(
    epochs.map((e) => e.frozen),
    [true, true, false, false],
  );
  const out = temporaryFolder();
  const options = runOfEverything(out);
  const initial = await options.model.parameters.read();
  await train(options, (e) => e.event === 'step' && e.epoch === 3);
  const frozen = tensorsOf(out, 'last/model.safetensors');
  for (const [name, { data }] of initial) {
    const moved = relativeError(frozen.get(name)?.data ?? [], data) > 0;
    if (moved === name.startsWith('encoder.')) t.fail(`${name} ${moved ? 'has' : 'has not'} moved`);
  }
  const moments = [...tensorsOf(out, 'last/optimizer.safetensors').keys()];
  t.ok(
    moments.length > 0 && !moments.some((name) => name.includes('.encoder.')),
    'no moments of the encoder',
  );
  const end = tensorsOf(whole, 'last/model.safetensors');
  for (const [name, { data }] of initial)
    if (/^encoder\.encoder.*(query|value|dense)\.weight$/.test(name))
      t.ok(relativeError(end.get(name)?.data ?? [], data) > 1e-4, `${name} has learnt`);
});

test('random weights are not frozen', async (t) => {
  const out = temporaryFolder();
  await train(tinyRun(runtime, out, { epochs: 1 }));
  t.notOk('frozen' in logOf(out)[1]);
  t.ok([...tensorsOf(out, 'last/optimizer.safetensors').keys()].some((name) => name.includes('.encoder.')));
});

test('a batch in parts has the gradient of the whole', async (t) => {
  const one = { epochs: 1, batch: 1000, dropout: 0 };
  const [at, parts] = [temporaryFolder(), temporaryFolder()];
  await train(tinyRun(runtime, at, one));
  await train(tinyRun(runtime, parts, { ...one, accumulation: 5 }));
  const [expected, actual] = [at, parts].map((out) => tensorsOf(out, 'last/optimizer.safetensors'));
  const [line, other] = [at, parts].map((out) => logOf(out)[1]);
  for (const key of ['loss', 'start', 'end', 'gradNorm'])
    t.ok(Math.abs(Number(line[key]) / Number(other[key]) - 1) < 1e-4, `${key} ${line[key]}, ${other[key]}`);
  // After one step the first moment is a tenth of the gradient.
  let worst = 0;
  for (const [name, { data }] of expected)
    if (name.startsWith('m.') && !name.endsWith('key.bias'))
      worst = Math.max(worst, relativeError(actual.get(name)?.data ?? [], data));
  t.ok(worst < 1e-3, `relative error ${worst}`);
});

test('stopped and resumed: the same bytes, across the thaw and within a batch in parts', async (t) => {
  const expected = finalFiles(whole);
  const batches = Math.ceil(Number(logOf(whole)[0].samples) / tinyRecipe.batch);
  const step = (number: number) => (e: LogEvent) => e.event === 'step' && e.step === number;
  for (const [when, stop] of [
    ['in a frozen epoch', step(batches + 2)],
    ['at the thaw', (e: LogEvent) => e.event === 'epoch' && e.epoch === 2],
    ['in the first epoch that learns all', step(2 * batches + 2)],
  ] as const) {
    const out = temporaryFolder();
    t.equal(await train({ ...runOfEverything(out), saveSeconds: 1e-9 }, stop), 'stopped', when);
    // The model comes from the folder: its weights are not those that the seed gives.
    const { model, tokenizer } = await loadModel(runtime, join(out, 'last'), cerem);
    await train({ ...runOfEverything(out, { model, tokenizer }), resume: true });
    t.deepEqual(differences(finalFiles(out), expected), [], when);
  }
  t.equal(runtime.memory.report().liveBytes, 0);
});

test('only the same run is resumed', async (t) => {
  const refused = async (change: Partial<CeremRun>, what: string): Promise<void> => {
    const options = tinyRun(runtime, whole, everything);
    const message = await inputError(() => trainRun(cerem, { ...options, resume: true, ...change }));
    options.model.parameters.release();
    t.ok(message.includes(`the run was started with ${what}`), message);
  };
  await refused({ train: corpusOf(documentsOf(0, 17), 'f') }, 'other training data');
  await refused({ extra: { ...schema, relationTemplate: '{relation}：{subject}' } }, 'other training data');
  await refused({ dev: corpusOf(documentsOf(0, 3), 'f') }, 'other dev data');
  await refused({ recipe: { ...tinyRecipe, ...everything, negatives: 1 } }, 'another recipe');
});

for (const [mix, names] of [
  ['per-head', ['mix.weight', 'headMix']],
  ['gated', ['mix.weight', 'gate.weight', 'gate.bias']],
] as const)
  test(`shared projections, ${mix}: the loss falls, and the mix learns`, async (t) => {
    const out = temporaryFolder();
    const one = { epochs: 3, batch: 1000, dropout: 0, negatives: 0, warmup: 0 };
    const { dev: _, ...options } = tinyRun(runtime, out, one, { projections: 'shared', mix });
    const initial = await options.model.parameters.read();
    await train(options);
    const losses = logOf(out)
      .slice(1)
      .map((e) => Number(e.loss));
    t.ok(losses.length === 3 && losses.every(Number.isFinite), losses.join(' '));
    t.ok(losses[2] < losses[1] && losses[1] < losses[0], 'a step an epoch, on the same samples');
    const end = tensorsOf(out, 'last/model.safetensors');
    for (const name of ['start', 'end'].flatMap((branch) => names.map((part) => `${branch}.${part}`))) {
      const before = initial.get(name)?.data ?? [];
      t.ok(before.length > 0 && relativeError(end.get(name)?.data ?? [], before) > 1e-3, `${name} has moved`);
    }
  });

test('dev texts: few subjects are asked about, and progress is told', async (t) => {
  const out = temporaryFolder();
  const text = '今年夏天在北边的田里稻有了蚜虫';
  const pest = { type: '病虫害', start: 13, end: 15 };
  const dev = corpusOf([{ text, entities: [pest], relations: [] }], 'dev.json');
  // At threshold 0 every character is a subject, and is asked about twice.
  const options = tinyRun(runtime, out, { epochs: 1 }, { threshold: 0 });
  const told: LogEvent[] = [];
  const { best } = await trainRun(cerem, { ...options, dev, onEvent: (event) => told.push(event) });
  options.model.parameters.release();
  t.ok(best.dev?.notes.includes('none of the relations that the schema asks for is annotated'));
  t.equal(best.dev?.effort.prompts, 3 + 2 * 10);
  t.equal(best.dev?.effort.unasked, 2 * (text.length - 10));
  const evaluating = told.filter(({ event }) => event === 'evaluate');
  t.deepEqual([...new Set(evaluating.map(({ what }) => what))], ['entities', 'relations']);
  const last = evaluating[evaluating.length - 1];
  t.deepEqual([last.epoch, last.done], [1, last.total]);
  t.deepEqual(
    logOf(out).map(({ event }) => event),
    ['start', 'epoch'],
    'progress is not written',
  );
});

test('texts longer than the model takes are cut into windows', async (t) => {
  const out = temporaryFolder();
  const long = documentsOf(0, 6).map((d) => ({ ...d, text: `${d.text}${'这里没有别的。'.repeat(12)}` }));
  const options = tinyRun(runtime, out, { epochs: 1 }, { maxLength: 40 });
  await train({ ...options, train: corpusOf([...long, ...documentsOf(6, 9)], 'long.json') });
  const [start, epoch] = logOf(out);
  t.ok(Number(start.samples) > 50, `${start.samples} inputs`);
  t.equal(Number(epoch.positives) + Number(epoch.negatives), start.samples);
});

test('what cannot be learnt', async (t) => {
  const refuse = async (change: Partial<CeremRun>, given = {}): Promise<string> => {
    const options = tinyRun(runtime, temporaryFolder(), {}, given);
    const message = await inputError(() => trainRun(cerem, { ...options, ...change }));
    options.model.parameters.release();
    return message;
  };
  const document = (text: string, start: number, end: number) =>
    corpusOf(
      [...documentsOf(0, 2), { text, entities: [{ type: '作物', start, end }], relations: [] }],
      'x.json',
    );
  t.equal(
    await refuse({ train: document('稻', 0, 2) }),
    'x.json: row 3: entities[0] [0, 2) is not a part of the text of 1 characters',
  );
  t.match(await refuse({ dev: document('', 0, 1) }), /^x\.json: row 3: entities\[0\] \[0, 1\) is not a part/);
  t.match(
    await refuse({ train: document('稻'.repeat(70), 0, 70) }, { maxLength: 8 }),
    /^x\.json: row 1, prompt "病害或虫害": a prompt of 5 word pieces leaves no room .* maxLength 8$/,
  );
  const pest = `${'蚜'.repeat(30)}虫`;
  const long = { text: pest, entities: [{ type: '病虫害', start: 0, end: pest.length }], relations: [] };
  t.match(
    await refuse(
      {
        train: corpusOf([...documentsOf(0, 1), long], 'x.json'),
        recipe: { ...tinyRecipe, negatives: 0.01 },
      },
      { maxLength: 30 },
    ),
    /^x\.json: row 2, prompt "蚜+虫的(危害|症状)": a prompt of 34 word pieces leaves no room/,
    'whichever epoch asks it',
  );
  t.match(await refuse({ train: corpusOf([], 'x.json') }), /^x\.json: holds no text to learn from/);
  t.match(
    await refuse({ train: corpusOf([{ text: ' \n', entities: [], relations: [] }], 'x.json') }),
    /^x\.json: holds no text to learn from/,
  );
  t.match(
    await refuse({ dev: undefined, recipe: { ...tinyRecipe, freezeUntil: 0.2 } }),
    /"freezeUntil" needs dev/,
  );
  t.match(await refuse({ recipe: { ...tinyRecipe, accumulation: 0 } }), /^recipe: "accumulation" must be/);
  t.match(await refuse({ recipe: { ...tinyRecipe, negatives: Infinity } }), /^recipe: "negatives" must be/);

  const out = temporaryFolder();
  const options = tinyRun(runtime, out, { epochs: 1, batch: 1000 });
  await train({ ...options, train: document('稻 麦', 1, 2) });
  const notes = logOf(out)[0].notes as string[];
  t.ok(
    notes.some((note) => note.startsWith('1 answers are in white space')),
    notes.join('; '),
  );
});

test('recipes', (t) => {
  t.deepEqual(parseRecipe(cerem.recipe, { ...tinyRecipe }, 'r'), tinyRecipe);
  for (const key of Object.keys(tinyRecipe)) {
    const { [key]: _, ...rest } = { ...tinyRecipe } as Record<string, unknown>;
    t.throws(
      () => parseRecipe(cerem.recipe, rest, 'r'),
      new RegExp(`^InputError: r: "${key}" `),
      `without ${key}`,
    );
  }
  t.throws(() => parseRecipe(cerem.recipe, { ...tinyRecipe, momentum: 1 }, 'r'), /momentum/);
  t.end();
});

test('batches of like length', (t) => {
  const lengths = Array.from({ length: 103 }, (_, i) => 5 + ((i * 37) % 50));
  const options = { seed: 1, epoch: 0, buckets: 4 };
  const batches = bucketBatches(lengths, 13, options);
  t.deepEqual(
    batches.flat().sort((a, b) => a - b),
    [...lengths.keys()],
    'every input once',
  );
  t.ok(batches.every((batch) => batch.length === 7 || batch.length === 8));
  const padding = (of: number[][]): number =>
    of.reduce((sum, b) => sum + b.length * Math.max(...b.map((i) => lengths[i])), 0) -
    lengths.reduce((a, b) => a + b);
  const plain = bucketBatches(lengths, 13, { ...options, buckets: 1 });
  t.ok(padding(batches) < padding(plain) / 2, `padding ${padding(batches)}, unsorted ${padding(plain)}`);
  t.deepEqual(bucketBatches(lengths, 13, options), batches, 'the same again');
  t.notDeepEqual(bucketBatches(lengths, 13, { ...options, epoch: 1 }), batches, 'another epoch');
  t.notDeepEqual(bucketBatches(lengths, 13, { ...options, seed: 2 }), batches, 'another seed');
  t.deepEqual(bucketBatches([3], 1, options), [[0]]);
  t.deepEqual(bucketBatches([3, 4], 2, options).flat().sort(), [0, 1]);
  const few = bucketBatches([1, 2], 5, options);
  t.ok(few.length === 5 && few.every((batch) => batch.length === 1), 'never an empty batch');
  t.end();
});
