/** Sentences of words as the models of spans take them: one vector a word from the pieces that it is made of. */
import type { Tensor } from '../gpu/tensor.ts';
import { hostInts, rangeMaxPool, reshape } from '../ops/index.ts';
import type { PieceBatch } from './bert.ts';
import type { Packing } from './packing.ts';

/** A batch of sentences. */
export interface WordBatch {
  pieces: PieceBatch;
  /** i32[B·n, 3] = (b, first piece, last piece + 1) of every word; (b, 0, 0) past a sentence's end. */
  words: Int32Array;
  /** i32[B]: words of each sentence; n is the longest. */
  wordLengths: Int32Array;
  columns: number;
}

/** Ê [N, d] of words packed as `packing` says, 0 in what fills up. */
export function packedWordVectors(encoded: Tensor, { words }: WordBatch, packing: Packing): Tensor {
  return rangeMaxPool(encoded, hostInts(packing.pack(words, 0, 3), [packing.rows, 3]));
}

/** Ê [B, n, d]: the maximum over each word's pieces of an encoder's output [B, L, d]; 0 past a sentence's end. */
export function wordVectors(encoded: Tensor, { pieces, words, columns }: WordBatch): Tensor {
  const pooled = rangeMaxPool(encoded, hostInts(words, [pieces.rows * columns, 3]));
  return reshape(pooled, [pieces.rows, columns, encoded.shape[2]]);
}

/** A batch whose words are single pieces: all of a row but its first and its last. */
export function piecesAsWords(pieces: PieceBatch): WordBatch {
  const columns = pieces.columns - 2;
  const wordLengths = pieces.lengths.map((length) => length - 2);
  const words = new Int32Array(3 * pieces.rows * columns);
  wordLengths.forEach((length, b) => {
    for (let i = 0; i < columns; i++) {
      const range = i < length ? [b, i + 1, i + 2] : [b, 0, 0];
      words.set(range, 3 * (b * columns + i));
    }
  });
  return { pieces, words, wordLengths, columns };
}

/** Rows strictly between two spans of each pair, whichever comes first: i32[P, 3] = (b, start, end), empty where they touch. */
export function betweenSpans(heads: Int32Array, tails: Int32Array): Int32Array {
  const between = new Int32Array(heads.length);
  for (let p = 0; p < heads.length; p += 3) {
    const start = Math.min(heads[p + 2], tails[p + 2]);
    const end = Math.max(heads[p + 1], tails[p + 1]);
    between.set([heads[p], start, Math.max(start, end)], p);
  }
  return between;
}
