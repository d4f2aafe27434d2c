/** Sentences as models over spans take them, and their vectors by ranges of words: triples (b, start, end), end exclusive. */
import type { Tensor } from '../gpu/tensor.ts';
import { embedding, hostInts, rangeMaxPool, reshape } from '../ops/index.ts';
import type { PieceBatch } from './bert.ts';

/** A batch of sentences. */
export interface SentenceBatch {
  pieces: PieceBatch;
  /** i32[B·n, 3] = (b, first piece, last piece + 1) of every word; (b, 0, 0) past a sentence's end. */
  words: Int32Array;
  /** i32[B]: words of each sentence; n is the longest. */
  wordLengths: Int32Array;
  columns: number;
}

/** One vector a word: the maximum over its pieces, hidden [B, L, d] → Ê [B, n, d]; 0 past a sentence's end. */
export function poolWords(hidden: Tensor, { pieces: { rows }, words, columns }: SentenceBatch): Tensor {
  const pooled = rangeMaxPool(hidden, hostInts(words, [rows * columns, 3]));
  return reshape(pooled, [rows, columns, hidden.shape[2]]);
}

/** Number of triples (b, start, end) in i32[R, 3]. */
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

/** Row b of x [B, d] for every (b, start, end) of `triples` → [R, d]. */
export const ofSentences = (x: Tensor, triples: Int32Array): Tensor =>
  embedding(hostInts(triples.filter((_, i) => i % 3 === 0)), x);

/** The words strictly between each head and tail (i32[P, 3], one sentence a pair): i32[P, 3], empty where they touch or overlap. */
export function wordsBetween(heads: Int32Array, tails: Int32Array): Int32Array {
  const between = new Int32Array(heads.length);
  for (let p = 0; p < heads.length; p += 3) {
    const start = Math.min(heads[p + 2], tails[p + 2]);
    const end = Math.max(heads[p + 1], tails[p + 1]);
    between.set([heads[p], start, Math.max(start, end)], p);
  }
  return between;
}
