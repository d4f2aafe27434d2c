/** Tiny LAI-Nets against PyTorch (test/fixtures/lai): logits, losses, every gradient, parameters after AdamW steps. */
import { readdirSync } from 'node:fs';
import test from 'tape';
import { readSafetensorsFile } from '../../src/io/files.ts';
import { Lai } from '../../src/models/lai.ts';
import { parseLaiConfig, relationClasses } from '../../src/models/lai-config.ts';
import { openRuntime } from '../../src/node.ts';
import { add, binaryCrossEntropy, crossEntropy, hostInts, reshape } from '../../src/ops/index.ts';
import { loadCheckpoint, readCheckpointConfig, type Loaded } from '../../src/tasks/checkpoint.ts';
import { readSpertFile } from '../../src/tasks/dataset-file.ts';
import { batchRows, makeBatch, unpadRows } from '../../src/tasks/lai/batch.ts';
import { Packer } from '../../src/tasks/lai/instances.ts';
import { filterTargets, goldOf, IGNORED, keptTargets, targetsOf } from '../../src/tasks/lai/targets.ts';
import { floats, traceModel, type TracedPass } from '../../src/tasks/trace.ts';
import { relativeError } from '../relative-error.ts';
import { checkParity, fixtureSteps } from './parity.ts';

const runtime = await openRuntime({ defaultLimits: true, poison: true });
test.onFinish(() => runtime.close());

const fixtures = 'test/fixtures/lai';
const sentences = readSpertFile(`${fixtures}/batch.json`);

function load(dir: string): Loaded<Lai> {
  const { json, path } = readCheckpointConfig(dir);
  const config = parseLaiConfig(json, path);
  return loadCheckpoint(runtime, dir, (parameters, pooler) => new Lai(parameters, config, pooler));
}

/** One pass over all instances of the fixtures' sentences, as SPEC section 5 `trace` wants it. */
function passOf({ model, tokenizer }: Loaded<Lai>): () => TracedPass {
  const { config } = model;
  const packer = new Packer(config, tokenizer);
  const instances = sentences.flatMap((sentence, s) =>
    packer.instances(s, packer.encode(sentence.tokens, `row ${s + 1}`), goldOf(sentence, config).entities),
  );
  const batch = makeBatch(instances, packer);
  const { counts, columns } = batch;
  const tables = sentences.map((sentence) => targetsOf(sentence, config));
  const rows = instances.length * columns;
  const unpad = async (logits: { read(): Promise<Float32Array> }, width: number) => {
    const parts = unpadRows(await logits.read(), counts, columns);
    const flat = Float32Array.from(parts.flatMap((part) => [...part]));
    return floats([flat.length / width, width], flat);
  };
  if (config.stage === 'relations') {
    const classes = relationClasses(config);
    const shape = [instances.length, columns, classes];
    const targets = batchRows(instances, tables, columns, classes, -1);
    return () => {
      const { classes: logits } = model.forward(batch);
      const counted = targets.map((target) => Number(target >= 0));
      const known = targets.map((target) => Math.max(0, target));
      const loss = binaryCrossEntropy(logits, hostInts(known, shape), hostInts(counted, shape));
      return {
        loss,
        keep: [logits, loss],
        read: async () => ({
          relation_logits: await unpad(logits, classes),
          'loss.relation': floats([], await loss.read()),
        }),
      };
    };
  }
  const classes = config.entityTypes.length + 1;
  const labels = batchRows(instances, tables, columns, 1, IGNORED);
  return () => {
    const { filter, classes: logits } = model.forward(batch);
    const mean = (of: typeof logits, targets: Int32Array) =>
      crossEntropy(reshape(of, [rows, of.shape[2]]), hostInts(targets), IGNORED);
    const span = mean(logits, filter ? keptTargets(labels) : labels);
    const filtered = filter && mean(filter, filterTargets(labels));
    return {
      loss: filtered ? add(filtered, span) : span,
      keep: [logits, span, ...(filter && filtered ? [filter, filtered] : [])],
      read: async () => ({
        ...(filter && filtered
          ? { filter_logits: await unpad(filter, 2), 'loss.filter': floats([], await filtered.read()) }
          : {}),
        span_logits: await unpad(logits, classes),
        'loss.span': floats([], await span.read()),
      }),
    };
  };
}

const checkpoints = readdirSync(fixtures, { withFileTypes: true }).filter((entry) => entry.isDirectory());
for (const { name } of checkpoints)
  test(`lai/${name} agrees with PyTorch`, async (t) => {
    const dir = `${fixtures}/${name}`;
    const expected = readSafetensorsFile(`${dir}/expected.safetensors`).tensors;
    const initial = readSafetensorsFile(`${dir}/model.safetensors`).tensors;
    const loaded = load(dir);
    const { parameters } = loaded.model;
    const actual = await traceModel(parameters, passOf(loaded), fixtureSteps(expected));
    checkParity(t, actual, expected, initial);
    parameters.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

for (const name of ['entities', 'relations'])
  test(`lai/${name}: an instance alone has the logits that it has in a batch`, async (t) => {
    const { model, tokenizer } = load(`${fixtures}/${name}`);
    const { config } = model;
    const packer = new Packer(config, tokenizer);
    const { tokens, entities } = sentences[3];
    const instances = packer.instances(0, packer.encode(tokens, 'row 4'), entities);
    const short = { ...instances[0], spans: instances[0].spans.slice(0, 2) };
    const logits = (of: typeof instances) =>
      runtime.scope(async () => {
        const batch = makeBatch(of, packer);
        const { filter, classes } = model.forward(batch);
        const read = async (x: typeof classes) => unpadRows(await x.read(), batch.counts, batch.columns);
        return [...(filter ? await read(filter) : []), ...(await read(classes))];
      });
    const together = await logits([instances[0], short]);
    const alone = [await logits([instances[0]]), await logits([short])];
    const expected =
      config.stage === 'entities' ? [0, 1].flatMap((i) => alone.map((x) => x[i])) : alone.flat();
    t.equal(together.length, expected.length);
    together.forEach((actual, i) => {
      const error = relativeError(actual, expected[i]);
      t.ok(actual.length > 0 && error < 1e-5, `${actual.length} logits: relative error ${error}`);
    });
    model.parameters.release();
  });

test('a position beyond the table of the encoder is refused', (t) => {
  const { model, tokenizer } = load(`${fixtures}/entities`);
  const packer = new Packer(model.config, tokenizer);
  const encoded = packer.encode(sentences[0].tokens, 'row 1');
  const batch = makeBatch(packer.instances(0, encoded, []), packer);
  batch.pieces.positions?.fill(model.config.encoder.maxPositions, 1, 2);
  t.throws(() => model.forward(batch), /ids row 1 is/);
  model.parameters.release();
  t.end();
});
