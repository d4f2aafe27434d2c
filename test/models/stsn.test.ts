/** A tiny STSN against PyTorch (test/fixtures/stsn): logits, losses, every gradient, parameters after AdamW steps. */
import { readFileSync } from 'node:fs';
import test from 'tape';
import { readSafetensorsFile } from '../../src/io/files.ts';
import { loadModel } from '../../src/node.ts';
import { stsn } from '../../src/tasks/spans/stsn.ts';
import { checkParity, fixtureSteps } from './parity.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

const fixtures = 'test/fixtures';
const folder = `${fixtures}/stsn`;
const batchFile = `${folder}/batch.json`;

const checkpoints = [
  ...['both', 'ner-to-re', 're-to-ner', 'none', 'no-label'].map((name) => `stsn/${name}`),
  ...['per-scale', 'shared-gated'].map((name) => `stsn-segments/${name}`),
];
for (const name of checkpoints)
  test(`${name} agrees with PyTorch`, async (t) => {
    const dir = `${fixtures}/${name}`;
    const expected = readSafetensorsFile(`${dir}/expected.safetensors`).tensors;
    const initial = readSafetensorsFile(`${dir}/model.safetensors`).tensors;
    const model = await loadModel(runtime, dir, stsn);
    const actual = await model.trace(readFileSync(batchFile, 'utf8'), batchFile, fixtureSteps(expected));
    checkParity(t, actual, expected, initial);
    model.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

test('a batch without pairs reaches nothing of the relation side', async (t) => {
  const loaded = await loadModel(runtime, `${folder}/both`, stsn);
  const before = await loaded.model.parameters.read();
  const sentence = { tokens: ['Rain'], entities: [], relations: [] };
  const traced = await loaded.trace(JSON.stringify([sentence]), 'one word', {
    steps: 1,
    lr: 0.01,
    weightDecay: 0.1,
  });
  t.deepEqual([...(traced.get('loss.relation')?.data ?? [])], [0], 'the relation loss is 0');
  t.deepEqual(traced.get('relation_logits')?.shape, [0, 4], 'no logits');
  for (const name of ['relation_head.weight', 'layers.1.relation.ffn.0.weight'])
    t.deepEqual(traced.get(`param.${name}`)?.data, before.get(name)?.data, `${name} is not even decayed`);
  t.notDeepEqual(
    traced.get('param.span_head.weight')?.data,
    before.get('span_head.weight')?.data,
    'others move',
  );
  loaded.release();
});
