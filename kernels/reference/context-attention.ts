import { InputError } from '../errors.ts';
import { attentionReference } from './attention.ts';
import { bindShapes, checkLengths, integerParam, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

interface Sizes {
  S: number;
  L: number;
  D: number;
}

function bind(inputs: RefTensors, params: RefParams): Sizes {
  const { B, L, D, S } = bindShapes('context-attention', inputs, {
    q: 'B L D',
    k: 'B L D',
    v: 'B L D',
    mask_query: 'D',
    spans: 'i32 S 3',
    lengths: 'i32 B',
  });
  const { spans, lengths } = inputs;
  checkLengths('context-attention', lengths, L);
  const heads = integerParam('context-attention', params, 'heads', { min: 1 });
  if (D % heads !== 0)
    throw new InputError(`context-attention: D = ${D} is not a multiple of heads = ${heads}`);
  for (let s = 0; s < S; s++) {
    const [b, start, end] = spans.data.subarray(3 * s, 3 * s + 3);
    if (b < 0 || b >= B || start < 0 || start >= end || end > lengths.data[b]) {
      throw new InputError(
        `context-attention: spans row ${s} = (${b}, ${start}, ${end}) is not a span of its row`,
      );
    }
  }
  return { S, L, D };
}

/** What `attention` is given for span s: the rows of its batch row up to the length, and the keys outside the span. */
function attentionInputs({ q, k, v, mask_query, spans, lengths }: RefTensors, { L, D }: Sizes, s: number) {
  const [b, start, end] = spans.data.subarray(3 * s, 3 * s + 3);
  const length = lengths.data[b];
  const first = b * L * D;
  const rows = (data: Float64Array | Int32Array) => ({
    shape: [1, length, D],
    data: Float64Array.from(data.subarray(first, first + length * D)),
  });
  const query = rows(q.data);
  for (let i = start; i < end; i++) query.data.set(mask_query.data, i * D);
  const mask = Int32Array.from({ length: length * length }, (_, at) => {
    const key = at % length;
    return Number(key < start || key >= end);
  });
  const inputs: RefTensors = {
    ...{ q: query, k: rows(k.data), v: rows(v.data) },
    mask: { shape: [1, length, length], data: mask },
  };
  return { inputs, first, start, end, size: length * D };
}

/**
 * `context-attention` (docs/spec.md#context-attention): out [S,L,D], an `attention` for each span (b, start, end) of
 * spans i32[S,3] over the keys of row b within length and outside the span, the queries inside replaced by mask_query
 * [D]; q, k, v [B,L,D], lengths i32[B]; param `heads`. Rows past the length, and all rows of a span that covers its
 * row, are 0.
 */
export const contextAttentionReference: Reference = {
  forward(inputs, params) {
    const sizes = bind(inputs, params);
    const { S, L, D } = sizes;
    const out = zeros([S, L, D]);
    for (let s = 0; s < S; s++) {
      const { inputs: own } = attentionInputs(inputs, sizes, s);
      out.data.set(attentionReference.forward(own, params).out.data, s * L * D);
    }
    return { out };
  },

  backward(inputs, params, grads) {
    const sizes = bind(inputs, params);
    const { S, L, D } = sizes;
    const gradOut = upstream('context-attention', grads, 'out', [S, L, D]);
    const gradients = {
      grad_q: zeros(inputs.q.shape),
      grad_k: zeros(inputs.k.shape),
      grad_v: zeros(inputs.v.shape),
      grad_mask_query: zeros([D]),
    };
    for (let s = 0; s < S; s++) {
      const { inputs: own, first, start, end, size } = attentionInputs(inputs, sizes, s);
      const grad_out = { shape: own.q.shape, data: gradOut.slice(s * L * D, s * L * D + size) };
      const { grad_q, grad_k, grad_v } = attentionReference.backward?.(own, params, { grad_out }) ?? {};
      for (let at = 0; at < size; at++) {
        const row = Math.floor(at / D);
        if (row >= start && row < end) gradients.grad_mask_query.data[at % D] += grad_q.data[at];
        else gradients.grad_q.data[first + at] += grad_q.data[at];
        gradients.grad_k.data[first + at] += grad_k.data[at];
        gradients.grad_v.data[first + at] += grad_v.data[at];
      }
    }
    return gradients;
  },
};
