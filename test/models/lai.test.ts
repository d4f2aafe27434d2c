/** Tiny LAI-Nets against PyTorch (test/fixtures/lai): logits, losses, every gradient, parameters after AdamW steps. */
import { readdirSync, readFileSync } from 'node:fs';
import test from 'tape';
import { readSafetensorsFile } from '../../src/io/files.ts';
import { openRuntime } from '../../src/node.ts';
import { folderSource } from '../../src/tasks/folder.ts';
import { lai } from '../../src/tasks/lai/definition.ts';
import { loadModel } from '../../src/tasks/model.ts';
import { checkParity, fixtureSteps } from './parity.ts';

const runtime = await openRuntime({ defaultLimits: true, poison: true });
test.onFinish(() => runtime.close());

const fixtures = 'test/fixtures/lai';
const batchFile = `${fixtures}/batch.json`;
const batch = readFileSync(batchFile, 'utf8');
const checkpoints = readdirSync(fixtures, { withFileTypes: true }).filter((entry) => entry.isDirectory());
for (const { name } of checkpoints)
  test(`lai/${name} agrees with PyTorch`, async (t) => {
    const dir = `${fixtures}/${name}`;
    const expected = readSafetensorsFile(`${dir}/expected.safetensors`).tensors;
    const initial = readSafetensorsFile(`${dir}/model.safetensors`).tensors;
    const model = await loadModel(runtime, folderSource(dir), lai, dir);
    checkParity(t, await model.trace(batch, batchFile, fixtureSteps(expected)), expected, initial);
    model.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });
