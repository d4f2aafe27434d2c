import { InputError } from '../errors.ts';
import { softmaxRow, softmaxRowBackward } from './math.ts';
import { bindShapes, checkLengths, integerParam, upstream, zeros } from './shapes.ts';
import { scalesParam, slidingMean, slidingMeanBackward, validRows } from './sliding-average-pool.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

const kernel = 'segment-attention';

interface Sizes {
  B: number;
  L: number;
  /** Columns of q, k, v and out: D, or S·D with projections of each scale's own. */
  columns: number;
  D: number;
  heads: number;
  scales: number[];
  perScale: boolean;
}

function bind(inputs: RefTensors, params: RefParams): Sizes {
  const patterns = { q: 'B L columns', k: 'B L columns', v: 'B L columns', lengths: 'i32 B' };
  const { B, L, columns } = bindShapes(kernel, inputs, patterns);
  checkLengths(kernel, inputs.lengths, L);
  const heads = integerParam(kernel, params, 'heads', { min: 1 });
  const scales = scalesParam(kernel, params);
  const S = scales.length;
  const projections = params.projections ?? 'shared';
  if (projections !== 'shared' && projections !== 'per-scale') {
    const given = JSON.stringify(projections);
    throw new InputError(`${kernel}: param projections must be "shared" or "per-scale", got ${given}`);
  }
  const perScale = projections === 'per-scale';
  const parts = heads * (perScale ? S : 1);
  if (columns % parts !== 0) {
    const of = perScale ? `scales · heads = ${S} · ${heads}` : `heads = ${heads}`;
    throw new InputError(`${kernel}: the last axis of q, ${columns}, is not a multiple of ${of}`);
  }
  if (perScale && inputs.weights) {
    throw new InputError(`${kernel}: weights must be absent with per-scale projections`);
  }
  if (!perScale) {
    const byRank: Record<number, string> = { 1: `${S}`, 2: `${heads} ${S}`, 4: `${B} ${L} ${heads} ${S}` };
    const rank = inputs.weights?.shape.length;
    if (rank !== undefined && !(rank in byRank)) {
      throw new InputError(
        `${kernel}: weights has shape [${inputs.weights.shape}], expected [S], [H,S] or [B,L,H,S]`,
      );
    }
    bindShapes(kernel, inputs, { weights: byRank[rank ?? 1] });
  }
  return { B, L, columns, D: perScale ? columns / S : columns, heads, scales, perScale };
}

/** One head of one scale of one batch row: everything that its definition names. */
interface Head {
  r: number;
  /** Queries; as many as tokens. */
  queries: Float64Array[];
  /** P_r K, P_r V: one row for each valid segment. */
  segmentKeys: Float64Array[];
  segmentValues: Float64Array[];
  /** A_r: for each query, its probabilities over the valid segments. */
  probabilities: Float64Array[];
  /** O_r = A_r P_r V. */
  outputs: Float64Array[];
  /** Where row i of the head starts in q, k, v and out. */
  offset(i: number): number;
  /** Where the weight of row i stands in `weights`. */
  weight(i: number): number;
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, c) => sum + x * b[c], 0);

/** Calls `visit` for each head of each scale of each batch row that has a valid segment. */
function forEachHead(inputs: RefTensors, sizes: Sizes, visit: (head: Head) => void): void {
  const { B, L, columns, D, heads, scales, perScale } = sizes;
  const { q, k, v, weights, lengths } = inputs;
  const headSize = D / heads;
  for (let b = 0; b < B; b++) {
    const length = lengths.data[b];
    scales.forEach((r, s) => {
      if (length < r) return;
      for (let h = 0; h < heads; h++) {
        const column = (perScale ? s * D : 0) + h * headSize;
        const queries = validRows(q, b, length, column, headSize);
        const segmentKeys = slidingMean(validRows(k, b, length, column, headSize), r);
        const segmentValues = slidingMean(validRows(v, b, length, column, headSize), r);
        const probabilities = queries.map((query) =>
          softmaxRow(segmentKeys.map((key) => dot(query, key) / Math.sqrt(headSize))),
        );
        const outputs = probabilities.map((p) =>
          Float64Array.from({ length: headSize }, (_, c) =>
            segmentValues.reduce((sum, value, j) => sum + p[j] * value[c], 0),
          ),
        );
        visit({
          r,
          queries,
          segmentKeys,
          segmentValues,
          probabilities,
          outputs,
          offset: (i) => (b * L + i) * columns + column,
          weight(i) {
            const byHead = h * scales.length + s;
            if (weights.shape.length === 1) return s;
            return weights.shape.length === 2 ? byHead : (b * L + i) * heads * scales.length + byHead;
          },
        });
      }
    });
  }
}

/**
 * `segment-attention` (docs/spec.md#segment-attention), by its definition: O_r = softmax(Q (P_r K)ᵀ / √dh over the
 * valid segments) (P_r V) of each head and each r of `scales`, with K and V pooled explicitly; q, k, v [B,L,D], lengths
 * i32[B]. Projections `shared`: out [B,L,D] = Σ_s weights_s · O_s, weights [S], [H,S] or [B,L,H,S]. Projections
 * `per-scale`: q, k, v and out are [B,L,S·D], the scales side by side. A row shorter than r has O_r = 0; padded rows
 * are 0, and what they hold is never read.
 */
export const segmentAttentionReference: Reference = {
  forward(inputs, params) {
    const sizes = bind(inputs, params);
    const out = zeros(inputs.q.shape);
    forEachHead(inputs, sizes, ({ outputs, offset, weight }) => {
      outputs.forEach((row, i) => {
        const w = sizes.perScale ? 1 : inputs.weights.data[weight(i)];
        row.forEach((o, c) => (out.data[offset(i) + c] += w * o));
      });
    });
    return { out };
  },

  backward(inputs, params, grads) {
    const sizes = bind(inputs, params);
    const gradOut = upstream(kernel, grads, 'out', inputs.q.shape);
    const gradQ = zeros(inputs.q.shape);
    const gradK = zeros(inputs.k.shape);
    const gradV = zeros(inputs.v.shape);
    const gradWeights = sizes.perScale ? undefined : zeros(inputs.weights.shape);
    forEachHead(inputs, sizes, (head) => {
      const { r, queries, segmentKeys, segmentValues, probabilities, outputs, offset, weight } = head;
      const blank = (rows: readonly Float64Array[]) => rows.map((row) => new Float64Array(row.length));
      const gradKeys = blank(segmentKeys);
      const gradValues = blank(segmentValues);
      queries.forEach((query, i) => {
        const upstreamRow = Float64Array.from(gradOut.subarray(offset(i), offset(i) + query.length));
        if (gradWeights) gradWeights.data[weight(i)] += dot(upstreamRow, outputs[i]);
        const w = sizes.perScale ? 1 : inputs.weights.data[weight(i)];
        const gradO = upstreamRow.map((g) => w * g);
        const gradP = segmentValues.map((value) => dot(gradO, value));
        softmaxRowBackward(probabilities[i], gradP).forEach((gradScore, j) => {
          const g = gradScore / Math.sqrt(query.length);
          query.forEach((_, c) => {
            gradQ.data[offset(i) + c] += g * segmentKeys[j][c];
            gradKeys[j][c] += g * query[c];
            gradValues[j][c] += probabilities[i][j] * gradO[c];
          });
        });
      });
      for (const [grad, segments] of [
        [gradK, gradKeys],
        [gradV, gradValues],
      ] as const) {
        const gradRows = blank(queries);
        slidingMeanBackward(segments, r, gradRows);
        gradRows.forEach((row, j) => row.forEach((g, c) => (grad.data[offset(j) + c] += g)));
      }
    });
    return {
      grad_q: gradQ,
      grad_k: gradK,
      grad_v: gradV,
      ...(gradWeights ? { grad_weights: gradWeights } : {}),
    };
  },
};
