import { InputError } from '../errors.ts';
import { softmaxRow, softmaxRowBackward } from './math.ts';
import { bindShapes, checkLengths, integerParam, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

interface Sizes {
  B: number;
  Lq: number;
  Lk: number;
  D: number;
  heads: number;
}

function bind(inputs: RefTensors, params: RefParams): Sizes {
  const { B, Lq, Lk, D } = bindShapes('attention', inputs, {
    q: 'B Lq D',
    k: 'B Lk D',
    v: 'B Lk D',
    'mask?': 'i32 B Lq Lk',
    'lengths?': 'i32 B',
  });
  if (inputs.lengths) checkLengths('attention', inputs.lengths, Lk);
  const heads = integerParam('attention', params, 'heads', { min: 1 });
  if (D % heads !== 0) throw new InputError(`attention: D = ${D} is not a multiple of heads = ${heads}`);
  return { B, Lq, Lk, D, heads };
}

/**
 * Calls `visit` for each query row of each head that may attend to something, with the row's offset in q and out, the
 * offsets in k and v of the keys that it may attend to, and its probabilities over those. No other key is read.
 */
function forEachQuery(
  { q, k, mask, lengths }: RefTensors,
  { B, Lq, Lk, D, heads }: Sizes,
  visit: (query: number, keys: number[], probabilities: Float64Array) => void,
): void {
  const headSize = D / heads;
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < Lq; i++) {
        const query = (b * Lq + i) * D + h * headSize;
        const keys: number[] = [];
        for (let j = 0; j < (lengths ? lengths.data[b] : Lk); j++) {
          const allowed = !mask || mask.data[(b * Lq + i) * Lk + j] !== 0;
          if (allowed) keys.push((b * Lk + j) * D + h * headSize);
        }
        if (keys.length === 0) continue;
        const scores = keys.map((key) => {
          let dot = 0;
          for (let c = 0; c < headSize; c++) dot += q.data[query + c] * k.data[key + c];
          return dot / Math.sqrt(headSize);
        });
        visit(query, keys, softmaxRow(scores));
      }
    }
  }
}

/**
 * `attention` (docs/spec.md#attention): out [B,Lq,D] = softmax(q kᵀ / √dh) v by head; q [B,Lq,D], k and v [B,Lk,D],
 * mask i32[B,Lq,Lk] optional (1 = may attend), lengths i32[B] optional (valid keys, queries are not masked);
 * param `heads`. A query row that may attend to nothing gives 0 and zero gradients.
 */
export const attentionReference: Reference = {
  forward(inputs, params) {
    const sizes = bind(inputs, params);
    const { q, v } = inputs;
    const headSize = sizes.D / sizes.heads;
    const out = zeros(q.shape);
    forEachQuery(inputs, sizes, (query, keys, p) => {
      keys.forEach((key, j) => {
        for (let c = 0; c < headSize; c++) out.data[query + c] += p[j] * v.data[key + c];
      });
    });
    return { out };
  },

  backward(inputs, params, grads) {
    const sizes = bind(inputs, params);
    const { q, k, v } = inputs;
    const headSize = sizes.D / sizes.heads;
    const gradOut = upstream('attention', grads, 'out', q.shape);
    const gradQ = zeros(q.shape);
    const gradK = zeros(k.shape);
    const gradV = zeros(v.shape);
    forEachQuery(inputs, sizes, (query, keys, p) => {
      const gradP = keys.map((key) => {
        let dot = 0;
        for (let c = 0; c < headSize; c++) dot += gradOut[query + c] * v.data[key + c];
        return dot;
      });
      const gradScores = softmaxRowBackward(p, gradP);
      keys.forEach((key, j) => {
        const g = gradScores[j] / Math.sqrt(headSize);
        for (let c = 0; c < headSize; c++) {
          gradQ.data[query + c] += g * k.data[key + c];
          gradK.data[key + c] += g * q.data[query + c];
          gradV.data[key + c] += p[j] * gradOut[query + c];
        }
      });
    });
    return { grad_q: gradQ, grad_k: gradK, grad_v: gradV };
  },
};
