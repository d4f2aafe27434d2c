/** `spanwise kernel list` and `spanwise kernel run`. */
import { kernelNamed, kernels } from '../../kernels/index.ts';
import { readTensorsFile, writeSafetensorsFile } from '../io/files.ts';
import { decodeStored } from '../io/safetensors.ts';
import { prepareKernelRun, runKernel } from '../ops/run-kernel.ts';
import { json, type Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { print, printJson, table } from './print.ts';

export const kernelList: Command = {
  name: 'kernel list',
  summary: 'Lists the kernels',
  options: { json },
  async run(args) {
    const all = Object.values(kernels).map(({ name, doc, backward }) => ({
      name,
      doc,
      backward: backward !== undefined,
    }));
    if (args.flag('json')) await printJson(all);
    else await print(table(all.map(({ name, doc }) => [name, doc])));
  },
};

export const kernelRun: Command = {
  name: 'kernel run',
  summary: 'Runs one kernel on the tensors of a safetensors file',
  positional: 'NAME',
  options: {
    in: { path: 'F', doc: 'safetensors file with the inputs by name', required: true },
    out: { path: 'F', doc: 'safetensors file to write the outputs to', required: true },
    params: { value: 'JSON', doc: 'parameters, e.g. {"activation":"gelu"}' },
    grad: { doc: 'the input also holds grad_<output>; write grad_<input> too' },
  },
  notes: `F16 stay f16 where an input may be f16, and are widened to f32 where not; what is f16 is written as F16.
\`spanwise kernel show NAME\` tells inputs, outputs and parameters.`,
  async run(args) {
    const kernel = kernelNamed(args.positional);
    const params = args.json('params');
    const input = args.text('in');
    const output = args.text('out');
    if (args.flag('grad') && !kernel.backward) args.fail(`--grad: ${kernel.name} has no gradient`);
    checkWritable(output, args);
    const results = await withDevice(
      () =>
        prepareKernelRun(
          kernel,
          readTensorsFile(input, decodeStored).tensors,
          params,
          args.flag('grad'),
          input,
        ),
      runKernel,
    );
    writeSafetensorsFile(output, results);
  },
};
