/** Models whose linear layers and embeddings are stored as f16: what they compute, what they take, what they refuse. */
import { readFileSync } from 'node:fs';
import test from 'tape';
import { bytesOf } from '../../kernels/plan.ts';
import { parseSafetensors, serializeSafetensors } from '../../src/io/safetensors.ts';
import { loadModel, folderSource, type LoadedModel } from '../../src/node.ts';
import type { Definition, LoadOptions } from '../../src/tasks/definition.ts';
import { Linear } from '../../src/nn/modules.ts';
import { Parameters, randomSource } from '../../src/nn/parameters.ts';
import { spanwise } from '../cli/run.ts';
import { relativeError } from '../relative-error.ts';
import { sharedRuntime } from '../runtime.ts';
import { inputError } from './runs.ts';

const runtime = sharedRuntime();
const f16 = { precision: 'f16' } as const;
const load = (dir: string, options?: LoadOptions): Promise<LoadedModel> =>
  loadModel(runtime, `test/fixtures/${dir}`, undefined, options);

/** The logits of a fixture's batch. */
async function logitsOf(loaded: LoadedModel, batch: string): Promise<Record<string, Float32Array>> {
  const definition: Definition = loaded.definition;
  const text = readFileSync(`test/fixtures/${batch}`, 'utf8');
  return runtime.scope(async () => {
    const { logits } = await definition.losses(loaded.model, definition.traceBatch(loaded, text, batch));
    const read = Object.entries(logits).map(
      async ([name, { tensor }]) => [name, await tensor.read()] as const,
    );
    return Object.fromEntries(await Promise.all(read));
  });
}

for (const [dir, batch] of [
  ['stsn/both', 'stsn/batch.json'],
  ['stsn-segments/per-scale', 'stsn/batch.json'],
  ['iser/full', 'iser/batch.json'],
  ['cerem/per-scale', 'cerem/batch.json'],
  ['lai/entities-full', 'lai/batch.json'],
] as const)
  test(`${dir} in f16 is the model of its rounded weights, in half the memory`, async (t) => {
    const before = runtime.memory.report().liveByLabel.weights ?? 0;
    const wide = await load(dir);
    const exact = await logitsOf(wide, batch);
    wide.release();
    const narrow = await load(dir, f16);
    const parameters = [...narrow.model.parameters.all];
    const halved = parameters.filter(([, { tensor }]) => tensor.dtype === 'f16').map(([name]) => name);
    for (const part of ['encoder.layer.0.intermediate.dense', 'embeddings.word_embeddings'])
      t.ok(halved.includes(`encoder.${part}.weight`), part);
    t.ok(halved.every((name) => name.endsWith('.weight') && !/norm/i.test(name)));
    // Each begins at a multiple of 256 bytes.
    const bytes = parameters.reduce(
      (
        sum,
        [
          ,
          {
            tensor: { shape, dtype },
          },
        ],
      ) => sum + 256 * Math.ceil(bytesOf(shape, dtype) / 256),
      0,
    );
    t.equal((runtime.memory.report().liveByLabel.weights ?? 0) - before, bytes, 'bytes of weights');
    const logits = await logitsOf(narrow, batch);
    t.deepEqual(await logitsOf(narrow, batch), logits, 'the same bits again');
    const files = await narrow.files();
    narrow.release();
    const rounded = await loadModel(runtime, (name) => Promise.resolve(wholeOf(files[name])));
    const expected = await logitsOf(rounded, batch);
    const text = readFileSync(`test/fixtures/${batch}`, 'utf8');
    const gradients = await rounded.trace(text, batch);
    rounded.release();
    for (const name of Object.keys(exact)) {
      const error = relativeError(logits[name], expected[name]);
      t.ok(error <= 1e-6, `${name}: ${error.toExponential(1)} from that of its rounded weights`);
      const rounding = relativeError(logits[name], exact[name]);
      t.ok(rounding > 0 && rounding < 2e-3, `${name}: ${rounding.toExponential(1)} from that of the weights`);
    }
    // Mixed precision differs by the rounding of the encoder's hidden layers.
    const mixed = await load(dir, { precision: 'mixed' });
    const traced = await mixed.trace(text, batch);
    mixed.release();
    const errors = [...gradients].map(([name, { data }]) => relativeError(traced.get(name)!.data, data));
    const worst = Math.max(...errors);
    t.ok(worst > 0 && worst < 2e-2, `mixed: all within ${worst.toExponential(1)}`);
  });

/** A file of a checkpoint in one piece. */
function wholeOf(
  content: Awaited<ReturnType<LoadedModel['files']>>[string] | undefined,
): Uint8Array | undefined {
  if (content === undefined) return undefined;
  if (typeof content === 'string') return new TextEncoder().encode(content);
  return content instanceof Uint8Array ? content : Buffer.concat(content as Uint8Array[]);
}

test('a weight that f16 does not hold', async (t) => {
  const source = folderSource('test/fixtures/stsn/both');
  const name = 'encoder.encoder.layer.0.output.dense.weight';
  const { tensors } = parseSafetensors(readFileSync('test/fixtures/stsn/both/model.safetensors'), 'f');
  tensors.get(name)!.data[5] = 65520;
  const bytes = serializeSafetensors(tensors);
  const given = (file: string) => (file === 'model.safetensors' ? Promise.resolve(bytes) : source(file));
  t.equal(
    await inputError(() => loadModel(runtime, given, undefined, f16)),
    `model/model.safetensors: ${name} holds 65520, beyond f16 (-65504 to 65504): load it as f32`,
  );
  (await loadModel(runtime, given)).release();
  t.equal(runtime.memory.report().liveByLabel.weights ?? 0, 0, 'nothing stays');
});

test('a precision or an option that there is not', async (t) => {
  const dir = 'test/fixtures/stsn/both';
  for (const precision of ['F16', 16, null])
    t.equal(
      await inputError(() => loadModel(runtime, dir, undefined, { precision } as never)),
      `precision must be one of f32, f16, mixed, got ${JSON.stringify(precision)}`,
    );
  t.match(
    await inputError(() => loadModel(runtime, dir, undefined, { precison: 'f16' } as never)),
    /^loadModel: there is no option "precison"/,
  );
  for (const options of [null, 'f16'])
    t.match(
      await inputError(() => loadModel(runtime, dir, undefined, options as never)),
      /^loadModel: options must be an object/,
    );
});

test('a slice of an f16 tensor', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1), 'f16');
  const { weight } = new Linear(parameters, 'l', 3, 3);
  const all = await weight.read();
  for (const first of [0, 2, 4])
    t.deepEqual(await weight.slice(first, [3]).read(), all.slice(first, first + 3));
  t.equal(
    await inputError(() => weight.slice(3, [3])),
    'slice: an f16 tensor is cut at even elements, got 3',
  );
  parameters.release();
});

test('weights in f16 are not trained', async (t) => {
  const model = await load('stsn/both', f16);
  const text = readFileSync('test/fixtures/stsn/batch.json', 'utf8');
  t.equal(
    await inputError(() => model.trace(text, 'batch')),
    'weights in f16 are for inference: load the model as f32 to train it',
  );
  model.release();
});

test('--precision', async (t) => {
  const line = 'Mira Okoro founded Windmill Labs Lagos in 2011 .\n';
  const extract = (...args: string[]) =>
    spanwise(['extract', '--model', 'test/fixtures/iser/full', ...args], { input: line });
  const [wide, narrow] = [await extract(), await extract('--precision', 'f16')];
  t.deepEqual([narrow.status, narrow.stderr], [0, wide.stderr]);
  const scores = ({ stdout }: typeof wide) =>
    (JSON.parse(stdout) as { entities: { score: number }[] }).entities.map(({ score }) => score);
  t.notDeepEqual(scores(narrow), scores(wide), 'the scores of rounded weights');
  const evaluated = await spanwise([
    ...['eval', '--model', 'test/fixtures/stsn/both', '--data', 'test/fixtures/stsn/batch.json'],
    ...['--precision', 'f16', '--json'],
  ]);
  t.equal(evaluated.status, 0, evaluated.stderr);
  const wrong = await extract('--precision', 'f8');
  t.equal(wrong.status, 2);
  t.match(wrong.stderr, /--precision.*f32, f16|f32.*f16/);
});
