/** Long texts in overlapping windows, each of which fits into a model's input with its prompt. */
import { InputError } from '../../../kernels/errors.ts';
import type { Piece } from '../text/tokenizer.ts';
import type { CeremConfig } from '../../models/cerem.ts';
import {
  assemble,
  coveredPieces,
  type CharSpan,
  type EncodedText,
  type PieceSource,
  type PromptedText,
} from './batch.ts';
import type { PieceAnswer } from './pointers.ts';

/** Pieces from..to−1 of a text. */
export interface Window {
  from: number;
  to: number;
}

/** Pieces that neighbouring windows share unless another number is given. */
export const DEFAULT_OVERLAP = 64;

/** [CLS], and a [SEP] after the prompt and after the text. */
const SPECIAL_PIECES = 3;

/** Pieces of the text that fit into an input of `maxLength` beside its prompt; below 1: none. */
export const textRoom = (promptPieces: number, maxLength: number): number =>
  maxLength - promptPieces - SPECIAL_PIECES;

const SENTENCE_END = /^[。．.!！?？;；…]+$/u;

/**
 * The windows of a text, in order: one where prompt and text fit, otherwise as few as needed, each after the first
 * beginning `overlap` pieces before the end of the one before it. So any `overlap` + 1 pieces in a row lie in some
 * window. A window ends after the last sentence of its second half where one ends there.
 * @param promptPieces pieces of the prompt
 * @param maxLength pieces of the model's input: prompt, text and three special ones
 * @param overlap at most half of what a window holds of the text: a larger one counts as that
 * @param what the input, for errors
 * @throws InputError where the prompt leaves no room for the text, or `overlap` is no count
 */
export function textWindows(
  pieces: readonly Pick<Piece, 'text'>[],
  promptPieces: number,
  maxLength: number,
  overlap: number,
  what: string,
): Window[] {
  if (!Number.isInteger(overlap) || overlap < 0)
    throw new InputError(`${what}: overlap must be a whole number of at least 0, it is ${overlap}`);
  const room = textRoom(promptPieces, maxLength);
  if (room < 1)
    throw new InputError(
      `${what}: a prompt of ${promptPieces} word pieces leaves no room for the text in the model's maxLength ${maxLength}`,
    );
  const shared = Math.min(overlap, Math.floor(room / 2));
  const windows: Window[] = [];
  for (let from = 0; ;) {
    const limit = from + room;
    if (limit >= pieces.length) {
      windows.push({ from, to: pieces.length });
      return windows;
    }
    // Above from + shared, so that the next window begins later than this one.
    const least = from + Math.max(shared + 1, Math.ceil(room / 2));
    let to = limit;
    while (to >= least && !SENTENCE_END.test(pieces[to - 1].text)) to--;
    if (to < least) to = limit;
    windows.push({ from, to });
    from = to - shared;
  }
}

/** Pieces between an answer and the nearer edge of a window, where the text goes on; negative: outside it. */
function margin(
  { first, last }: Pick<PieceAnswer, 'first' | 'last'>,
  { from, to }: Window,
  pieces: number,
): number {
  if (first < from || last >= to) return -1;
  return Math.min(from === 0 ? Infinity : first - from, to === pieces ? Infinity : to - 1 - last);
}

/**
 * The answers of all windows of a text together. Of every stretch of the text one window judges: the one that holds it
 * whole with the most context around it (the earlier of two alike). So what two windows find counts once, and what
 * the edge of one has cut gives way to what its neighbour sees.
 * @param found the answers of each window, in pieces of the whole text
 * @param pieces of the whole text
 * @returns in the order of the windows
 */
export function mergeAnswers(
  windows: readonly Window[],
  found: readonly (readonly PieceAnswer[])[],
  pieces: number,
): PieceAnswer[] {
  return found.flatMap((answers, w) =>
    answers.filter((answer) => {
      const own = margin(answer, windows[w], pieces);
      // Windows begin and end in order: those that hold the answer stand next to one another.
      for (let v = w - 1; v >= 0 && windows[v].to > answer.last; v--)
        if (margin(answer, windows[v], pieces) >= own) return false;
      for (let v = w + 1; v < windows.length && windows[v].from <= answer.first; v++)
        if (margin(answer, windows[v], pieces) > own) return false;
      return true;
    }),
  );
}

/** A training sample in windows. */
export interface WindowedSample {
  /** For each window the sample with the answers that lie in it whole, and its input; character offsets stay. */
  windows: { sample: PromptedText; encoded: EncodedText }[];
  /** The answers that no window holds whole, or that cover no piece: they cannot be learnt. */
  lost: CharSpan[];
}

/**
 * A training sample as the model takes it: one input where it fits, else its windows.
 * @param overlap see `textWindows`
 * @param what the sample, for errors
 * @throws InputError as `textWindows`, and for a piece outside the encoder's vocabulary
 */
export function windowSample(
  sample: PromptedText,
  tokenizer: PieceSource,
  config: CeremConfig,
  overlap: number,
  what: string,
): WindowedSample {
  const prompt = tokenizer.encode(sample.prompt);
  const pieces = tokenizer.encode(sample.text);
  const answers = sample.spans.map((span) => ({ span, covered: coveredPieces(span, pieces) }));
  const held = new Set<CharSpan>();
  const windows = textWindows(pieces, prompt.length, config.maxLength, overlap, what).map(({ from, to }) => {
    const spans = answers.flatMap(({ span, covered }) =>
      covered && covered.first >= from && covered.last < to ? [span] : [],
    );
    for (const span of spans) held.add(span);
    const encoded = assemble(prompt, pieces.slice(from, to), tokenizer, config, what);
    return { sample: { ...sample, spans }, encoded };
  });
  return { windows, lost: sample.spans.filter((span) => !held.has(span)) };
}
