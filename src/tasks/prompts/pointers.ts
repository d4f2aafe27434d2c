/** From the probabilities of CEREM's pointers to answers: pairs of a start and an end (docs/spec.md#cerem). */
import type { Piece } from '../text/tokenizer.ts';

/** An answer in word pieces: `last` is part of it. */
export interface PieceAnswer {
  first: number;
  last: number;
  /** Geometric mean of the two probabilities, √(p_start · p_end): at least the threshold, and 1 where both are 1. */
  score: number;
}

/** An answer in characters: UTF-16 code units of the text, `end` exclusive. */
export interface Answer {
  start: number;
  end: number;
  score: number;
}

/**
 * The answers that two rows of probabilities say. Every piece whose probability reaches the threshold is a start, or an
 * end; each end pairs with the nearest start at or before it that no nearer end has taken, so answers may nest, and a
 * start or an end without a partner says nothing.
 * @param starts of each piece of the text, 0 to 1; `ends` as many
 * @param threshold τ of the paper; a probability equal to it counts
 * @returns in the order of the ends
 */
export function decodePointers(
  starts: ArrayLike<number>,
  ends: ArrayLike<number>,
  threshold: number,
): PieceAnswer[] {
  const answers: PieceAnswer[] = [];
  // The starts that no end has taken yet: the nearest is on top.
  const open: number[] = [];
  for (let piece = 0; piece < starts.length; piece++) {
    if (starts[piece] >= threshold) open.push(piece);
    if (!(ends[piece] >= threshold)) continue;
    const first = open.pop();
    if (first !== undefined)
      answers.push({ first, last: piece, score: Math.sqrt(starts[first] * ends[piece]) });
  }
  return answers;
}

/** The characters from the first piece of an answer to its last. */
export const characterAnswer = ({ first, last, score }: PieceAnswer, pieces: readonly Piece[]): Answer => ({
  start: pieces[first].start,
  end: pieces[last].end,
  score,
});
