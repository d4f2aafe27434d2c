/**
 * Differentiable operations on tensors: one line each over the kernel of the same name (shapes and errors are the
 * kernel's; docs/spec.md#kernels). Integer inputs are host values.
 */
import { MAX_PARTS } from '../../kernels/concat.ts';
import { InputError } from '../../kernels/errors.ts';
import * as kernels from '../../kernels/all.ts';
import type { Kernel, Params, Shape } from '../../kernels/plan.ts';
import { MAX_TERMS } from '../../kernels/weighted-sum.ts';
import type { Activation } from '../../kernels/shared/activation.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { apply, applyOne, type HostInts, type Inputs } from './apply.ts';
import { numbered, numberedNames } from './numbered.ts';

export { apply, type HostInts, type Inputs } from './apply.ts';
export type { Node } from '../gpu/tensor.ts';
export { record, Tape, untracked } from './tape.ts';

/** Host integers of a shape. Errors: InputError when the count does not fit. */
export function hostInts(data: Int32Array, shape: Shape = [data.length]): HostInts {
  const size = shape.reduce((n, d) => n * d, 1);
  if (data.length !== size) throw new InputError(`${data.length} integers do not fill the shape [${shape}]`);
  return { data, shape };
}

const one = (kernel: Kernel, anchor: Tensor, inputs: Inputs, params: Params = {}, output = 'out'): Tensor =>
  applyOne(anchor.runtime, kernel, inputs, params, output);

/**
 * x [..., K] · weight [N, K]ᵀ + bias [N], then the activation → [..., N], stored as `dtype`: of f16, for which N is a multiple
 * of 4, another `linear` alone takes it, and its gradient is f16 too.
 */
export const linear = (
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  activation: Activation = 'none',
  dtype: 'f32' | 'f16' = 'f32',
): Tensor =>
  one(kernels.linear, x, { x, weight, bias }, dtype === 'f32' ? { activation } : { activation, dtype });

/** LayerNorm over the last axis of x (+ residual) → same shape. */
export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, eps: number, residual?: Tensor): Tensor =>
  one(kernels.layerNorm, x, { x, weight, bias, residual }, { eps });

/** Softmax over the last axis. */
export const softmax = (x: Tensor): Tensor => one(kernels.softmax, x, { x });

/** Rows of table [V, d] at ids [...] → [..., d]; with `padding` an id of −1 is a row of zeros. */
export const embedding = (ids: HostInts, table: Tensor, padding = false): Tensor =>
  one(kernels.embedding, table, { ids, table }, { padding });

/** Multi-head attention of q [B, Lq, D] over k, v [B, Lk, D]; `lengths` [B] masks keys, `mask` [B, Lq, Lk] pairs. */
export const attention = (
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: { heads: number; lengths?: HostInts; mask?: HostInts },
): Tensor =>
  one(
    kernels.attention,
    q,
    { q, k, v, mask: options.mask, lengths: options.lengths },
    { heads: options.heads },
  );

/**
 * For each span (b, start, end) of spans [S, 3] the attention of row b within lengths [B] over the keys outside the span,
 * with mask_query [D] in place of the queries inside it: q, k, v [B, L, D] → [S, L, D], rows past the length 0.
 */
export const contextAttention = (
  q: Tensor,
  k: Tensor,
  v: Tensor,
  maskQuery: Tensor,
  spans: HostInts,
  { heads, lengths }: { heads: number; lengths: HostInts },
): Tensor => one(kernels.contextAttention, q, { q, k, v, mask_query: maskQuery, spans, lengths }, { heads });

/**
 * Token-to-segment attention within lengths [B], segments of every length of `scales` (docs/spec.md#segment-attention).
 * With `weights` [S], [H, S] or [B, L, H, S]: q, k, v [B, L, D] → Σ_s weights_s · O_s [B, L, D]; without: q, k, v hold
 * projections of each scale's own side by side, [B, L, S·D] → the O_s side by side.
 */
export const segmentAttention = (
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: { heads: number; scales: readonly number[]; lengths: HostInts; weights?: Tensor },
): Tensor => {
  const { heads, scales, lengths, weights } = options;
  const projections = weights ? 'shared' : 'per-scale';
  return one(kernels.segmentAttention, q, { q, k, v, weights, lengths }, { heads, scales, projections });
};

/**
 * Attention of q, k, v [B, L, D] within lengths [B], in which token i sees token j if bit kinds_j of sees[kinds_i] is set
 * or if both are of one group ≥ 0; `kinds` (0 to 15) and `groups` [B, L] (docs/spec.md#visibility-attention).
 */
export const visibilityAttention = (
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: { heads: number; sees: readonly number[]; kinds: HostInts; groups: HostInts; lengths: HostInts },
): Tensor => {
  const { heads, sees, ...tables } = options;
  return one(kernels.visibilityAttention, q, { q, k, v, ...tables }, { heads, sees });
};

/**
 * KL divergences between all pairs of the Gaussians N(mu_i, sigma_i²), sigma > 0, over the dimensions of each view:
 * [N, D] → [views, N, N]; [B, N, D] with lengths [B] → [B, views, N, N], 0 in padding.
 */
export const gaussianKl = (
  mu: Tensor,
  sigma: Tensor,
  options: { views: number; lengths?: HostInts },
): Tensor => one(kernels.gaussianKl, mu, { mu, sigma, lengths: options.lengths }, { views: options.views });

/** (weights + I) / (1 + row sums of weights) over the first lengths [B] nodes: [B, views, N, N] → the same, 0 in padding. */
export const graphAdjacency = (weights: Tensor, lengths: HostInts): Tensor =>
  one(kernels.graphAdjacency, weights, { weights, lengths });

/** ReLU of adjacency [B, views, N, N] by view times its share of the columns of x [B, N, g], within lengths [B] → [B, N, g]. */
export const graphConvolution = (adjacency: Tensor, x: Tensor, lengths: HostInts): Tensor =>
  one(kernels.graphConvolution, x, { adjacency, x, lengths });

/** [x_start ; x_(end−1) ; width row] of every span → [S, 2d + dw]. */
export const spanRepresentation = (x: Tensor, widthEmbedding: Tensor, spans: HostInts): Tensor =>
  one(kernels.spanRepresentation, x, { x, width_embedding: widthEmbedding, spans });

/** spanRepresentation · weightᵀ + bias → [S, N], without forming the representation. */
export const spanScore = (
  x: Tensor,
  widthEmbedding: Tensor,
  spans: HostInts,
  weight: Tensor,
  bias: Tensor,
): Tensor => one(kernels.spanScore, x, { x, width_embedding: widthEmbedding, spans, weight, bias });

/** Maximum over the rows of every range → [R, d]; an empty range gives 0. */
export const rangeMaxPool = (x: Tensor, ranges: HostInts): Tensor =>
  one(kernels.rangeMaxPool, x, { x, ranges });

/**
 * Means of r neighbouring rows of x [B, L, d] within lengths [B], for every r of `scales` in their order →
 * [B, max(0, L−r+1), d] each.
 */
export function slidingAveragePool(x: Tensor, lengths: HostInts, scales: readonly number[]): Tensor[] {
  const pooled = apply(x.runtime, kernels.slidingAveragePool, { x, lengths }, { scales });
  return scales.map((r) => pooled[`out.${r}`]);
}

/** x [B, L, d] through a bidirectional LSTM with PyTorch's eight weights, within lengths [B] → [B, L, 2h]. */
export const lstm = (x: Tensor, weights: Readonly<Record<string, Tensor>>, lengths: HostInts): Tensor =>
  one(kernels.lstm, x, { x, ...weights, lengths }, { bidirectional: true });

/** The same through a GRU. */
export const gru = (x: Tensor, weights: Readonly<Record<string, Tensor>>, lengths: HostInts): Tensor =>
  one(kernels.gru, x, { x, ...weights, lengths }, { bidirectional: true });

/** Inverted dropout with Philox bits of (seed, offset); the identity at p = 0. */
export const dropout = (x: Tensor, p: number, seed: number, offset: number): Tensor =>
  p === 0 ? x : one(kernels.dropout, x, { x }, { p, seed, offset });

/** Concatenation along the last axis. */
export function concat(...tensors: Tensor[]): Tensor {
  if (tensors.length > MAX_PARTS) {
    const first = MAX_PARTS - 1;
    return concat(...tensors.slice(0, first), concat(...tensors.slice(first)));
  }
  return one(kernels.concat, tensors[0], numbered('x', tensors));
}

/** The columns of x [..., N] in order, `widths[i]` of them each; the widths add up to N. */
export function split(x: Tensor, widths: readonly number[]): Tensor[] {
  if (widths.length > MAX_PARTS) {
    const first = MAX_PARTS - 1;
    const rest = widths.slice(first);
    const parts = split(x, [...widths.slice(0, first), rest.reduce((a, b) => a + b)]);
    return [...parts.slice(0, first), ...split(parts[first], rest)];
  }
  const parts = apply(x.runtime, kernels.split, { x }, { widths });
  const names = numberedNames('out', widths.length);
  return widths.map((_, i) => parts[names[i]]);
}

/** Σ_i weights[i] · tensors[i], for weights [n] and n tensors of one shape. */
export function weightedSum(weights: Tensor, tensors: readonly Tensor[]): Tensor {
  if (tensors.length > MAX_TERMS) {
    const [first, rest] = split(weights, [MAX_TERMS, tensors.length - MAX_TERMS]);
    return add(weightedSum(first, tensors.slice(0, MAX_TERMS)), weightedSum(rest, tensors.slice(MAX_TERMS)));
  }
  return one(kernels.weightedSum, weights, numbered('x', tensors, { weights }));
}

/** Mean cross-entropy of logits [N, C] over the rows whose target counts → []. */
export const crossEntropy = (logits: Tensor, targets: HostInts, ignoreIndex = -100): Tensor =>
  one(kernels.crossEntropy, logits, { logits, targets }, { ignoreIndex }, 'loss');

/** Mean binary cross-entropy from logits over what the mask counts → []. */
export const binaryCrossEntropy = (logits: Tensor, targets: HostInts, mask?: HostInts): Tensor =>
  one(kernels.binaryCrossEntropy, logits, { logits, targets, mask }, {}, 'loss');

/** a + b, same shapes. */
export const add = (a: Tensor, b: Tensor): Tensor => one(kernels.add, a, { a, b });

/** a · b elementwise, same shapes. */
export const mul = (a: Tensor, b: Tensor): Tensor => one(kernels.mul, a, { a, b });

/** factor · x + offset. */
export const scale = (x: Tensor, factor: number, offset = 0): Tensor =>
  one(kernels.scale, x, { x }, { factor, ...(offset !== 0 && { offset }) });

/** Sum of all elements → []. */
export const sum = (x: Tensor): Tensor => one(kernels.sum, x, { x });

/** The same elements under another shape, without a copy. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const out = x.view(shape);
  if (x.runtime.tape && x.requiresGrad)
    x.runtime.tape.record({
      op: 'reshape',
      inputs: [x],
      outputs: [out],
      backward: ([grad]) => [grad?.view(x.shape)],
    });
  return out;
}
