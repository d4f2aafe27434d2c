/** A tiny STSN against PyTorch (test/fixtures/stsn): logits, losses, every gradient, parameters after AdamW steps. */
import test from 'tape';
import { readSafetensorsFile } from '../../src/io/files.ts';
import { openRuntime } from '../../src/node.ts';
import { readSpertFile } from '../../src/tasks/dataset-file.ts';
import { loadStsn } from '../../src/tasks/stsn/checkpoint.ts';
import { traceStsn } from '../../src/tasks/stsn/trace.ts';
import { relativeError } from '../relative-error.ts';

const runtime = await openRuntime({ defaultLimits: true, poison: true });
test.onFinish(() => runtime.close());

const folder = 'test/fixtures/stsn';
const batchFile = `${folder}/batch.json`;

for (const name of ['both', 'ner-to-re', 're-to-ner', 'none', 'no-label'])
  test(`STSN ${name} agrees with PyTorch`, async (t) => {
    const dir = `${folder}/${name}`;
    const expected = readSafetensorsFile(`${dir}/expected.safetensors`).tensors;
    const initial = readSafetensorsFile(`${dir}/model.safetensors`).tensors;
    const { model, tokenizer } = loadStsn(runtime, dir);
    const steps = expected.has('param.span_head.weight') ? 3 : 0;
    const actual = await traceStsn(model, tokenizer, readSpertFile(batchFile), batchFile, {
      steps,
      lr: 1e-3,
      weightDecay: 0.01,
    });
    t.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort(), 'the same tensors');
    const worst = { logits: 0, grad: 0, param: 0, moved: 0 };
    for (const [key, { data, shape }] of expected) {
      const ours = actual.get(key);
      if (!ours) continue;
      t.deepEqual(ours.shape, shape, `${key}: shape`);
      if (/key\.bias$/.test(key)) continue; // its true gradient is 0
      const error = relativeError(ours.data, data);
      if (key.startsWith('grad.')) {
        worst.grad = Math.max(worst.grad, error);
        if (!(error <= 5e-4)) t.fail(`${key}: relative error ${error}`);
      } else if (key.startsWith('param.')) {
        const start = initial.get(key.slice(6))?.data ?? new Float32Array();
        const movement = relativeError(
          Array.from(ours.data, (v, i) => v - start[i]),
          Array.from(data, (v, i) => v - start[i]),
        );
        worst.param = Math.max(worst.param, error);
        worst.moved = Math.max(worst.moved, movement);
        if (!(error <= 1e-4)) t.fail(`${key}: relative error ${error}`);
        if (!(movement <= 1e-2)) t.fail(`${key}: its movement differs by ${movement}`);
      } else {
        worst.logits = Math.max(worst.logits, error);
        if (!(error <= 3e-5)) t.fail(`${key}: relative error ${error}`);
      }
    }
    for (const [what, error] of Object.entries(worst))
      t.ok(error < 1e-2, `${what}: at most ${error.toExponential(1)}`);
    model.parameters.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

test('a batch without pairs reaches nothing of the relation side', async (t) => {
  const { model, tokenizer } = loadStsn(runtime, `${folder}/both`);
  const before = await model.parameters.read();
  const sentence = { tokens: ['Rain'], entities: [], relations: [] };
  const traced = await traceStsn(model, tokenizer, [sentence], 'one word', {
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
  model.parameters.release();
});
