/** Tiny LAI-Nets against PyTorch (test/fixtures/lai): logits, losses, every gradient, parameters after AdamW steps. */
import { readdirSync, readFileSync } from 'node:fs';
import test from 'tape';
import { readSafetensorsFile } from '../../src/io/files.ts';
import { folderSource } from '../../src/tasks/folder.ts';
import { lai } from '../../src/tasks/lai/definition.ts';
import { Packer } from '../../src/tasks/lai/packing.ts';
import { loadModel } from '../../src/tasks/model.ts';
import { rowsWithin } from '../../src/tasks/padding.ts';
import { relativeError } from '../relative-error.ts';
import { checkParity, fixtureSteps } from './parity.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

const fixtures = 'test/fixtures/lai';
const batchFile = `${fixtures}/batch.json`;
const batch = readFileSync(batchFile, 'utf8');
const checkpoints = readdirSync(fixtures, { withFileTypes: true }).filter((entry) => entry.isDirectory());
for (const { name } of checkpoints)
  test(`lai/${name} agrees with PyTorch`, async (t) => {
    const dir = `${fixtures}/${name}`;
    const expected = readSafetensorsFile(`${dir}/expected.safetensors`).tensors;
    const initial = readSafetensorsFile(`${dir}/model.safetensors`).tensors;
    const model = await loadModel(runtime, folderSource(dir), lai, undefined, dir);
    checkParity(t, await model.trace(batch, batchFile, fixtureSteps(expected)), expected, initial);
    model.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

const tokens = ['Rain', 'fell', 'over', 'the', 'old', 'town'];

for (const name of ['entities', 'relations'])
  test(`lai/${name}: an instance alone has the logits that it has in a batch`, async (t) => {
    const loaded = await loadModel(runtime, folderSource(`${fixtures}/${name}`), lai, undefined, name);
    const { model, tokenizer } = loaded;
    const packer = new Packer(model.config, tokenizer);
    const entities = [0, 2, 4].map((start) => ({ start, end: start + 1 }));
    const [long] = packer.instances(0, packer.encode(tokens, 'row 1'), entities);
    const short = { ...long, spans: long.spans.slice(0, 2) };
    /** By instance, the filter's logits and the classes'. */
    const logits = (instances: (typeof long)[]) =>
      runtime.scope(async () => {
        const batch = packer.batch(instances);
        const { filter, classes } = model.forward(batch);
        const parts = filter ? [filter, classes] : [classes];
        const read = await Promise.all(
          parts.map(async (x) => rowsWithin(await x.read(), batch.counts, x.shape[2])),
        );
        return instances.map((_, i) => read.map((rows) => rows[i]));
      });
    const together = await logits([long, short]);
    for (const [i, instance] of [long, short].entries())
      (await logits([instance]))[0].forEach((alone, part) => {
        const error = relativeError(together[i][part], alone);
        t.ok(alone.length > 0 && error < 1e-5, `${alone.length} logits: relative error ${error}`);
      });
    loaded.release();
  });

test('lai: a position beyond the table of the encoder is refused', async (t) => {
  const loaded = await loadModel(runtime, folderSource(`${fixtures}/entities`), lai, undefined, 'entities');
  const { model, tokenizer } = loaded;
  const packer = new Packer(model.config, tokenizer);
  const batch = packer.batch(packer.instances(0, packer.encode(tokens, 'row 1'), []));
  batch.pieces.positions?.fill(model.config.encoder.maxPositions, 1, 2);
  t.throws(() => model.forward(batch), /ids row 1 is/);
  loaded.release();
});
