/** Tiny ISERs against PyTorch (test/fixtures/iser): logits, losses, every gradient, parameters after AdamW steps. */
import test from 'tape';
import { readSafetensorsFile } from '../../src/io/files.ts';
import { Iser, parseIserConfig } from '../../src/models/iser.ts';
import { openRuntime } from '../../src/node.ts';
import { add, binaryCrossEntropy, crossEntropy, hostInts } from '../../src/ops/index.ts';
import { loadCheckpoint, readCheckpointConfig } from '../../src/tasks/checkpoint.ts';
import { readSpertFile } from '../../src/tasks/dataset-file.ts';
import type { Sentence } from '../../src/tasks/dataset.ts';
import { allSamples, joinSamples } from '../../src/tasks/sampling.ts';
import { encodeSentence, makeBatch } from '../../src/tasks/stsn/batch.ts';
import type { Tokenizer } from '../../src/tasks/text/tokenizer.ts';
import { floats, traceModel, type TraceOptions } from '../../src/tasks/trace.ts';
import { checkParity, fixtureSteps } from './parity.ts';

const runtime = await openRuntime({ defaultLimits: true, poison: true });
test.onFinish(() => runtime.close());

const folder = 'test/fixtures/iser';
const batchFile = `${folder}/batch.json`;

function load(name: string) {
  const { json, path } = readCheckpointConfig(`${folder}/${name}`);
  const config = parseIserConfig(json, path);
  return loadCheckpoint(
    runtime,
    `${folder}/${name}`,
    (parameters, pooler) => new Iser(parameters, config, pooler),
  );
}

function trace(model: Iser, tokenizer: Tokenizer, sentences: readonly Sentence[], options: TraceOptions) {
  const { config } = model;
  const batch = makeBatch(
    sentences.map((s) => encodeSentence(s.tokens, tokenizer, config as never, 'row')),
    tokenizer.padId,
  );
  const samples = joinSamples(sentences.map((s) => allSamples(s, config)));
  return traceModel(
    model.parameters,
    () => {
      const states = model.states(batch);
      const spanLogits = model.spanLogits(states, samples.spans);
      const relationLogits = model.relationLogits(states, samples.heads, samples.tails);
      const span = crossEntropy(spanLogits, hostInts(samples.spanLabels));
      const relation = binaryCrossEntropy(
        relationLogits,
        hostInts(samples.relationTargets, relationLogits.shape),
      );
      return {
        loss: add(span, relation),
        keep: [spanLogits, relationLogits, span, relation],
        read: async () => ({
          span_logits: floats(spanLogits.shape, await spanLogits.read()),
          relation_logits: floats(relationLogits.shape, await relationLogits.read()),
          'loss.span': floats([], await span.read()),
          'loss.relation': floats([], await relation.read()),
        }),
      };
    },
    options,
  );
}

const checkpoints = [
  ...['full', 'no-fusion', 'plain', 'span-gru', 'span-cls'],
  ...['local-attention', 'local-bert', 'cls', 'global-bert', 'global'].map((name) => `relation-${name}`),
];
for (const name of checkpoints)
  test(`iser/${name} agrees with PyTorch`, async (t) => {
    const dir = `${folder}/${name}`;
    const expected = readSafetensorsFile(`${dir}/expected.safetensors`).tensors;
    const initial = readSafetensorsFile(`${dir}/model.safetensors`).tensors;
    const { model, tokenizer } = load(name);
    const options = fixtureSteps(expected);
    const actual = await trace(model, tokenizer, readSpertFile(batchFile), options);
    checkParity(t, actual, expected, initial);
    model.parameters.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });
