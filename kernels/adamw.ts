/** `adamw`: one step of AdamW (Loshchilov & Hutter 2019, as PyTorch computes it), in place, on runs of elements. */
import { InputError } from './errors.ts';
import {
  expectShape,
  f32,
  foldGrid,
  integerParam,
  numberParam,
  shapeOf,
  sizeOf,
  spec,
  type Binding,
  type Caps,
  type Kernel,
  type Params,
  type Port,
  type Shape,
} from './plan.ts';
import { bitsOf, LANES, runTable } from './shared/runs.ts';
import adamwWgsl from '../shaders/adamw.wgsl';

/** Per element: m 3, v 4, denominator 3, quotient 1, decay, step and both sums 4; and the gradient's scale. Rounding is none. */
const FLOPS = 15;

const state: readonly Port[] = [
  { name: 'param', dtype: 'f32', shape: '[...]' },
  { name: 'm', dtype: 'f32', shape: '[...]' },
  { name: 'v', dtype: 'f32', shape: '[...]' },
];

const copy: Port = { name: 'copy', dtype: 'f16', shape: '[...]', optional: true };

/** All there can be: the table, and what of the inputs is given. */
const bindings: readonly Binding[] = [
  { name: 'runs', access: 'read', tensor: 'runs' },
  { name: 'param', access: 'read_write', tensor: 'param' },
  { name: 'grad', access: 'read', tensor: 'grad' },
  { name: 'm', access: 'read_write', tensor: 'm' },
  { name: 'v', access: 'read_write', tensor: 'v' },
  { name: 'grad_scale', access: 'read', tensor: 'grad_scale' },
  { name: 'found_inf', access: 'read', tensor: 'found_inf' },
  { name: 'copy', access: 'read_write', tensor: 'copy' },
];

function rate(params: Params, name: string, fallback: number): number {
  const value = numberParam('adamw', params, name, fallback);
  if (value < 0 || value >= 1)
    throw new InputError(`adamw: parameter "${name}" must be at least 0 and below 1, got ${value}`);
  return value;
}

/** A part of the elements that share a step's number and decay: several parameters side by side, for one. */
export interface AdamWRun {
  /** First element, and how many. */
  first: number;
  size: number;
  step: number;
  weightDecay: number;
}

/** Floats of a row of the table. */
const RATES = 3;

const isRate = (lr: unknown): lr is number => typeof lr === 'number' && lr >= 0 && Math.fround(lr) < Infinity;

/** What a run's row of the table says of its step, behind the elements. */
function ratesOf({ step, weightDecay }: AdamWRun, lr: number, beta1: number, beta2: number): number[] {
  return [lr / (1 - beta1 ** step), 1 / Math.sqrt(1 - beta2 ** step), lr * weightDecay];
}

/** Values that a lane updates: on a CPU, where a lane costs as much to begin as a value does, more (1.5 times as fast). */
const valuesPerLane = ({ software }: Caps): number => (software ? 64 : 4);

/** The runs of a request: those of the parameter `runs`, else one of all elements. Errors: a run past the end or back. */
function runsOf(params: Params, size: number): readonly AdamWRun[] {
  if (params.runs === undefined) {
    const step = integerParam('adamw', params, 'step', undefined, 1);
    return [{ first: 0, size, step, weightDecay: numberParam('adamw', params, 'weightDecay', 0.01, 0) }];
  }
  const { runs } = params;
  if (!Array.isArray(runs) || runs.some((run) => typeof run !== 'object' || run === null))
    throw new InputError('adamw: parameter "runs" must be a list of objects');
  let end = 0;
  return (runs as readonly Params[]).map((run) => {
    const first = integerParam('adamw', run, 'first');
    const count = integerParam('adamw', run, 'size');
    if (first < end || first + count > size)
      throw new InputError(`adamw: parameter "runs": ${count} elements from ${first} on are none of ${size}`);
    end = first + count;
    const step = integerParam('adamw', run, 'step', undefined, 1);
    return { first, size: count, step, weightDecay: numberParam('adamw', run, 'weightDecay', 0.01, 0) };
  });
}

/**
 * m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², param ← param·(1 − lr·weightDecay) − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + eps)
 * with g = grad · grad_scale (1 where absent). param, grad, m, v of one shape; param, m and v are written in place.
 * Where `found_inf` is not 0 nothing is written. `copy`, f16 of the same shape, becomes param to the nearest, of two the even one;
 * runs must begin and end at multiples of 4 then.
 * `runs`, a list of {first, size, step, weightDecay} in their order, takes the place of `step` and `weightDecay`; elements in
 * no run stay as they are. The bias corrections are computed here, in double precision. It has no gradient.
 */
export const adamw: Kernel = {
  name: 'adamw',
  doc: "one step of PyTorch's AdamW; param, m and v are updated in place",
  inputs: [
    state[0],
    { name: 'grad', dtype: 'f32', shape: '[...]' },
    state[1],
    state[2],
    { name: 'grad_scale', dtype: 'f32', shape: '[1]', optional: true },
    { name: 'found_inf', dtype: 'f32', shape: '[1]', optional: true },
    copy,
  ],
  outputs: [...state, copy],
  params: [
    { name: 'lr', doc: 'learning rate', live: true },
    { name: 'step', doc: 'number of this step, from 1; required without runs', live: true },
    { name: 'beta1', doc: 'decay rate of the first moment', default: 0.9 },
    { name: 'beta2', doc: 'decay rate of the second moment', default: 0.999 },
    { name: 'eps', doc: 'added to the denominator', default: 1e-8 },
    { name: 'weightDecay', doc: 'decoupled weight decay, times lr', default: 0.01 },
    {
      name: 'runs',
      doc: 'list of {first, size, step, weightDecay}: the elements of a step, all when absent',
      live: true,
    },
  ],
  tables: {
    runs:
      'a row for each run of elements that the step takes, all of them where the parameter runs is absent: the first ' +
      'workgroup, those of a run side by side, 256 elements each; first element and count; then floats: ' +
      'lr / (1 - beta1^step), 1 / sqrt(1 - beta2^step), lr weightDecay. Elements are fours where all runs begin and end at such',
  },
  plan(request) {
    const shape = shapeOf('adamw', request, 'param');
    for (const name of ['grad', 'm', 'v']) expectShape('adamw', name, shapeOf('adamw', request, name), shape);
    const given = (name: string, expected: Shape): boolean => {
      if (!request.shapes[name]) return false;
      expectShape('adamw', name, request.shapes[name], expected);
      return true;
    };
    const scaled = given('grad_scale', [1]);
    const skips = given('found_inf', [1]);
    const copies = given('copy', shape);
    const lr = numberParam('adamw', request.params, 'lr', undefined, 0);
    const beta1 = rate(request.params, 'beta1', 0.9);
    const beta2 = rate(request.params, 'beta2', 0.999);
    const eps = numberParam('adamw', request.params, 'eps', 1e-8, 0);
    const runs = runsOf(request.params, sizeOf(shape));

    const size = runs.reduce((sum, run) => sum + run.size, 0);
    const vec = runs.every((run) => run.first % 4 === 0 && run.size % 4 === 0);
    if (copies && !vec)
      throw new InputError('adamw: runs must begin and end at multiples of 4 where there is a "copy"');
    const width = vec ? 4 : 1;
    const PER = valuesPerLane(request.caps);
    const table = runTable(
      runs.map((run) => ({
        first: run.first / width,
        size: run.size / width,
        more: ratesOf(run, lr, beta1, beta2).map(f32),
      })),
      LANES * PER,
    );
    const inPlace = { param: 'param', m: 'm', v: 'v', ...(copies && { copy: 'copy' }) };
    return {
      dispatches:
        size === 0
          ? []
          : [
              {
                label: 'adamw',
                shader: adamwWgsl,
                entryPoint: 'main',
                constants: {
                  VEC: Number(vec),
                  SCALED: Number(scaled),
                  PER,
                  FOUND_INF: Number(skips),
                  COPY: Number(copies),
                },
                bindings: bindings.filter(({ name }) => name === 'runs' || request.shapes[name]),
                uniforms: [table.count, table.groups, ...[beta1, 1 - beta1, beta2, 1 - beta2, eps].map(f32)],
                workgroups: foldGrid(table.groups, request.caps),
                macs: 0,
                flops: size * (FLOPS + Number(scaled)),
                bytesRead: 4 * (4 * size + Number(scaled) + Number(skips)) + table.data.byteLength,
                bytesWritten: (copies ? 14 : 12) * size,
              },
            ],
      scratch: {},
      outputs: {
        ...{ param: spec(shape), m: spec(shape), v: spec(shape) },
        ...(copies && { copy: spec(shape, 'f16') }),
      },
      data: { runs: table.data },
      inPlace,
    };
  },
  renew(plan, before, params) {
    const { lr, runs } = params;
    const [beta1, beta2] = [params.beta1 ?? 0.9, params.beta2 ?? 0.999];
    const same = before.beta1 === params.beta1 && before.beta2 === params.beta2 && before.eps === params.eps;
    if (!same || !isRate(lr) || !Array.isArray(runs) || !Array.isArray(before.runs)) return undefined;
    if (runs.length !== before.runs.length) return undefined;
    const data = plan.data.runs.slice();
    const width = 3 + RATES;
    let row = 0;
    for (let i = 0; i < runs.length; i++) {
      const run = runs[i] as AdamWRun | undefined | null;
      const { first, size, weightDecay } = before.runs[i] as AdamWRun;
      if (run?.first !== first || run.size !== size || run.weightDecay !== weightDecay) return undefined;
      if (typeof weightDecay !== 'number') return undefined; // the default
      if (!Number.isSafeInteger(run.step) || run.step < 1) return undefined;
      if (size === 0) continue;
      const rates = ratesOf(run, lr, beta1 as number, beta2 as number);
      for (let j = 0; j < RATES; j++) data[width * row + 3 + j] = bitsOf(rates[j]);
      row++;
    }
    const { dispatches, scratch, outputs, inPlace } = plan;
    return { dispatches, scratch, outputs, data: { runs: data }, inPlace };
  },
};
