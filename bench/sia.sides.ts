/** What `bench sia` compares, forward and backward: segment-attention, self-attention, and SIA scale by scale. */
import { attention } from '../kernels/attention.ts';
import { add } from '../kernels/shared/elementwise.ts';
import type { Caps, Kernel, PlanRequest } from '../kernels/plan.ts';
import {
  chooseSegmentForm,
  planSegmentAttention,
  planSegmentAttentionBackward,
  segmentAttention,
} from '../kernels/segment-attention.ts';
import type { SegmentForm } from '../kernels/shared/segment-attention/scan.ts';
import { slidingAveragePool } from '../kernels/sliding-average-pool.ts';
import { weightedSum } from '../kernels/weighted-sum.ts';
import type { HostInts } from '../src/ops/apply.ts';
import type { Composition, Step } from './sia.composition.ts';

export const HEADS = 8;
export const HEAD_SIZE = 96;
export const SCALES: readonly number[] = [2, 3, 4, 5, 6];

export type Pass = 'forward' | 'backward';

/** One thing that is measured. */
export interface SiaSide {
  name: string;
  scales: readonly number[];
  /** Each scale its own q, k, v. */
  perScale: boolean;
  forward: Composition;
  /** Reads q, k, v, weights, grad_out and `kept`; makes grad_q, grad_k, grad_v and, with `weights`, grad_weights. */
  backward: Composition;
  /** Tensors that the forward leaves to the backward beside out. */
  kept: readonly string[];
}

const backwardOf = (kernel: Kernel): Kernel => kernel.backward as Kernel;
const lengthsOf = (tokens: number): Record<string, HostInts> => ({
  lengths: { data: Int32Array.of(tokens), shape: [1] },
});
const same = (...names: string[]): Record<string, string> => Object.fromEntries(names.map((n) => [n, n]));
const qkv = same('q', 'k', 'v');
const gradients = ['grad_q', 'grad_k', 'grad_v'];

/** Whether it is self-attention, which has no weights to learn: its one is 1. */
export const isSelfAttention = (scales: readonly number[]): boolean => scales.length === 1 && scales[0] === 1;

/** `segment-attention` in the form that the choice function picks, or another. `scales` [1] is self-attention. */
export function segmentSide(
  name: string,
  tokens: number,
  scales: readonly number[],
  { form, perScale = false }: { form?: SegmentForm; perScale?: boolean } = {},
): SiaSide {
  const params = { heads: HEADS, scales, ...(perScale ? { projections: 'per-scale' } : {}) };
  const inputs = { ...qkv, ...(perScale ? {} : same('weights')) };
  const common = { params, host: lengthsOf(tokens) };
  const wanted = perScale || isSelfAttention(scales) ? gradients : [...gradients, 'grad_weights'];
  const forward: Step = {
    ...common,
    kernel: segmentAttention,
    inputs,
    outputs: same('out'),
    plan: (request: PlanRequest) => planSegmentAttention(request, form),
  };
  const backward: Step = {
    ...common,
    kernel: backwardOf(segmentAttention),
    inputs: { ...inputs, ...same('grad_out') },
    outputs: same(...wanted),
    plan: (request: PlanRequest) => planSegmentAttentionBackward(request, form),
  };
  return {
    ...{ name, scales, perScale, kept: [] },
    forward: { steps: [forward], results: ['out'] },
    backward: { steps: [backward], results: wanted },
  };
}

/** Self-attention by the kernel of that name. */
export function attentionSide(): SiaSide {
  const params = { heads: HEADS };
  const kernel = attention;
  return {
    ...{ name: 'attention', scales: [1], perScale: false, kept: ['lse'] },
    forward: {
      steps: [{ kernel, params, inputs: qkv, outputs: same('out', 'lse') }],
      results: ['out', 'lse'],
    },
    backward: {
      steps: [
        {
          ...{ kernel: backwardOf(kernel), params },
          inputs: { ...qkv, ...same('out', 'lse', 'grad_out') },
          outputs: same(...gradients),
        },
      ],
      results: gradients,
    },
  };
}

/** SIA as the paper writes it: for each scale pool keys and values, then attention; then the weighted sum. */
export function naiveSide(tokens: number, scales: readonly number[]): SiaSide {
  const host = lengthsOf(tokens);
  const pool = (r: number) => ({ kernel: slidingAveragePool, params: { scales: [r] }, host });
  const poolBackward = (r: number) => ({ ...pool(r), kernel: backwardOf(slidingAveragePool) });
  const params = { heads: HEADS };
  const terms = Object.fromEntries(scales.map((r, i) => [`x${i}`, `out${r}`]));
  const kept = scales.flatMap((r) => [`k${r}`, `v${r}`, `out${r}`, `lse${r}`]);

  const forward = scales.flatMap((r): Step[] => [
    { ...pool(r), inputs: { x: 'k' }, outputs: { [`out.${r}`]: `k${r}` } },
    { ...pool(r), inputs: { x: 'v' }, outputs: { [`out.${r}`]: `v${r}` } },
    {
      ...{ kernel: attention, params },
      inputs: { q: 'q', k: `k${r}`, v: `v${r}` },
      outputs: { out: `out${r}`, lse: `lse${r}` },
    },
  ]);

  const last = scales.length - 1;
  /** Adds the gradient of scale number i to those before it; the last sum is the result. */
  const accumulate = (i: number): Step[] =>
    i === 0
      ? []
      : gradients.map((gradient) => ({
          kernel: add,
          inputs: { a: i === 1 ? `${gradient}:0` : `${gradient}+${i - 1}`, b: `${gradient}:${i}` },
          outputs: { out: i === last ? gradient : `${gradient}+${i}` },
        }));
  /** Where the gradient of scale number i goes: one scale alone makes the result. */
  const part = (gradient: string, i: number): string => (last === 0 ? gradient : `${gradient}:${i}`);
  const backward = scales.flatMap((r, i): Step[] => [
    {
      ...{ kernel: backwardOf(attention), params },
      inputs: {
        ...{ q: 'q', k: `k${r}`, v: `v${r}`, out: `out${r}`, lse: `lse${r}`, grad_out: `grad_out${r}` },
      },
      outputs: { grad_q: part('grad_q', i), grad_k: `grad_k${r}`, grad_v: `grad_v${r}` },
    },
    ...['k', 'v'].map((x) => ({
      ...poolBackward(r),
      inputs: { x, [`grad_out.${r}`]: `grad_${x}${r}` },
      outputs: { grad_x: part(`grad_${x}`, i) },
    })),
    ...accumulate(i),
  ]);
  return {
    ...{ name: 'naive', scales, perScale: false, kept },
    forward: {
      steps: [
        ...forward,
        { kernel: weightedSum, inputs: { weights: 'weights', ...terms }, outputs: same('out') },
      ],
      results: ['out'],
    },
    backward: {
      steps: [
        {
          kernel: backwardOf(weightedSum),
          inputs: { weights: 'weights', ...terms, grad_out: 'grad_out' },
          outputs: {
            ...same('grad_weights'),
            ...Object.fromEntries(scales.map((r, i) => [`grad_x${i}`, `grad_out${r}`])),
          },
        },
        ...backward,
      ],
      results: [...gradients, 'grad_weights'],
    },
  };
}

/** The forms that the choice function does not pick, by name. */
export function otherForms(
  tokens: number,
  scales: readonly number[],
  caps: Caps,
): Readonly<Record<string, SegmentForm>> {
  const chosen = chooseSegmentForm({ tokens, scales }, caps);
  const { registers } = chosen;
  return {
    flash: { ...chosen, tileKeys: 64 },
    strips: { registers, scratchBytes: 2 ** 19 },
    wide: { ...chosen, registers: 0 },
  };
}
