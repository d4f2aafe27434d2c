/** Padding: B items below one another; of outputs [B, n, width] the first `lengths` rows of each item count. */
import type { Tensor } from '../gpu/tensor.ts';
import type { Logits } from './definition.ts';

/** Integers [B, size], `fill` behind those of each item. */
export function padded(items: readonly ArrayLike<number>[], size: number, fill: number): Int32Array {
  const all = new Int32Array(items.length * size).fill(fill);
  items.forEach((item, b) => all.set(item, b * size));
  return all;
}

/** The rows that count, by item. */
export function rowsWithin(padded: Float32Array, lengths: Int32Array, width: number): Float32Array[] {
  const size = padded.length / lengths.length;
  return Array.from(lengths, (length, b) => padded.subarray(b * size, b * size + length * width));
}

/** The same of a tensor. */
export const readRows = async (output: Tensor, lengths: Int32Array): Promise<Float32Array[]> =>
  rowsWithin(await output.read(), lengths, output.shape[2]);

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
