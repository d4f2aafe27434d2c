/** Cases of `segment-attention`, and the kernel in any of its forms; shared by its test files. */
import { defaultCaps, type Caps, type Kernel, type Params, type PlanRequest } from '../../kernels/plan.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import {
  planSegmentAttention,
  planSegmentAttentionBackward,
  segmentAttention,
} from '../../kernels/segment-attention.ts';
import type { SegmentForm } from '../../kernels/shared/segment-attention/scan.ts';
import { ints, random, runtime, type Case } from './harness.ts';

export const softwareCaps: Caps = { ...defaultCaps, software: true };

export interface Sizes {
  B: number;
  L: number;
  D: number;
  heads: number;
  scales: readonly number[];
  lengths?: readonly number[];
}

/** The same tensor [B, L, …] with the rows past each length NaN. */
export function poisoned(x: RefTensor, lengths: readonly number[]): RefTensor {
  const L = x.shape[1];
  const row = x.shape.slice(2).reduce((n, d) => n * d, 1);
  const data = Float64Array.from(x.data);
  lengths.forEach((length, b) => data.fill(NaN, (b * L + length) * row, (b + 1) * L * row));
  return { shape: x.shape, data };
}

const lengthsOf = ({ B, L, lengths }: Sizes): readonly number[] => lengths ?? Array<number>(B).fill(L);

/** q, k of magnitude 3, so that rows are neither flat nor one-hot; NaN in the padding. */
function tokens(sizes: Sizes, columns: number): RefTensors {
  const lengths = lengthsOf(sizes);
  const tensor = (factor: number) => poisoned(random([sizes.B, sizes.L, columns], factor), lengths);
  return { q: tensor(3), k: tensor(3), v: tensor(1), lengths: ints([sizes.B], lengths) };
}

type WeightShape = 'by scale' | 'by head' | 'by row';

export function shared(what: string, sizes: Sizes, by: WeightShape = 'by scale'): Case {
  const { B, L, D, heads, scales } = sizes;
  const shape = { 'by scale': [], 'by head': [heads], 'by row': [B, L, heads] }[by];
  const weights = random([...shape, scales.length]);
  return {
    name: `${what}, weights ${by}: [B, L, D, heads] = [${[B, L, D, heads]}], scales ${scales}`,
    inputs: {
      ...tokens(sizes, D),
      weights: by === 'by row' ? poisoned(weights, lengthsOf(sizes)) : weights,
    },
    params: { heads, scales },
  };
}

export function perScale(what: string, sizes: Sizes): Case {
  const { B, L, D, heads, scales } = sizes;
  return {
    name: `${what}, per-scale projections: [B, L, D, heads] = [${[B, L, D, heads]}], scales ${scales}`,
    inputs: tokens(sizes, D * scales.length),
    params: { heads, scales, projections: 'per-scale' } satisfies Params,
  };
}

/** The kernel in one form, whatever the choice would be. */
export const inForm = (form: SegmentForm | 'fused'): Kernel => ({
  ...segmentAttention,
  plan: (r) => planSegmentAttention(r, form),
  backward: { ...(segmentAttention.backward as Kernel), plan: (r) => planSegmentAttentionBackward(r, form) },
});

/** The host side of a case on a software device: what a plan is made of. */
export function requestOf({ inputs, params = {} }: Case, rest: Partial<PlanRequest> = {}): PlanRequest {
  const shapes = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, x.shape]));
  const host = { lengths: inputs.lengths.data as Int32Array };
  return { shapes: { ...shapes, grad_out: inputs.q.shape }, params, caps: softwareCaps, host, ...rest };
}

/** out and all gradients of a kernel on the device, on the host; out alone where there is no upstream gradient. */
export async function run(
  kernel: Kernel,
  { inputs, params }: Case,
  gradOut?: RefTensor,
): Promise<Record<string, Float32Array>> {
  return runtime.scope(async () => {
    const upload = (x: RefTensor) => runtime.upload(Float32Array.from(x.data), x.shape);
    const { lengths, ...floats } = inputs;
    const tensors = Object.fromEntries(Object.entries(floats).map(([name, x]) => [name, upload(x)]));
    const options = { params, host: { lengths: { data: lengths.data as Int32Array, shape: lengths.shape } } };
    const results = {
      ...runtime.kernel(kernel, tensors, options),
      ...(gradOut &&
        runtime.kernel(kernel.backward as Kernel, { ...tensors, grad_out: upload(gradOut) }, options)),
    };
    const names = Object.keys(results);
    const values = await runtime.readAll(names.map((name) => results[name]));
    return Object.fromEntries(names.map((name, i) => [name, values[i] as Float32Array]));
  });
}
