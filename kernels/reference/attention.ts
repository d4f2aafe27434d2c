import { InputError } from '../errors.ts';
import { softmaxRow, softmaxRowBackward } from './math.ts';
import { bindShapes, checkLengths, integerParam, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

interface Sizes {
  D: number;
  heads: number;
  /** Keys of a row of the mask. */
  Lk: number;
  items: Item[];
}

/** Rows of q that see rows of k and v. */
interface Item {
  query: number;
  queries: number;
  key: number;
  keys: number;
}

/** Items one after the other, [N, D]: each sees itself. */
function packedItems(inputs: RefTensors): Pick<Sizes, 'D' | 'Lk' | 'items'> {
  const { N, D } = bindShapes('attention', inputs, { q: 'N D', k: 'N D', v: 'N D', lengths: 'i32 B' });
  checkLengths('attention', inputs.lengths, N);
  let end = 0;
  const items = Array.from(inputs.lengths.data, (length): Item => {
    const first = end;
    end += length;
    return { query: first, queries: length, key: first, keys: length };
  });
  if (end !== N) throw new InputError(`attention: lengths add up to ${end}, not to ${N}`);
  return { D, Lk: 0, items };
}

function paddedItems(inputs: RefTensors): Pick<Sizes, 'D' | 'Lk' | 'items'> {
  const { B, Lq, Lk, D } = bindShapes('attention', inputs, {
    q: 'B Lq D',
    k: 'B Lk D',
    v: 'B Lk D',
    'mask?': 'i32 B Lq Lk',
    'lengths?': 'i32 B',
  });
  const { lengths } = inputs as Partial<RefTensors>;
  if (lengths) checkLengths('attention', lengths, Lk);
  const items = Array.from({ length: B }, (_, b): Item => {
    return { query: b * Lq, queries: Lq, key: b * Lk, keys: lengths?.data[b] ?? Lk };
  });
  return { D, Lk, items };
}

function bind(inputs: RefTensors, params: RefParams): Sizes {
  const sizes = inputs.q?.shape.length === 2 ? packedItems(inputs) : paddedItems(inputs);
  const { D } = sizes;
  const heads = integerParam('attention', params, 'heads', { min: 1 });
  if (D % heads !== 0) throw new InputError(`attention: D = ${D} is not a multiple of heads = ${heads}`);
  return { ...sizes, heads };
}

/**
 * Calls `visit` for each query row of each head that may attend to something, with the row's offset in q and out, the
 * offsets in k and v of the keys that it may attend to, and its probabilities over those. No other key is read.
 */
function forEachQuery(
  { q, k, mask }: RefTensors,
  { D, heads, Lk, items }: Sizes,
  visit: (query: number, keys: number[], probabilities: Float64Array) => void,
): void {
  const headSize = D / heads;
  for (const item of items) {
    for (let h = 0; h < heads; h++) {
      for (let i = item.query; i < item.query + item.queries; i++) {
        const query = i * D + h * headSize;
        const keys: number[] = [];
        for (let j = 0; j < item.keys; j++) {
          const allowed = !mask || mask.data[i * Lk + j] !== 0;
          if (allowed) keys.push((item.key + j) * D + h * headSize);
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
 * or q, k, v, out [N,D] packed, N = Σ lengths; param `heads`. A query row that may attend to nothing gives 0 and zero gradients.
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
