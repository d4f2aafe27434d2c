/** Error bounds of attention in all its forms (bounds.ts). */
import {
  allMagnitudes,
  DIVISION,
  exponentialOfDifference,
  largestOf,
  logarithm,
  magnitudes,
  type Bounds,
  type Checked,
  type KernelBounds,
} from './rounding.ts';
import type { RefTensor, RefTensors } from './types.ts';

/** The largest Euclidean norm of a head's row: a product of two rows is at most that of their norms, term by term too. */
function rowNorm({ data }: RefTensor, headSize: number): number {
  let largest = 0;
  for (let at = 0; at < data.length; at += headSize)
    largest = Math.max(largest, Math.hypot(...data.subarray(at, at + headSize)));
  return largest;
}

/** What an attention is computed from. */
interface Sizes {
  headSize: number;
  /** At most so many keys a query, and queries a key. */
  keys: number;
  queries: number;
  /** Tokens of a segment, over which scores are averaged. */
  window: number;
  /** How often the output counts at most: the sum of what weighs it. */
  weight: number;
  /** Attentions that a gradient is the sum of. */
  times: number;
}

/**
 * Roundings of a probability, e to its score over the sum of those: a product of headSize terms, their mean over a
 * window, an exp that is also in the sum, the sum, each term of it rescaled as the maximum grows, a log and a division.
 */
function probabilityUlps(scores: number, { headSize, keys, window }: Sizes): number {
  const score = scores * (headSize + window + 4);
  const lse = scores + Math.log(keys);
  return 2 * (score + exponentialOfDifference(scores + lse)) + 10 * keys + logarithm(lse) + lse + DIVISION;
}

const bounds = (sizesOf: (c: Checked) => Sizes, why: string): KernelBounds => {
  const scoresOf = ({ inputs: { q, k, mask_query } }: Checked & { inputs: Partial<RefTensors> }, n: number) =>
    (Math.max(rowNorm(q!, n), mask_query ? rowNorm(mask_query, n) : 0) * rowNorm(k!, n)) / Math.sqrt(n);
  const sizesOfValues = ({ inputs }: Checked): RefTensors => ({
    ...inputs,
    v: magnitudes(inputs.v),
    ...('weights' in inputs ? { weights: magnitudes(inputs.weights) } : {}),
  });
  return {
    why,
    forward(c): Bounds {
      const sizes = sizesOf(c);
      const p = probabilityUlps(scoresOf(c, sizes.headSize), sizes);
      const of = c.reference.forward(sizesOfValues(c), c.params).out.data;
      return { out: { ulps: p + sizes.keys + sizes.window, of } };
    },
    backward(c): Bounds {
      const sizes = sizesOf(c);
      const { headSize, keys, queries, weight, times } = sizes;
      const { q, k, v, mask_query } = c.inputs as Partial<RefTensors>;
      const p = probabilityUlps(scoresOf(c, headSize), sizes);
      const upstream = allMagnitudes(c.grads);
      const products = rowNorm(c.grads.grad_out, headSize) * rowNorm(v!, headSize);
      // Of a score: p (z - delta), z and delta products of grad_out with values and with what they were averaged to.
      const score = (2 * products) / Math.sqrt(headSize);
      const ulps = 2 * p + 2 * headSize + keys + times + sizes.window + 6;
      // What the probabilities of a key add up to over the queries: the gradient of its value where all others are 1.
      const ones = { ...c.grads.grad_out, data: c.grads.grad_out.data.map(() => 1) };
      const shares = Float64Array.from(
        c.reference.backward!(sizesOfValues(c), c.params, { grad_out: ones }).grad_v.data,
      );
      const largestQuery = Math.max(largestOf(q!), mask_query ? largestOf(mask_query) : 0);
      const weights = c.inputs.weights as RefTensor | undefined;
      const outputs = weights ? (queries * c.grads.grad_out.shape[0] * q!.shape[2]) / headSize : 0;
      return {
        grad_q: { ulps: ulps + keys, of: score * weight * times * largestOf(k!) },
        grad_k: {
          ulps: ulps + queries * times,
          of: shares.map((p) => score * largestQuery * p),
        },
        grad_v: {
          ulps: p + queries * times + sizes.window,
          of: c.reference.backward!(sizesOfValues(c), c.params, upstream).grad_v.data,
        },
        ...(mask_query && {
          grad_mask_query: { ulps: ulps + keys * queries, of: score * queries * times * largestOf(k!) },
        }),
        ...(weights && { grad_weights: { ulps: ulps + outputs, of: products * outputs } }),
      };
    },
  };
};

const headSizeOf = ({ inputs, params }: Checked): number => inputs.q.shape.at(-1)! / Number(params.heads);
const plain = { window: 1, weight: 1, times: 1 };

export const attentionBounds = bounds(
  (c) => ({
    ...plain,
    headSize: headSizeOf(c),
    keys: c.inputs.k.shape.at(-2)!,
    queries: c.inputs.q.shape.at(-2)!,
  }),
  'scores: sums over a head; exp, a sum of keys, log, a division; a sum of keys, backward of queries',
);

export const contextAttentionBounds = bounds((c) => {
  const [, length] = c.inputs.q.shape;
  const times = c.inputs.spans.shape[0];
  return { ...plain, headSize: headSizeOf(c), keys: 2 * length, queries: length, times };
}, 'as attention, keys before and behind a span apart and joined; backward a sum of spans');

export const segmentAttentionBounds = bounds((c) => {
  const [, length] = c.inputs.q.shape;
  const scales = c.params.scales as number[];
  const own = c.params.projections === 'per-scale';
  return {
    headSize: headSizeOf(c) / (own ? scales.length : 1),
    ...{ keys: length, queries: length, times: 1 },
    window: scales.reduce((a, b) => a + b, 0),
    weight: own ? 1 : scales.length * largestOf(c.inputs.weights),
  };
}, 'as attention of means of scores; sums over a segment and over the scales');
