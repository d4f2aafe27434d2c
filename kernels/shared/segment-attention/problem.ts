/** What a request to `segment-attention` asks for, checked. */
import { InputError } from '../../errors.ts';
import { expectShape, integerParam, shapeOf, type PlanRequest, type Shape } from '../../plan.ts';
import type { AttentionSizes } from '../attention-strips.ts';
import { lengthsOf } from '../lengths.ts';
import { scalesParam } from '../scales.ts';

/** Where the weight of a scale is: offset b·batch + i·query + h·head + s. */
export interface WeightStrides {
  batch: number;
  query: number;
  head: number;
}

/** One set of heads for all scales (`shared`: `weights` is there) or one set of each scale's own. */
export interface SegmentProblem extends AttentionSizes {
  lengths: Int32Array;
  /** In the order of the weights; 0 stands for a scale longer than the keys, which has no segment. */
  scales: readonly number[];
  /** Heads of one set; `heads` counts those of all. */
  headsPerSet: number;
  weights?: { shape: Shape; strides: WeightStrides };
}

/**
 * Checks q, k, v [B,L,D] or [B,L,S·D], lengths i32[B], weights [S], [H,S] or [B,L,H,S], heads, scales, projections.
 * Errors: InputError that names the kernel and what is wrong.
 */
export function segmentProblem(kernel: string, request: PlanRequest): SegmentProblem {
  const shape = shapeOf(kernel, request, 'q', 3);
  const [batches, tokens, hidden] = shape;
  for (const name of ['k', 'v']) expectShape(kernel, name, shapeOf(kernel, request, name), shape);
  const heads = integerParam(kernel, request.params, 'heads', undefined, 1);
  const scales = scalesParam(kernel, request.params);
  const projections = request.params.projections ?? 'shared';
  if (projections !== 'shared' && projections !== 'per-scale')
    throw new InputError(
      `${kernel}: parameter "projections" must be "shared" or "per-scale", got ${JSON.stringify(projections)}`,
    );
  const shared = projections === 'shared';
  const allHeads = shared ? heads : heads * scales.length;
  if (hidden % allHeads !== 0)
    throw new InputError(
      `${kernel}: the last axis of q, ${hidden}, is not a multiple of ` +
        (shared ? `heads = ${heads}` : `scales · heads = ${scales.length} · ${heads}`),
    );
  const lengths = lengthsOf(kernel, request, batches, tokens);
  if (!shared && request.shapes.weights)
    throw new InputError(`${kernel}: per-scale projections take no input "weights"`);
  return {
    ...{ batches, heads: allHeads, queries: tokens, keys: tokens, hidden, headSize: hidden / allHeads },
    ...{ lengths, paddedQueries: true, headsPerSet: heads },
    scales: scales.map((r) => (r > tokens ? 0 : r)),
    ...(shared ? { weights: weightsOf(kernel, request, batches, tokens, heads, scales.length) } : {}),
  };
}

/** The weights' shape and what to step by: 0 along an axis that they do not have. */
function weightsOf(
  kernel: string,
  request: PlanRequest,
  batches: number,
  tokens: number,
  heads: number,
  scales: number,
): SegmentProblem['weights'] {
  const shape = shapeOf(kernel, request, 'weights');
  if (shape.length === 1) {
    expectShape(kernel, 'weights', shape, [scales]);
    return { shape, strides: { batch: 0, query: 0, head: 0 } };
  }
  if (shape.length === 2) {
    expectShape(kernel, 'weights', shape, [heads, scales]);
    return { shape, strides: { batch: 0, query: 0, head: scales } };
  }
  if (shape.length === 4) {
    expectShape(kernel, 'weights', shape, [batches, tokens, heads, scales]);
    return { shape, strides: rowStrides(tokens, heads, scales) };
  }
  throw new InputError(
    `${kernel}: input "weights" must have shape [${scales}], [${heads},${scales}] or ` +
      `[${batches},${tokens},${heads},${scales}], got [${shape}]`,
  );
}

/** Strides of a [B, L, H, S] tensor. */
export const rowStrides = (tokens: number, heads: number, scales: number): WeightStrides => ({
  batch: tokens * heads * scales,
  query: heads * scales,
  head: scales,
});
