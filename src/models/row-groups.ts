/** Work on many rows of several lengths: rows of one length together, no more at once than a binding holds. */
import type { Runtime } from '../gpu/runtime.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { concat, embedding, hostInts, reshape } from '../ops/index.ts';

/** Bytes of the largest tensor of a group: what every WebGPU device binds, also where one could bind more. */
const MOST_BYTES = 2 ** 27;

/** Rows `chosen` of triples i32[R, 3]. */
export const takeRows = (triples: Int32Array, chosen: readonly number[]): Int32Array =>
  Int32Array.from({ length: 3 * chosen.length }, (_, i) => triples[3 * chosen[Math.floor(i / 3)] + (i % 3)]);

/**
 * The rows that `body` makes, in their order. `body` gets the numbers of rows of one length, so that it need not pad;
 * what one call made is freed before the next where no tape records.
 * @param floats values of the largest tensor of `body`, for one row and one unit of its length
 * @param body numbers of rows and their length → [rows, N]; with 0 rows (and length 1) it is called once
 */
export function inGroups(
  runtime: Runtime,
  count: number,
  lengthOf: (row: number) => number,
  floats: number,
  body: (rows: number[], length: number) => Tensor,
): Tensor {
  const byLength = new Map<number, number[]>(count === 0 ? [[1, []]] : []);
  for (let row = 0; row < count; row++) {
    const length = lengthOf(row);
    const same = byLength.get(length);
    if (same) same.push(row);
    else byLength.set(length, [row]);
  }
  const bytes = Math.min(MOST_BYTES, runtime.caps.maxStorageBufferBindingSize);
  return runtime.tidy(() => {
    const parts: Tensor[] = [];
    for (const [length, rows] of byLength) {
      const most = Math.max(1, Math.floor(bytes / (4 * floats * Math.max(1, length))));
      for (let at = 0; at === 0 || at < rows.length; at += most) {
        const chosen = rows.slice(at, at + most);
        parts.push(runtime.tidy(() => body(chosen, length)));
      }
    }
    if (parts.length === 1) return parts[0];
    const flat = concat(...parts.map((part) => reshape(part, [1, part.size])));
    const joined = reshape(flat, [count, parts[0].shape[1]]);
    const places = new Int32Array(count);
    [...byLength.values()].flat().forEach((row, place) => (places[row] = place));
    return places.every((place, row) => place === row) ? joined : embedding(hostInts(places), joined);
  });
}
