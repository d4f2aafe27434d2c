// One side of `bench gate --time`: runs kernels and trainings of the checkout whose library it is given, as messages tell it.
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';

const library = await import(pathToFileURL(process.argv[2]).href);
const runtime = await library.openRuntime();

/** Milliseconds of so many runs of what is in place. */
let timed;

/** Gives back what a run made, but for inputs that it wrote in place. */
function release(outputs, inputs) {
  for (const tensor of Object.values(outputs)) if (!Object.values(inputs).includes(tensor)) tensor.release();
}

/**
 * Milliseconds of so many runs: of this process's CPU time on a software device, which computes in it, as the load of the
 * machine hardly moves that; of a GPU by timestamps around every dispatch where it has them, else by the wall clock.
 */
async function timedRuns(record, repeats) {
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

/** Milliseconds, by the clock that `timedRuns` takes where there are no timestamps. */
function now() {
  if (!runtime.info.software) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
}

/** Trains. Returns the losses, and the milliseconds from the end of the first step to that of the last. */
async function train({ definition, data, config, recipe }) {
  const losses = [];
  let first;
  let last;
  await library.train(library.definitionNamed(definition), data, {
    ...{ runtime, storage: library.memoryStorage(), config, recipe },
    onEvent({ event, loss }) {
      if (event !== 'step') return;
      losses.push(loss);
      last = now();
      first ??= last;
    },
  });
  return { losses: Float32Array.from(losses), ms: last - first };
}

const places = {
  async training(given) {
    const { losses } = await train(given);
    timed = async (repeats) => {
      let ms = 0;
      for (let i = 0; i < repeats; i++) ms += (await train(given)).ms;
      return ms;
    };
    return { losses };
  },

  async pass({ kernel: name, pass, inputs, params, gradients }) {
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
    const record = () => release(runtime.kernel(run, given, options), given);
    timed = (repeats) => timedRuns(record, repeats);
    const first = runtime.kernel(run, given, options);
    const outputs = {};
    for (const [output, tensor] of Object.entries(first)) outputs[output] = await tensor.read();
    release(first, given);
    await timed(1);
    return outputs;
  },
};

const commands = {
  /** Puts a pass or a training in place, and runs it. Returns its outputs. */
  async prepare(what) {
    const outputs = await ('definition' in what ? places.training : places.pass)(what);
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
