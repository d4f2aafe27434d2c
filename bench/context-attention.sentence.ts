/** The sentence of `bench context-attention`: its inputs, their expansion span by span, and what float64 makes of it. */
import { references } from '../kernels/reference/index.ts';
import type { RefTensor, RefTensors } from '../kernels/reference/types.ts';
import { enumerateSpans } from '../src/tasks/spans/enumerate.ts';
import { randomValues } from './harness.ts';

export const MAX_WIDTH = 10;
export const HEADS = 8;
export const HEAD_SIZE = 96;
export const D = HEADS * HEAD_SIZE;

export const PASSES = ['forward', 'backward'] as const;
export type Pass = (typeof PASSES)[number];
export type Values = Record<string, Float32Array>;

/** The columns of the last head of [rows, D], which float64 checks: heads do not know of one another. */
export function lastHead(values: ArrayLike<number>): Float64Array {
  const rows = values.length / D;
  const cut = new Float64Array(rows * HEAD_SIZE);
  for (let i = 0; i < rows; i++)
    for (let c = 0; c < HEAD_SIZE; c++) cut[i * HEAD_SIZE + c] = values[(i + 1) * D - HEAD_SIZE + c];
  return cut;
}

/** One sentence: inputs, and the gradient of out. */
export class Sentence {
  /** [S, 3]. */
  readonly spans: Int32Array;
  readonly S: number;
  /** q, k, v [1, L, D]. */
  readonly values: Values;
  readonly maskQuery = randomValues([D], 3);
  /** [S, L, D]. */
  readonly gradOut: Float32Array;

  constructor(readonly tokens: number) {
    this.spans = enumerateSpans([tokens], MAX_WIDTH);
    this.S = this.spans.length / 3;
    const names = ['q', 'k', 'v'];
    this.values = Object.fromEntries(names.map((name, i) => [name, randomValues([tokens, D], i)]));
    // A block of random values over and over: 1e8 of them take long.
    const block = randomValues([17 * tokens * D], 4);
    this.gradOut = new Float32Array(this.S * tokens * D);
    for (let at = 0; at < this.gradOut.length; at += block.length)
      this.gradOut.set(block.subarray(0, Math.min(block.length, this.gradOut.length - at)), at);
  }

  /** Outputs or gradients of the last head. */
  exact(pass: Pass): Record<string, RefTensor['data']> {
    const cut = (values: Float32Array, ...shape: number[]): RefTensor => ({ shape, data: lastHead(values) });
    const rows = [1, this.tokens, HEAD_SIZE];
    const inputs: RefTensors = {
      ...Object.fromEntries(Object.entries(this.values).map(([name, x]) => [name, cut(x, ...rows)])),
      mask_query: cut(this.maskQuery, HEAD_SIZE),
      spans: { shape: [this.S, 3], data: this.spans },
      lengths: { shape: [1], data: Int32Array.of(this.tokens) },
    };
    const reference = references['context-attention'];
    const grad_out = cut(this.gradOut, this.S, this.tokens, HEAD_SIZE);
    const results =
      pass === 'forward'
        ? reference.forward(inputs, { heads: 1 })
        : (reference.backward?.(inputs, { heads: 1 }, { grad_out }) ?? {});
    return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data]));
  }

  /** Queries, keys, values, gradients and mask of the attentions of spans `first` .. `first + count`. */
  expanded(first: number, count: number): { values: Values; mask: Int32Array } {
    const L = this.tokens;
    const size = L * D;
    const repeat = (values: Float32Array) => {
      const all = new Float32Array(count * size);
      for (let s = 0; s < count; s++) all.set(values, s * size);
      return all;
    };
    const values: Values = Object.fromEntries(
      Object.entries(this.values).map(([name, x]) => [name, repeat(x)]),
    );
    values.grad_out = this.gradOut.subarray(first * size, (first + count) * size);
    const mask = new Int32Array(count * L * L).fill(1);
    for (let s = 0; s < count; s++) {
      const [, start, end] = this.spans.subarray(3 * (first + s), 3 * (first + s) + 3);
      for (let i = start; i < end; i++) values.q.set(this.maskQuery, s * size + i * D);
      for (let i = 0; i < L; i++) mask.fill(0, (s * L + i) * L + start, (s * L + i) * L + end);
    }
    return { values, mask };
  }
}
