/** Sentences as the model takes them: word pieces between [CLS] and [SEP], and the pieces of every word. */
import { InputError } from '../../../kernels/errors.ts';
import type { BertConfig } from '../../models/bert.ts';
import type { WordBatch } from '../../models/words.ts';
import { padded } from '../padding.ts';
import type { Tokenizer } from '../text/tokenizer.ts';

export interface EncodedSentence {
  /** Piece ids, [CLS] first and [SEP] last. */
  ids: Int32Array;
  /** i32[2 · words]: first piece and last piece + 1 of each word, counted in `ids`. */
  words: Int32Array;
}

/** What helps a sentence of so many words that does not fit into `room` positions: three are [CLS], one piece and [SEP]. */
function adviceOn(words: number, room: number): string {
  if (room < 3) return 'no text fits: shorten the annotations, or take an encoder of more positions';
  return words > 1 ? 'split it' : 'shorten the word, or leave it out';
}

/**
 * @param what the sentence, for errors: file and row
 * @param taken positions that the encoder needs for something else
 * @throws InputError for no words, more pieces than the encoder has positions, a piece outside its vocabulary
 */
export function encodeSentence(
  tokens: readonly string[],
  tokenizer: Tokenizer,
  encoder: BertConfig,
  what: string,
  taken = 0,
): EncodedSentence {
  if (tokens.length === 0) throw new InputError(`${what}: a sentence of 0 words`);
  const { maxPositions, vocabSize } = encoder;
  const ids = [tokenizer.clsId];
  const words = new Int32Array(2 * tokens.length);
  tokenizer.encodeWords(tokens).forEach((pieces, w) => {
    words.set([ids.length, ids.length + pieces.length], 2 * w);
    for (const piece of pieces) ids.push(piece.id);
  });
  ids.push(tokenizer.sepId);
  if (ids.length + taken > maxPositions) {
    const words = tokens.length === 1 ? '1 word makes' : `${tokens.length} words make`;
    const others = taken > 0 ? `, of which annotations and markers take ${taken}` : '';
    throw new InputError(
      `${what}: ${words} ${ids.length} word pieces, more than the encoder's ${maxPositions} positions${others}; ${adviceOn(tokens.length, maxPositions - taken)}`,
    );
  }
  const outside = ids.find((id) => id >= vocabSize);
  if (outside !== undefined)
    throw new InputError(
      `${what}: piece id ${outside} of the tokenizer is outside the encoder's vocabulary of ${vocabSize}`,
    );
  return { ids: Int32Array.from(ids), words };
}

/** A padded batch; padding pieces take id `padId`. */
export function makeWordBatch(sentences: readonly EncodedSentence[], padId: number): WordBatch {
  const rows = sentences.length;
  const pieceColumns = Math.max(0, ...sentences.map((s) => s.ids.length));
  const columns = Math.max(0, ...sentences.map((s) => s.words.length / 2));
  const words = new Int32Array(3 * rows * columns);
  sentences.forEach((sentence, b) => {
    for (let w = 0; w < columns; w++) {
      const at = 3 * (b * columns + w);
      words[at] = b;
      if (2 * w < sentence.words.length) {
        words[at + 1] = sentence.words[2 * w];
        words[at + 2] = sentence.words[2 * w + 1];
      }
    }
  });
  const ids = padded(
    sentences.map((s) => s.ids),
    pieceColumns,
    padId,
  );
  return {
    pieces: { ids, lengths: Int32Array.from(sentences, (s) => s.ids.length), rows, columns: pieceColumns },
    words,
    wordLengths: Int32Array.from(sentences, (s) => s.words.length / 2),
    columns,
  };
}
