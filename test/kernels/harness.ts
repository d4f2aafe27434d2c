/**
 * One case drives everything a kernel promises: parity with the float64 reference forward and backward, outputs
 * poisoned with NaN beforehand, bit-identical reruns, a grid folded to two dimensions, the default limits of WebGPU,
 * and a gradient check in mid-graph (scaled input, non-unit upstream) through the tape.
 */
import test from 'tape';
import { backwardRequest } from '../../kernels/backward-request.ts';
import { kernels } from '../../kernels/index.ts';
import { references } from '../../kernels/reference/index.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import {
  defaultCaps,
  sizeOf,
  type Caps,
  type Kernel,
  type Params,
  type Plan,
  type Shape,
} from '../../kernels/plan.ts';
import { kernelNamed, type Runtime, type Tensor } from '../../src/node.ts';
import { apply, type HostInts } from '../../src/ops/apply.ts';
import { widened } from '../../src/io/safetensors.ts';
import { prepareKernelRun, runKernel } from '../../src/ops/run-kernel.ts';
import { toHost } from '../../src/ops/verify-kernel.ts';
import { record } from '../../src/ops/tape.ts';
import { relativeError } from '../relative-error.ts';
import { sharedRuntime } from '../runtime.ts';
import { inputsOf, planProblems } from './plan-problems.ts';
import { mul, scale } from '../../kernels/shared/elementwise.ts';
import { sum } from '../../kernels/column-sum.ts';

export { relativeError };
export const TOLERANCE = 1e-4;

export interface Case {
  name: string;
  inputs: RefTensors;
  params?: Params;
  /** Forward only (span-enumerate, adamw). */
  forwardOnly?: boolean;
  /** Inputs whose gradient is left out (true gradient 0, noise otherwise). */
  skipGradients?: readonly string[];
}

let seed = 1;
/** Deterministic values in [-1, 1). */
export function random(shape: Shape, factor = 1): RefTensor {
  const data = new Float64Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    data[i] = Math.fround(factor * (seed / 2147483648 - 1));
  }
  return { shape, data };
}

/** An int32 tensor. */
export const ints = (shape: Shape, values: ArrayLike<number>): RefTensor => ({
  shape,
  data: Int32Array.from(values),
});

export const runtime: Runtime = sharedRuntime();
/** `npm test -- --gpu-forms`: everything in the forms of a GPU, on whatever device there is. */
const gpuForms = process.env.SPANWISE_TEST_FORMS === 'gpu';
if (gpuForms) {
  const caps: Caps = { ...runtime.caps, software: false };
  Object.defineProperty(runtime, 'caps', { value: caps, configurable: true });
}

const isFloat = (x: RefTensor): boolean => x.data instanceof Float64Array;

function split(inputs: RefTensors): { floats: Record<string, Float32Array>; host: Record<string, HostInts> } {
  const floats: Record<string, Float32Array> = {};
  const host: Record<string, HostInts> = {};
  for (const [name, x] of Object.entries(inputs))
    if (x.data instanceof Int32Array) host[name] = { data: x.data, shape: x.shape };
    else floats[name] = Float32Array.from(x.data);
  return { floats, host };
}

/** What is wrong with a plan, at WebGPU's default limits unless told otherwise. */
export const limitProblems = (plan: Plan, caps = defaultCaps): string[] => planProblems(plan, caps);

/** Every plan that is made here, of whatever shape and for whatever caps, is checked (plan-problems.ts). */
for (const kernel of Object.values(kernels))
  for (const one of [kernel, kernel.backward]) {
    if (!one) continue;
    const plan = one.plan.bind(one);
    one.plan = (request) => {
      const made = plan(request);
      const problems = planProblems(made, request.caps, inputsOf(one, request));
      if (problems.length > 0) throw new Error(problems.join('\n'));
      return made;
    };
  }

const sameBits = (a: Float32Array | Int32Array, b: Float32Array | Int32Array): boolean =>
  Buffer.compare(
    Buffer.from(a.buffer, a.byteOffset, a.byteLength),
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  ) === 0;

/** Runs forward and backward on the device; returns outputs and gradients by name. */
export async function forwardBackward(
  kernel: Kernel,
  c: Case,
  grads: RefTensors | undefined,
): Promise<Record<string, Float32Array | Int32Array>> {
  const tensors = Object.entries({ ...c.inputs, ...grads }).map(([name, x]) => [name, toHost(x)] as const);
  const run = prepareKernelRun(kernel, new Map(tensors), c.params ?? {}, grads !== undefined, kernel.name);
  const results = await runKernel(runtime, run);
  return Object.fromEntries([...results].map(([name, tensor]) => [name, widened(tensor).data]));
}

/** Runs `body` with other capabilities shown to the plans: a small grid limit, or the variants of a real GPU. */
export async function withCaps<T>(changes: Partial<Caps>, body: () => Promise<T>): Promise<T> {
  const caps = runtime.caps;
  Object.defineProperty(runtime, 'caps', { value: { ...caps, ...changes }, configurable: true });
  try {
    return await body();
  } finally {
    Object.defineProperty(runtime, 'caps', { value: caps, configurable: true });
  }
}

/**
 * Every promise of a kernel, for each case.
 * @param onOther which cases run in the forms of the other kind of device too (none with `--gpu-forms`, which is a run of its
 * own): all, unless their pipelines are so many that a CPU would take minutes to compile them
 */
export function testKernel(
  name: string,
  cases: readonly Case[],
  onOther: (c: Case) => boolean = () => true,
): void {
  const kernel = kernelNamed(name);
  const reference = references[name];
  for (const c of cases)
    test(`${name}: ${c.name}`, async (t) => {
      const params = c.params ?? {};
      const expected = reference.forward(c.inputs, params);
      const visible = Object.keys(expected);
      const backward = c.forwardOnly ? undefined : kernel.backward;
      const grads: RefTensors | undefined = backward
        ? Object.fromEntries(visible.map((port) => [`grad_${port}`, random(expected[port].shape)]))
        : undefined;
      const expectedGrads = grads ? reference.backward?.(c.inputs, params, grads) : undefined;

      const { host } = split(c.inputs);
      const shapes = Object.fromEntries(Object.entries(c.inputs).map(([key, x]) => [key, x.shape]));
      const hostData = Object.fromEntries(Object.entries(host).map(([key, x]) => [key, x.data]));
      const plan = kernel.plan({ shapes, params, caps: defaultCaps, host: hostData });

      const first = await forwardBackward(kernel, c, grads);
      const compare = (run: typeof first, how: string): void => {
        for (const port of visible) {
          const error = relativeError(run[port], expected[port].data);
          t.ok(error <= TOLERANCE, `${port}${how}: relative error ${error.toExponential(1)}`);
        }
        for (const [key, g] of Object.entries(expectedGrads ?? {})) {
          if (c.skipGradients?.includes(key.replace(/^grad_/, ''))) continue;
          const actual = run[key];
          const error = actual ? relativeError(actual, g.data) : NaN;
          t.ok(error <= TOLERANCE, `${key}${how}: relative error ${error.toExponential(1)}`);
        }
      };
      t.deepEqual(
        Object.keys(first).filter((name) => !name.startsWith('grad_')),
        visible,
        'the outputs',
      );
      for (const port of visible)
        t.deepEqual([...plan.outputs[port].shape], [...expected[port].shape], `${port}: shape`);
      compare(first, '');
      // The other side of every choice that is made by the kind of device.
      const software = !runtime.caps.software;
      if (onOther(c) && !gpuForms)
        compare(await withCaps({ software }, () => forwardBackward(kernel, c, grads)), ' (other device)');
      const grid = { maxComputeWorkgroupsPerDimension: 37 };
      const folded = await withCaps(grid, () => forwardBackward(kernel, c, grads));
      t.deepEqual(
        Object.keys(first).filter((key) => !sameBits(first[key], folded[key])),
        [],
        'the same bits on a second run, with the grid folded',
      );
      if (backward && grads) await midGraph(t, kernel, c, grads);
      if (backward?.adds && grads && expectedGrads) await addition(t, kernel, c, grads, expectedGrads);
    });
}

/** Gradients that a backward adds to what is there, all of them at once and in one buffer. */
async function addition(
  t: test.Test,
  kernel: Kernel,
  c: Case,
  grads: RefTensors,
  expected: RefTensors,
): Promise<void> {
  const params = c.params ?? {};
  const { floats, host } = split(c.inputs);
  const names = (kernel.backward?.adds ?? []).filter((name) => name in expected);
  const ends = names.map((name) => 64 * Math.ceil(expected[name].data.length / 64));
  const firsts = ends.map((_, i) => ends.slice(0, i).reduce((sum, size) => sum + size, 0));
  const held = random([ends.reduce((sum, size) => sum + size, 0)]);
  const results = await runtime.scope(async () => {
    const upload = (name: string, data: ArrayLike<number>) =>
      runtime.upload(Float32Array.from(data), (c.inputs[name] ?? grads[name]).shape);
    const inputs = Object.fromEntries(Object.entries(floats).map(([name, x]) => [name, upload(name, x)]));
    const outputs = runtime.kernel(kernel, inputs, { params, host });
    const request = backwardRequest(
      kernel,
      { inputs, host, outputs, params },
      (output) => upload(`grad_${output}`, grads[`grad_${output}`].data),
      names.map((name) => name.replace(/^grad_/, '')),
    );
    const all = runtime.upload(Float32Array.from(held.data), held.shape);
    const out = Object.fromEntries(
      names.map((name, i) => [name, all.slice(firsts[i], expected[name].shape)]),
    );
    const made = runtime.kernel(request.kernel, request.inputs, { ...request, out, add: names });
    t.ok(
      names.every((name) => made[name] === out[name]),
      'the places given are used',
    );
    return runtime.readAll(names.map((name) => out[name]));
  });
  names.forEach((name, i) => {
    if (c.skipGradients?.includes(name.replace(/^grad_/, ''))) return;
    const sums = Float64Array.from(expected[name].data, (g, j) => g + held.data[firsts[i] + j]);
    const error = relativeError(results[i], sums);
    t.ok(error <= TOLERANCE, `${name} added: relative error ${error.toExponential(1)}`);
  });
}

const FACTOR = 0.75;

/**
 * loss = Σ_outputs Σ (upstream · op(0.75 x)): gradients from the tape against 0.75 · the reference's, and the
 * directional derivative of the float64 reference by central differences against the tape's.
 */
async function midGraph(t: test.Test, kernel: Kernel, c: Case, grads: RefTensors): Promise<void> {
  const params = c.params ?? {};
  const reference = references[kernel.name];
  const names = Object.keys(c.inputs).filter((name) => isFloat(c.inputs[name]));
  if (names.every((name) => c.inputs[name].data.length === 0)) return;
  const scaled: RefTensors = {};
  for (const [name, x] of Object.entries(c.inputs))
    scaled[name] = isFloat(x)
      ? { shape: x.shape, data: Float64Array.from(x.data, (v) => Math.fround(v * FACTOR)) }
      : x;
  const expected = reference.backward?.(scaled, params, grads) ?? {};
  const taped = await runtime.scope(async () => {
    const { floats, host } = split(c.inputs);
    const leaves = Object.fromEntries(
      names.map((name) => {
        const leaf = runtime.upload(floats[name], c.inputs[name].shape);
        leaf.requiresGrad = true;
        return [name, leaf];
      }),
    );
    const { result: loss, tape } = await record(runtime, () => {
      const inputs: Record<string, Tensor | HostInts> = { ...host };
      for (const name of names)
        inputs[name] = apply(runtime, scale, { x: leaves[name] }, { factor: FACTOR }).out;
      const outputs = apply(runtime, kernel, inputs, params);
      let total: Tensor | undefined;
      for (const [key, g] of Object.entries(grads)) {
        const upstream = runtime.upload(Float32Array.from(g.data), g.shape);
        const weighted = apply(runtime, mul, { a: outputs[key.replace(/^grad_/, '')], b: upstream }).out;
        const part = apply(runtime, sum, { x: weighted }).out;
        total = total ? apply(runtime, kernelNamed('add'), { a: total, b: part }).out : part;
      }
      return total as Tensor;
    });
    tape.backward(loss);
    return Promise.all(names.map(async (name) => [name, await leaves[name].grad?.read()] as const));
  });
  let slope = 0;
  const directions: Record<string, Float64Array> = {};
  for (const [name, actual] of taped) {
    if (c.skipGradients?.includes(name)) continue;
    const g = expected[`grad_${name}`].data;
    const error = actual
      ? relativeError(
          actual,
          Float64Array.from(g, (v) => v * FACTOR),
        )
      : NaN;
    t.ok(error <= TOLERANCE, `grad of ${name} in mid-graph: relative error ${error.toExponential(1)}`);
    // Padding may hold NaN: the direction leaves it alone.
    const direction = random(c.inputs[name].shape).data as Float64Array;
    directions[name] = direction.map((v, i) => (Number.isFinite(c.inputs[name].data[i]) ? v : 0));
    actual?.forEach((v, i) => (slope += (v * directions[name][i]) / FACTOR));
  }
  const along = (step: number): number => {
    const moved: RefTensors = { ...scaled };
    for (const [name, d] of Object.entries(directions))
      moved[name] = {
        shape: scaled[name].shape,
        data: Float64Array.from(scaled[name].data, (v, i) => v + step * d[i]),
      };
    const outputs = reference.forward(moved, params);
    let total = 0;
    for (const [key, g] of Object.entries(grads))
      outputs[key.replace(/^grad_/, '')].data.forEach((v, i) => (total += v * g.data[i]));
    return total;
  };
  if (Object.keys(directions).length === 0) return;
  const step = 1e-6;
  const numeric = (along(step) - along(-step)) / (2 * step);
  const error = Math.abs(slope - numeric) / Math.max(Math.abs(numeric), 0.1);
  t.ok(error <= 1e-3, `directional derivative: ${slope.toPrecision(6)} against ${numeric.toPrecision(6)}`);
}
