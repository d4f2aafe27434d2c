/** `spanwise trace`: logits, losses and gradients of one batch, for comparison with another framework. */
import { writeSafetensorsFile } from '../io/files.ts';
import { Fields } from '../models/config.ts';
import { loadCerem } from '../tasks/cerem/checkpoint.ts';
import { traceCerem } from '../tasks/cerem/trace.ts';
import { readCheckpointConfig } from '../tasks/checkpoint.ts';
import { readPromptedFile } from '../tasks/dataset-file.ts';
import { loadStsn } from '../tasks/stsn/checkpoint.ts';
import { traceStsn } from '../tasks/stsn/trace.ts';
import type { Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { modelOption, readLabelled, readStsnConfig } from './model.ts';

export const traceCommand: Command = {
  name: 'trace',
  summary: 'Writes all logits, losses and gradients of one batch, and the weights after training steps on it',
  options: {
    model: modelOption,
    batch: {
      value: 'F',
      doc: 'annotated sentences or prompted texts (JSON), taken as one batch',
      required: true,
    },
    out: { value: 'F', doc: 'safetensors file to write', required: true },
    steps: { value: 'K', doc: 'AdamW steps to make; writes param.* (default 0)' },
    lr: { value: 'X', doc: 'learning rate of the steps (default 0.001)' },
    'weight-decay': { value: 'X', doc: 'weight decay of the steps (default 0.01)' },
  },
  async run(args) {
    const [dir, batch, output] = [args.text('model'), args.text('batch'), args.text('out')];
    const options = {
      steps: args.integer('steps', 0),
      lr: args.number('lr', 1e-3, 0),
      weightDecay: args.number('weight-decay', 0.01, 0),
    };
    checkWritable(output);
    const { json, path } = readCheckpointConfig(dir);
    const cerem = new Fields(json, path).oneOf('model', ['stsn', 'cerem']) === 'cerem';
    const tensors = cerem
      ? await withDevice(
          [batch],
          () => readPromptedFile(batch),
          async (runtime, texts) => {
            const { model, tokenizer } = loadCerem(runtime, dir);
            return traceCerem(model, tokenizer, texts, batch, options);
          },
        )
      : await withDevice(
          [batch],
          () => readLabelled(batch, readStsnConfig(dir)),
          async (runtime, sentences) => {
            const { model, tokenizer } = loadStsn(runtime, dir);
            return traceStsn(model, tokenizer, sentences, batch, options);
          },
        );
    writeSafetensorsFile(output, tensors);
  },
};
