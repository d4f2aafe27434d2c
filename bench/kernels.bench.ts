/** `bench kernels`: every kernel forward and backward, against the device's measured peaks. */
import { backwardRequest } from '../kernels/backward-request.ts';
import { InputError } from '../kernels/errors.ts';
import { kernels } from '../kernels/index.ts';
import type { Dispatch, Kernel, Plan, Shape } from '../kernels/plan.ts';
import { references } from '../kernels/reference/index.ts';
import type { RefTensor, RefTensors } from '../kernels/reference/types.ts';
import type { Runtime, Tensor } from '../src/node.ts';
import type { HostInts } from '../src/ops/apply.ts';
import { deviceTime, releaseOutputs } from './device-time.ts';
import { checked, makeDocument, onDevice, ownOptions, randomValues } from './harness.ts';
import type { Bench, BenchRow } from './harness.ts';
import { hostTime } from './host-time.ts';
import { kernelCases, type KernelCase } from './kernels.cases.ts';
import { measurePeaks, type Peaks } from './peaks.ts';

/** A kernel with its inputs in place, forward or backward. */
interface Prepared {
  kernel: Kernel;
  tensors: Readonly<Record<string, Tensor>>;
  host: Readonly<Record<string, HostInts>>;
  params: Readonly<Record<string, unknown>>;
  wanted?: readonly string[];
}

/** The plan that the runtime will run, for its costs and its variant. */
function planOf({ kernel, tensors, host, params, wanted }: Prepared, runtime: Runtime): Plan {
  const shapes: Record<string, Shape> = {};
  for (const [name, { shape }] of Object.entries({ ...tensors, ...host })) shapes[name] = shape;
  const values = Object.fromEntries(Object.entries(host).map(([name, { data }]) => [name, data]));
  return kernel.plan({ shapes, params, caps: runtime.caps, host: values, wanted });
}

const run = (runtime: Runtime, { kernel, tensors, host, params, wanted }: Prepared): Record<string, Tensor> =>
  runtime.kernel(kernel, tensors, { params, host, wanted });

/** `matmul.main(TM=8,TN=8)` of the costliest dispatch: which variant the choice function took. */
function variantOf(dispatches: readonly Dispatch[]): string {
  const weight = (d: Dispatch) => d.flops + d.bytesRead + d.bytesWritten;
  const [main] = [...dispatches].sort((a, b) => weight(b) - weight(a));
  if (!main) return 'nothing to do';
  const constants = Object.entries(main.constants)
    .filter(([, value]) => value !== 0)
    .map(([name, value]) => `${name}=${String(value)}`);
  return `${main.shader.name}.${main.entryPoint}(${constants.join(',')})`;
}

/** Compares, then times. `expected` are the outputs that float64 gives. */
async function measure(
  runtime: Runtime,
  { kernel, shape }: KernelCase,
  pass: 'forward' | 'backward',
  prepared: Prepared,
  expected: RefTensors,
  peaks: Peaks,
): Promise<BenchRow> {
  const name = prepared.kernel.name;
  // Before the timing: a kernel that writes over its inputs is right only the first time.
  const relativeError = await runtime.scope(async () => {
    const outputs = run(runtime, prepared);
    const errors = await Promise.all(
      Object.entries(expected)
        .filter(([output]) => outputs[output])
        .map(async ([output, { data }]) =>
          checked(`${name} ${shape} ${output}`, await outputs[output].read(), data),
        ),
    );
    return Math.max(...errors);
  });
  const plan = planOf(prepared, runtime);
  const total = (of: (d: Dispatch) => number) => plan.dispatches.reduce((sum, d) => sum + of(d), 0);
  const flops = total((d) => d.flops);
  const bytes = total((d) => d.bytesRead + d.bytesWritten);
  const time = await deviceTime(runtime, () => releaseOutputs(run(runtime, prepared), prepared.tensors));
  const ms = time.median;
  const gflops = flops / ms / 1e6;
  const gbps = bytes / ms / 1e6;
  const shares = { compute: gflops / peaks.gflops, memory: gbps / peaks.gbps };
  return {
    ...{ kernel, pass, shape, ms, q1: time.q1, q3: time.q3, gflops, gbps },
    percentOfPeak: 100 * Math.max(shares.compute, shares.memory),
    bound: shares.compute > shares.memory ? 'compute' : 'memory',
    ...{ dispatches: plan.dispatches.length, flops, bytes, clock: time.clock, relativeError },
    planMs: await hostTime(() => planOf(prepared, runtime)),
    variant: variantOf(plan.dispatches),
  };
}

async function measureCase(runtime: Runtime, one: KernelCase, peaks: Peaks): Promise<BenchRow[]> {
  const kernel = kernels[one.kernel];
  const reference = references[one.kernel];
  const params = one.params ?? {};
  const inputs = one.inputs();
  const isHost = new Set(kernel.inputs.filter((port) => port.host).map((port) => port.name));
  const tensors: Record<string, Tensor> = {};
  const host: Record<string, HostInts> = {};
  for (const [name, { shape, data }] of Object.entries(inputs))
    if (isHost.has(name)) host[name] = { shape, data: data as Int32Array };
    else tensors[name] = runtime.upload(Float32Array.from(data), shape);
  const expected = reference.forward(inputs, params);
  const forward = { kernel, tensors, host, params };
  if (!kernel.backward || !reference.backward)
    return [await measure(runtime, one, 'forward', forward, expected, peaks)];

  const isFloat = ([, { data }]: [string, RefTensor]) => data instanceof Float64Array;
  const upstream: RefTensors = {};
  for (const [name, { shape }] of Object.entries(expected).filter(isFloat))
    upstream[`grad_${name}`] = { shape, data: Float64Array.from(randomValues(shape, 1)) };
  const request = backwardRequest(
    kernel,
    { inputs: tensors, host, outputs: run(runtime, forward), params },
    (output) => {
      const { shape, data } = upstream[`grad_${output}`];
      return runtime.upload(Float32Array.from(data), shape);
    },
    Object.keys(tensors),
  );
  const prepared: Prepared = { ...request, tensors: request.inputs };
  const gradients = reference.backward(inputs, params, upstream);
  return [
    await measure(runtime, one, 'forward', forward, expected, peaks),
    await measure(runtime, one, 'backward', prepared, gradients, peaks),
  ];
}

/** The cases that `--only` names, or all of the kernels that there are. */
function chooseCases(only: string | undefined): KernelCase[] {
  const present = kernelCases.filter(({ kernel }) => Object.hasOwn(kernels, kernel));
  if (only === undefined) return present;
  const names = only.split(',');
  for (const name of names)
    if (!present.some(({ kernel }) => kernel === name))
      throw new InputError(
        `bench kernels: --only names "${name}", which is not one of ${[...new Set(present.map((c) => c.kernel))].join(', ')}`,
      );
  return present.filter(({ kernel }) => names.includes(kernel));
}

export const kernelsBench: Bench = {
  doc: 'every kernel, forward and backward, in percent of the peaks measured on the device',
  run: ({ args, log }) => {
    const options = ownOptions('kernels', args, { only: { value: 'KERNEL,…', doc: '' } });
    const cases = chooseCases(options.optional('only'));
    return onDevice(async (runtime) => {
      log('measuring the peaks');
      const peaks = await measurePeaks(runtime);
      const rows: BenchRow[] = [];
      for (const given of cases) {
        log(`${given.kernel} ${given.shape}`);
        rows.push(...(await runtime.scope(() => measureCase(runtime, given, peaks))));
      }
      const unmeasured = Object.keys(kernels).filter((name) => !kernelCases.some((c) => c.kernel === name));
      return makeDocument('kernels', runtime, rows, [], { peaks, unmeasured });
    });
  },
};
