// One side of `bench gate --time`: runs kernels of the checkout whose library it is given, as messages tell it.
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';

const library = await import(pathToFileURL(process.argv[2]).href);
const runtime = await library.openRuntime();

/** What is timed: records one run. */
let record;

/** Gives back what a run made, but for inputs that it wrote in place. */
function release(outputs, inputs) {
  for (const tensor of Object.values(outputs)) if (!Object.values(inputs).includes(tensor)) tensor.release();
}

/**
 * Milliseconds of so many runs: of this process's CPU time on a software device, which computes in it, as the load of the
 * machine hardly moves that; of a GPU by timestamps around every dispatch where it has them, else by the wall clock.
 */
async function timed(repeats) {
  const all = async () => {
    for (let i = 0; i < repeats; i++) record();
  };
  if (runtime.info.software) {
    await all();
    const before = process.cpuUsage();
    await runtime.finish();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e3;
  }
  runtime.meter.reset();
  if (runtime.caps.timestamps) {
    await runtime.profile(all);
    return runtime.meter.total().gpuNanoseconds / 1e6;
  }
  await all();
  const started = performance.now();
  await runtime.finish();
  return performance.now() - started;
}

const commands = {
  /** Puts the inputs of a pass in place, and runs it once. Returns its outputs. */
  async prepare({ kernel: name, pass, inputs, params, gradients }) {
    const kernel = library.kernelNamed(name);
    const tensors = {};
    const host = {};
    for (const [input, { shape, data }] of Object.entries(inputs))
      if (data instanceof Int32Array) host[input] = { shape, data };
      else tensors[input] = runtime.upload(data, shape);
    let request = { kernel, inputs: tensors, host, params };
    if (pass === 'backward') {
      const outputs = runtime.kernel(kernel, tensors, { params, host });
      const upstream = (output) => runtime.upload(gradients[output], outputs[output].shape);
      const run = { inputs: tensors, host, outputs, params };
      request = library.backwardRequest(kernel, run, upstream, Object.keys(tensors));
    }
    const { kernel: run, inputs: given, wanted } = request;
    const options = { params: request.params, host: request.host, wanted };
    record = () => release(runtime.kernel(run, given, options), given);
    const first = runtime.kernel(run, given, options);
    const outputs = {};
    for (const [output, tensor] of Object.entries(first)) outputs[output] = await tensor.read();
    release(first, given);
    await timed(1);
    return { outputs, ms: await timed(1), device: runtime.info };
  },
  time: ({ repeats }) => timed(repeats),
};

process.on('message', async ({ id, command, given }) => {
  try {
    // What a case made goes with the next one.
    if (command === 'prepare') runtime.memory.trim();
    process.send({ id, answer: await commands[command](given) });
  } catch (error) {
    process.send({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
// The gate is done, or gone.
process.on('disconnect', () => process.exit());
