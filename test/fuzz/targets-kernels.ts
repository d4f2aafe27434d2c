/**
 * What `kernel run` and `kernel show` are given: names, parameters, shapes, tensors. It is checked, planned forward and
 * backward, and run on a device that computes nothing.
 */
import { backwardRequest } from '../../kernels/backward-request.ts';
import { kernelNamed, kernels } from '../../kernels/index.ts';
import {
  checkParams,
  defaultCaps,
  sizeOf,
  type Caps,
  type Kernel,
  type Params,
  type Plan,
  type Shape,
} from '../../kernels/plan.ts';
import { referenceCases } from '../../kernels/reference/cases.ts';
import { parseArguments } from '../../src/cli/command.ts';
import { kernelRun } from '../../src/cli/kernel.ts';
import { parseShapes } from '../../src/cli/kernel-shapes.ts';
import { kernelShow } from '../../src/cli/kernel-show.ts';
import { dryDevice } from '../../src/gpu/dry-device.ts';
import { Runtime } from '../../src/gpu/runtime.ts';
import {
  decodeStored,
  narrowed,
  parseTensors,
  serializeSafetensors,
  type HostTensor,
} from '../../src/io/safetensors.ts';
import { prepareKernelRun, runKernel } from '../../src/ops/run-kernel.ts';
import { expectThat, type Target } from './campaign.ts';
import { jsonText, mutateBytes, mutateJson, NUMBERS, type Dice } from './mutations.ts';

const names = Object.keys(kernels);
/** Devices for which kernels have forms of their own. */
const devices: readonly Caps[] = [defaultCaps, Object.freeze({ ...defaultCaps, software: true })];

/** A tensor as it is changed: floats are all 0.5, so that their shape is enough. */
interface Sketch {
  shape: number[];
  /** Of integers. */
  values?: number[];
}

interface Sample {
  tensors: Record<string, Sketch>;
  params: Params;
}

/** The small inputs of `verify`, and for their gradients those of the outputs. */
const samples = new Map<string, Sample[]>();
function samplesOf(name: string): Sample[] {
  const known = samples.get(name);
  if (known) return known;
  const made = referenceCases(name).map(({ inputs, params }): Sample => {
    const tensors = Object.entries(inputs).map(([input, { shape, data }]): [string, Sketch] => [
      input,
      { shape: [...shape], ...(data instanceof Int32Array && { values: [...data] }) },
    ]);
    return { tensors: Object.fromEntries(tensors), params };
  });
  samples.set(name, made);
  return made;
}

/** The most elements of a tensor in an input. */
const MOST = 4096;

/** A length like another, or one that nobody expects. */
const length = (from: number, dice: Dice): number =>
  dice.pick([0, 1, 2, 3, 4, 5, 8, 64, from, from + 1, Math.max(0, from - 1), 2 * from]);

/** Changes one length wherever it stands, so that shapes still agree, or in one place alone. */
function reshape(tensors: Record<string, Sketch>, dice: Dice): void {
  const all = Object.values(tensors);
  if (all.length === 0) return;
  const one = dice.pick(all);
  const at = dice.integer(one.shape.length + 1);
  const from = one.shape[at] ?? 1;
  const to = length(from, dice);
  if (dice.chance(0.5)) {
    for (const { shape } of all) shape.forEach((d, i) => d === from && (shape[i] = to));
    return;
  }
  dice.pick<() => void>([
    () => at < one.shape.length && (one.shape[at] = to),
    () => one.shape.splice(at, 1),
    () => one.shape.splice(at, 0, to),
    () => one.shape.reverse(),
    () => (one.shape = [0, dice.pick([2 ** 24, 2 ** 31, 2 ** 40])]),
  ])();
}

/** Changes what tensors there are, their types and their integers. */
function rearrange(tensors: Record<string, Sketch>, kernel: Kernel, dice: Dice): void {
  const present = Object.keys(tensors);
  if (present.length === 0) return;
  const name = dice.pick(present);
  const tensor = tensors[name];
  const other = dice.pick([
    ...present,
    ...kernel.inputs.map((port) => port.name),
    'x',
    'x1',
    'grad_out',
    'toString',
  ]);
  const { values } = tensor;
  dice.pick<() => void>([
    () => delete tensors[name],
    () => (tensors[other] = { ...tensor, shape: [...tensor.shape] }),
    () => (tensors[name] = { shape: tensor.shape, ...(!values && { values: [0] }) }),
    () => values && (values[dice.integer(values.length)] = dice.pick(NUMBERS) | 0),
    () => values && (values[dice.integer(values.length)] = dice.pick([-1, 0, 1, 2, 3, 7])),
    () => values?.reverse(),
  ])();
}

function hostTensors(tensors: Readonly<Record<string, Sketch>>): Map<string, HostTensor> {
  return new Map(
    Object.entries(tensors).flatMap(([name, { shape, values }]): [string, HostTensor][] => {
      const size = sizeOf(shape);
      if (size > MOST) return [];
      if (!values) return [[name, { shape, dtype: 'f32', data: new Float32Array(size).fill(0.5) }]];
      const data = Int32Array.from({ length: size }, (_, i) => values[i % values.length]);
      return [[name, { shape, dtype: 'i32', data }]];
    }),
  );
}

function mutateSample(name: string, dice: Dice): Sample {
  const kernel = kernels[name];
  const { tensors, params } = structuredClone(dice.pick(samplesOf(name)));
  for (let n = dice.pick([0, 0, 1, 1, 2]); n > 0; n--) reshape(tensors, dice);
  if (dice.chance(0.3)) rearrange(tensors, kernel, dice);
  if (!dice.chance(0.4)) return { tensors, params };
  const all = Object.fromEntries(
    kernel.params.map((param) => [param.name, params[param.name] ?? param.default ?? null]),
  );
  return { tensors, params: mutateJson(dice.chance(0.5) ? all : params, dice) as Params };
}

/** The text of `--params`. */
const paramsText = (params: Params, dice: Dice): string =>
  dice.chance(0.05) ? jsonText(params, dice) : JSON.stringify(params);

/** Whether a plan says what a device can do. */
function checkPlan({ dispatches, outputs, scratch, data }: Plan, caps: Caps): void {
  const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
  for (const { label, workgroups, macs, flops, bytesRead, bytesWritten, constants, uniforms } of dispatches) {
    const fits = workgroups.every((n) => isCount(n) && n <= caps.maxComputeWorkgroupsPerDimension);
    expectThat(fits, `${label}: ${workgroups.join('x')} workgroups`);
    for (const cost of [macs, flops, bytesRead, bytesWritten])
      expectThat(cost >= 0 && cost < Infinity, `${label}: cost ${cost}`);
    for (const value of Object.values(constants).flat())
      expectThat(Number.isFinite(value), `${label}: constant ${value}`);
    for (const uniform of uniforms)
      expectThat(
        typeof uniform === 'number' ? uniform >= 0 && uniform < 2 ** 32 : Number.isFinite(uniform.f32),
        `${label}: uniform ${JSON.stringify(uniform)}`,
      );
  }
  for (const [name, { shape }] of [...Object.entries(outputs), ...Object.entries(scratch)])
    expectThat(shape.every(isCount), `${name}: [${shape}]`);
  for (const table of Object.values(data)) expectThat(table instanceof Int32Array, 'a table that is none');
}

/** Plans forward and backward as `kernel show` and a runtime do. */
function planAll(
  kernel: Kernel,
  shapes: Record<string, Shape>,
  host: Record<string, Int32Array>,
  params: Params,
  caps: Caps,
): void {
  const forward = kernel.plan({ shapes, params, caps, host });
  checkPlan(forward, caps);
  if (!kernel.backward) return;
  const outputs = Object.fromEntries(
    Object.entries(forward.outputs).map(([name, { shape }]) => [name, shape]),
  );
  const floats = Object.keys(shapes).filter((name) => !host[name]);
  const request = backwardRequest(
    kernel,
    { inputs: shapes, host, outputs, params },
    (name) => outputs[name],
    floats,
  );
  checkPlan(request.kernel.plan({ ...request, shapes: request.inputs, caps }), caps);
}

const info = { name: 'none', vendor: '', architecture: '', driver: '', software: false, features: [] };
let runtime: { on: Runtime; runs: number } | undefined;
/** A runtime on a device that computes nothing; another one now and then, for it keeps plans. */
function dryRuntime(): Runtime {
  if (!runtime || runtime.runs >= 500) {
    runtime?.on.close();
    runtime = { on: new Runtime(dryDevice({ caps: defaultCaps, info: info as never })), runs: 0 };
  }
  runtime.runs++;
  return runtime.on;
}

interface RunInput {
  name: string;
  params: string;
  file: Uint8Array;
  gradients: boolean;
  runs: boolean;
  /** Of `devices`. */
  device: number;
  /** Of its tensors, with lengths of 0 as 1: a sum over no rows has a result as wide as they are. */
  bytes: number;
}

const bytesOf = (shape: readonly number[]): number =>
  4 * shape.reduce((product, d) => product * Math.max(1, d), 1);

/** The gradients that a run of these inputs asks for, where it has any. */
function withGradients(name: string, { tensors, params }: Sample): Record<string, Sketch> {
  const kernel = kernels[name];
  try {
    const { device, host } = prepareKernelRun(kernel, hostTensors(tensors), params, false, '');
    const shapes = Object.fromEntries(
      Object.entries({ ...device, ...host }).map(([input, { shape }]) => [input, shape]),
    );
    const values = Object.fromEntries(Object.entries(host).map(([input, { data }]) => [input, data]));
    const { outputs } = kernel.plan({ shapes, params, caps: defaultCaps, host: values });
    const isSeen = (output: string): boolean =>
      !kernel.outputs.some((port) => port.name === output && port.saved);
    const gradients = Object.entries(outputs).filter(
      ([output, { dtype }]) => dtype === 'f32' && isSeen(output),
    );
    return {
      ...tensors,
      ...Object.fromEntries(
        gradients.map(([output, { shape }]) => [`grad_${output}`, { shape: [...shape] }]),
      ),
    };
  } catch {
    return tensors;
  }
}

const run: Target<RunInput> = {
  name: 'kernel-run',
  size: ({ file, bytes }) => file.length + Math.min(bytes, defaultCaps.maxStorageBufferBindingSize),
  make(dice) {
    const name = dice.pick(names);
    const sample = mutateSample(name, dice);
    const gradients = dice.chance(0.4);
    const tensors = gradients ? withGradients(name, sample) : sample.tensors;
    if (gradients && dice.chance(0.2)) rearrange(tensors, kernels[name], dice);
    const host = hostTensors(tensors);
    const file = serializeSafetensors(
      [...host].map(([input, tensor]) => [input, dice.chance(0.1) ? narrowed(tensor) : tensor]),
    );
    return {
      name: dice.chance(0.01) ? dice.pick(['', 'toString', '__proto__', `${name} `]) : name,
      params: paramsText(sample.params, dice),
      file: dice.chance(0.02) ? mutateBytes(file, dice) : file,
      ...{ gradients, runs: dice.chance(0.1), device: dice.integer(devices.length) },
      bytes: [...host.values()].reduce((sum, { shape }) => sum + bytesOf(shape), 0),
    };
  },
  read({ name, params: text, file, gradients, runs, device: at }) {
    const args = parseArguments(kernelRun, [name, '--in=in', '--out=out', `--params=${text}`]);
    if (args === 'help') return;
    const kernel = kernelNamed(args.positional);
    const params = args.json('params');
    const { tensors } = parseTensors(file, 'in', decodeStored);
    const prepared = prepareKernelRun(kernel, tensors, params, gradients, 'in');
    const { device, host } = prepared;
    const shapes = Object.fromEntries(
      Object.entries({ ...device, ...host }).map(([input, { shape }]) => [input, shape]),
    );
    planAll(
      kernel,
      shapes,
      Object.fromEntries(Object.entries(host).map(([input, { data }]) => [input, data])),
      params,
      devices[at],
    );
    if (!runs) return;
    return runKernel(dryRuntime(), prepared).then((results) => {
      for (const [output, { shape, data }] of results)
        expectThat(sizeOf(shape) === data.length, `${output}: [${shape}]`);
    });
  },
};

/** Nested lists of integers of a shape. */
function nested(shape: readonly number[], values: readonly number[], from = 0): unknown {
  if (shape.length === 0) return values[from % values.length];
  const step = sizeOf(shape.slice(1));
  return Array.from({ length: shape[0] }, (_, i) => nested(shape.slice(1), values, from + i * step));
}

/** Bytes of the tensors that a text names shapes of, as far as they can be bound: their plans have tables of that order. */
function namedBytes(text: string): number {
  try {
    const shapes = Object.values(JSON.parse(text) as object).filter(
      (shape): shape is number[] => Array.isArray(shape) && shape.every(Number.isSafeInteger),
    );
    const sizes = shapes.map(bytesOf);
    return sizes
      .filter((size) => size <= defaultCaps.maxStorageBufferBindingSize)
      .reduce((a, b) => a + b, text.length);
  } catch {
    return text.length;
  }
}

const show: Target<{ name: string; shapes: string; params: string }> = {
  name: 'kernel-show',
  size: ({ shapes }) => namedBytes(shapes),
  make(dice) {
    const name = dice.pick(names);
    const { tensors, params } = mutateSample(name, dice);
    const shapes = Object.fromEntries(
      Object.entries(tensors).map(([input, { shape, values }]) => [
        input,
        values && shape.every((d) => d <= 64) && sizeOf(shape) <= MOST ? nested(shape, values) : shape,
      ]),
    );
    return {
      name,
      shapes: jsonText(dice.chance(0.4) ? mutateJson(shapes, dice) : shapes, dice),
      params: paramsText(params, dice),
    };
  },
  read({ name, shapes: text, params: paramText }) {
    const args = parseArguments(kernelShow, [name, `--shapes=${text}`, `--params=${paramText}`]);
    if (args === 'help') return;
    const kernel = kernelNamed(args.positional);
    const params = args.json('params');
    checkParams(kernel, params);
    const { shapes, host } = parseShapes(kernel, args.json('shapes'));
    planAll(kernel, shapes, host, params, defaultCaps);
  },
};

export const kernelTargets: readonly Target[] = [run, show];
