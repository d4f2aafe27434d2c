/** `spanwise trace`: logits, losses and gradients of one batch, for comparison with another framework. */
import { readTextFile, writeSafetensorsFile } from '../io/files.ts';
import { openFolder } from '../tasks/folder.ts';
import { LoadedModel } from '../tasks/model.ts';
import type { Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { modelOption } from './model.ts';

export const traceCommand: Command = {
  name: 'trace',
  summary: 'Writes all logits, losses and gradients of one batch, and the weights after training steps on it',
  options: {
    model: modelOption,
    batch: {
      path: 'F',
      doc: 'annotated sentences or prompted texts (JSON), taken as one batch',
      required: true,
    },
    out: { path: 'F', doc: 'safetensors file to write', required: true },
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
    checkWritable(output, args);
    const tensors = await withDevice(
      async () => ({ opened: await openFolder(dir), text: readTextFile(batch, 'batch') }),
      async (runtime, { opened: { definition, load }, text }) =>
        new LoadedModel(definition, await load(runtime)).trace(text, batch, options),
    );
    writeSafetensorsFile(output, tensors);
  },
};
