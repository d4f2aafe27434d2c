import { InputError } from '../errors.ts';
import { softmaxRow, softmaxRowBackward } from './math.ts';
import { bindShapes, checkLengths, integerParam, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

interface Sizes {
  B: number;
  L: number;
  D: number;
  heads: number;
  sees: readonly number[];
}

function bind(inputs: RefTensors, params: RefParams): Sizes {
  const name = 'visibility-attention';
  const { B, L, D } = bindShapes(name, inputs, {
    q: 'B L D',
    k: 'B L D',
    v: 'B L D',
    kinds: 'i32 B L',
    groups: 'i32 B L',
    lengths: 'i32 B',
  });
  checkLengths(name, inputs.lengths, L);
  const heads = integerParam(name, params, 'heads', { min: 1 });
  if (D % heads !== 0) throw new InputError(`${name}: D = ${D} is not a multiple of heads = ${heads}`);
  const { sees } = params;
  if (!Array.isArray(sees)) throw new InputError(`${name}: param sees must be a list of masks`);
  return { B, L, D, heads, sees: sees as number[] };
}

/**
 * Calls `visit` for each query within length, head by head, that sees something, with the offset of the query's row in
 * q and out, those of the keys that it sees in k and v, and its probabilities over them. No other key is read.
 */
function forEachQuery(
  { q, k, kinds, groups, lengths }: RefTensors,
  { B, L, D, heads, sees }: Sizes,
  visit: (query: number, keys: number[], probabilities: Float64Array) => void,
): void {
  const headSize = D / heads;
  for (let b = 0; b < B; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < lengths.data[b]; i++) {
        const query = (b * L + i) * D + h * headSize;
        const keys: number[] = [];
        for (let j = 0; j < lengths.data[b]; j++) {
          const [kind, other] = [kinds.data[b * L + i], kinds.data[b * L + j]];
          const group = groups.data[b * L + i];
          const byKind = (((sees[kind] ?? 0) >> other) & 1) === 1;
          const byGroup = group >= 0 && group === groups.data[b * L + j];
          if (byKind || byGroup) keys.push((b * L + j) * D + h * headSize);
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

/**
 * `visibility-attention` (docs/spec.md#visibility-attention): out [B,L,D] = softmax(q kᵀ / √dh) v by head, where token
 * i sees token j, both within lengths i32[B], if bit kinds_j of sees[kinds_i] is set or groups_i = groups_j ≥ 0; q, k,
 * v [B,L,D], kinds and groups i32[B,L]; params `heads`, `sees`. A row that sees nothing and padded rows give 0 and zero
 * gradients.
 */
export const visibilityAttentionReference: Reference = {
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
    const gradOut = upstream('visibility-attention', grads, 'out', q.shape);
    const [gradQ, gradK, gradV] = [zeros(q.shape), zeros(q.shape), zeros(q.shape)];
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
