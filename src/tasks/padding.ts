/** Rows of padded outputs [B, n, width], n rows for each of B items of which the first `lengths` count. */
import type { Tensor } from '../gpu/tensor.ts';
import type { Logits } from './definition.ts';

/** The rows that count, by item. */
export function rowsWithin(padded: Float32Array, lengths: Int32Array, width: number): Float32Array[] {
  const size = padded.length / lengths.length;
  return Array.from(lengths, (length, b) => padded.subarray(b * size, b * size + length * width));
}

export function joinRows(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Logits whose trace has no rows of padding: [Σ lengths, width]. */
export const withoutPadding = (tensor: Tensor, lengths: Int32Array): Logits => ({
  tensor,
  onHost(values) {
    const width = tensor.shape[2];
    const data = joinRows(rowsWithin(values, lengths, width));
    return { dtype: 'f32', shape: [data.length / width, width], data };
  },
});
