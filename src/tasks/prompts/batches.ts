/** Training samples as inputs in windows, and their batches of like length. */
import type { CeremConfig } from '../../models/cerem.ts';
import { stream } from '../../nn/random.ts';
import type { Document } from '../document.ts';
import type { EncodedText, PieceSource, PromptedText } from './batch.ts';
import { DEFAULT_OVERLAP, windowSample } from './windows.ts';

/** A sample, or a window of one, as the model takes it. */
export interface Input {
  sample: PromptedText;
  encoded: EncodedText;
}

/** What errors call an input: its document's place and its prompt. */
export const inputName = (place: string, prompt: string): string =>
  `${place}, prompt ${JSON.stringify([...prompt].slice(0, 40).join(''))}`;

/**
 * Samples as the model takes them; what has no word piece is left out.
 * @param texts in the order of `documents`, as `sampleTexts` gives them
 * @param place names document i in messages
 * @returns the inputs, and how many answers none of them holds
 * @throws InputError naming file, row (from 1) and prompt, where the prompt leaves no room for the text
 */
export function inputsOf(
  texts: readonly PromptedText[],
  documents: readonly Document[],
  tokenizer: PieceSource,
  config: CeremConfig,
  place: (i: number) => string,
): { inputs: Input[]; lost: number } {
  const inputs: Input[] = [];
  let lost = 0;
  let row = 0;
  for (const text of texts) {
    while (documents[row].text !== text.text) row++;
    const what = inputName(place(row), text.prompt);
    const found = windowSample(text, tokenizer, config, DEFAULT_OVERLAP, what);
    lost += found.lost.length;
    inputs.push(...found.windows.filter(({ encoded }) => encoded.pieces.length > 0));
  }
  return { inputs, lost };
}

/** First ids of the three-id random streams drawn here (see `stream`): other than those of samples.ts. */
const ORDER_STREAM = 3;
const BATCH_STREAM = 4;

/**
 * The indices of `lengths` in `count` batches, whose sizes differ by one at most: shuffled, sorted by length within
 * every `buckets` batches, and the batches shuffled. Depends on nothing but the arguments. A batch is never empty:
 * with fewer inputs than batches some are in several.
 */
export function bucketBatches(
  lengths: readonly number[],
  count: number,
  { seed, epoch, buckets }: { seed: number; epoch: number; buckets: number },
): number[][] {
  const order = stream(seed, ORDER_STREAM, epoch, 0).shuffle(lengths.map((_, i) => i));
  const bound = (batch: number): number => Math.floor((batch * order.length) / count);
  const batches: number[][] = [];
  for (let first = 0; first < count; first += buckets) {
    const last = Math.min(count, first + buckets);
    const start = bound(first);
    const chunk = order.slice(start, Math.max(start + 1, bound(last)));
    if (buckets > 1) chunk.sort((a, b) => lengths[a] - lengths[b] || a - b);
    for (let b = first; b < last; b++) {
      const from = Math.min(bound(b) - start, chunk.length - 1);
      batches.push(chunk.slice(from, Math.max(from + 1, bound(b + 1) - start)));
    }
  }
  return stream(seed, BATCH_STREAM, epoch, 0).shuffle(batches);
}
