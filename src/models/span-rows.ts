/**
 * Rows for spans, as triples i32[R, 3] = (b, start, end), end exclusive: gathered, pooled, and worked on in groups of one
 * length.
 */
import type { Runtime } from '../gpu/runtime.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { concat, embedding, hostInts, rangeMaxPool, reshape } from '../ops/index.ts';

/** Number of triples. */
export const rowsOf = (triples: Int32Array): number => triples.length / 3;

/** The maximum of x [B, n, d] over ranges of words i32[R, 3] → [R, d]; an empty range gives 0. */
export const poolRanges = (x: Tensor, ranges: Int32Array): Tensor =>
  rangeMaxPool(x, hostInts(ranges, [rowsOf(ranges), 3]));

/**
 * Words start … start + length − 1 of x [B, n, d] for every (b, start, end) of `ranges` → [R, length, d].
 * @param holes i32[R, 3]: words start … end − 1 of each row of the result that are 0 instead
 */
export function gatherRanges(x: Tensor, ranges: Int32Array, length: number, holes?: Int32Array): Tensor {
  const [batch, columns, d] = x.shape;
  const rows = rowsOf(ranges);
  const ids = new Int32Array(rows * length);
  for (let r = 0; r < rows; r++) {
    const first = ranges[3 * r] * columns + ranges[3 * r + 1];
    const at = r * length;
    for (let i = 0; i < length; i++) ids[at + i] = first + i;
    if (holes) ids.fill(-1, at + holes[3 * r + 1], at + holes[3 * r + 2]);
  }
  return embedding(hostInts(ids, [rows, length]), reshape(x, [batch * columns, d]), holes !== undefined);
}

/** Rows of x [R, d], `width` of them side by side: `rows` i32[…shape, width] → […shape, width·d]. */
export const sideBySide = (x: Tensor, rows: Int32Array, shape: readonly number[], width: number): Tensor =>
  reshape(embedding(hostInts(rows, [...shape, width]), x), [...shape, width * x.shape[1]]);

/** Row b of x [B, d] for every (b, start, end) of `triples` → [R, d]. */
export const ofSentences = (x: Tensor, triples: Int32Array): Tensor =>
  embedding(hostInts(triples.filter((_, i) => i % 3 === 0)), x);

/** Rows `chosen` of triples i32[R, 3]. */
export const takeRows = (triples: Int32Array, chosen: readonly number[]): Int32Array =>
  Int32Array.from({ length: 3 * chosen.length }, (_, i) => triples[3 * chosen[Math.floor(i / 3)] + (i % 3)]);

/** Bytes of the largest tensor of a group: what every WebGPU device binds, also where one could bind more. */
const MOST_BYTES = 2 ** 27;

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
