/** Checkpoints as manifests: run by the runner of examples/ they give the logits of the model, and take other texts. */
import { readFileSync } from 'node:fs';
import Ajv from 'ajv';
import test from 'tape';
import { defaultCaps, type Caps, type Manifest } from '../../kernels/index.ts';
import { openFolder, serializeSafetensors } from '../../src/node.ts';
import { exportModel, EXPORTED_WEIGHTS, logitsOf, madeBatch } from '../../src/tasks/export-model.ts';
import { relativeError } from '../relative-error.ts';
import { sharedRuntime } from '../runtime.ts';

type Read = (file: string) => Promise<ArrayBuffer>;
type Results = Record<string, { values: Float32Array }>;
interface Runner {
  runManifest(
    device: GPUDevice,
    manifest: Manifest,
    read: Read,
    given?: Record<string, Int32Array>,
  ): Promise<Results>;
}
// It is plain JavaScript.
const { runManifest } = (await import('../../examples/runner/manifest.mjs' as string)) as Runner;

const runtime = sharedRuntime({ poison: false });
const validate = new Ajv().compile(JSON.parse(readFileSync('docs/manifest.schema.json', 'utf8')) as object);
const [ROWS, COLUMNS] = [2, 12];
const TOLERANCE = 1e-5;

async function exported(folder: string, caps: Caps) {
  const opened = await openFolder(`test/fixtures/${folder}`);
  const { manifest, shaders, weights } = await exportModel(opened, caps, ROWS, COLUMNS);
  const bytes = serializeSafetensors(weights);
  const read: Read = (file) =>
    Promise.resolve(
      (file === EXPORTED_WEIGHTS ? bytes : new TextEncoder().encode(shaders[file])).buffer as ArrayBuffer,
    );
  return { opened, manifest: JSON.parse(JSON.stringify(manifest)) as Manifest, read };
}

test('an STSN runs from its manifest and weights', async (t) => {
  const { opened, manifest, read } = await exported('stsn/both', runtime.caps);
  t.ok(validate(manifest), JSON.stringify(validate.errors?.[0]));
  const results = await runManifest(runtime.device, manifest, read);
  const expected = await logitsOf(opened, runtime, ROWS, COLUMNS);
  t.deepEqual([...expected.keys()], ['tag_logits', 'span_logits']);
  for (const [name, { data }] of expected) {
    const error = relativeError(results[`forward.${name}`].values, data);
    t.ok(error <= TOLERANCE, `${name}: ${error.toExponential(1)}`);
  }
});

test('a CEREM of the form for GPUs takes other pieces and lengths by its tables', async (t) => {
  const { opened, manifest, read } = await exported('cerem/shared-global', defaultCaps);
  const { model } = await opened.load(runtime);
  const batch = madeBatch(model as never, ROWS, COLUMNS, 2);
  t.ok(
    batch.lengths.some((length) => length < COLUMNS),
    `lengths ${batch.lengths.join()}`,
  );
  const values = { ids: batch.ids, token_types: batch.tokenTypes!, lengths: batch.lengths };
  const given = manifest.parts[0].host.flatMap(({ name, tables }) => {
    t.ok(tables && tables.length > 0, `${name} may be replaced`);
    return (tables ?? []).map((table): [string, Int32Array] => [
      `forward.${table}`,
      values[name as keyof typeof values],
    ]);
  });
  const results = await runManifest(runtime.device, manifest, read, Object.fromEntries(given));
  const logits = opened.definition.forward!(model, batch);
  for (const [name, tensor] of Object.entries(logits)) {
    const [all, made] = [await tensor.read(), results[`forward.${name}`].values];
    // What stands in padding means nothing.
    const inside = (of: Float32Array) =>
      of.filter((_, i) => i % COLUMNS < batch.lengths[Math.floor(i / COLUMNS)]);
    const error = relativeError(inside(made), inside(all));
    t.ok(error <= TOLERANCE, `${name}: ${error.toExponential(1)}`);
  }
  model.parameters.release();
});

test('what a manifest of a model says', async (t) => {
  const { manifest } = await exported('cerem/per-scale', defaultCaps);
  const [part] = manifest.parts;
  t.ok(validate(manifest), JSON.stringify(validate.errors?.[0]));
  const names = part.inputs.map(({ name }) => name);
  t.ok(names.includes('encoder.embeddings.word_embeddings.weight') && names.includes('start.mix.weight'));
  t.ok(part.inputs.every(({ values }) => values?.file === EXPORTED_WEIGHTS));
  t.ok(part.dispatches.some(({ bindings }) => bindings.some(({ tensor }) => tensor === 'start.mix.weight')));
  t.ok(part.tables.every(({ rule }) => rule.length > 10));
  for (const { bindings } of part.dispatches)
    for (const { buffer, offset, size, tensor } of bindings)
      if (offset + size > part.buffers.find(({ name }) => name === buffer)!.bytes)
        t.fail(`${tensor}: past ${buffer}`);
});

test('what cannot be exported', async (t) => {
  const refused = async (folder: string, columns: number): Promise<string> => {
    try {
      await exportModel(await openFolder(`test/fixtures/${folder}`), defaultCaps, 1, columns);
      return 'nothing';
    } catch (error) {
      return String(error);
    }
  };
  t.match(
    await refused('cerem/shared-global', 2),
    /^InputError: export: a row has from 3 to \d+ pieces, not 2$/,
  );
  t.match(await refused('cerem/shared-global', 100000), /not 100000$/);
  t.match(await refused('iser/full', 12), /^InputError: export: ISER has no forward pass of a fixed form$/);
});
