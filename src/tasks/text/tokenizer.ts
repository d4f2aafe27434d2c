/** A word piece: its id, its vocabulary text (`##` kept), and its UTF-16 range [start, end) in the original text. */
export interface Piece {
  readonly id: number;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Text to word pieces. No method adds [CLS] or [SEP], and none recognises their names in the text: models add them. */
export interface Tokenizer {
  /** One more than the largest id; the embedding table needs at least this many rows. */
  readonly vocabSize: number;
  readonly padId: number;
  readonly unkId: number;
  readonly clsId: number;
  readonly sepId: number;
  /** Absent where the vocabulary has no mask token: nothing but pretraining needs it. */
  readonly maskId?: number;
  /** How case is treated and what said so, in words. */
  readonly casing: string;
  /** The id of an entry, spelt as the vocabulary spells it; undefined where there is none. */
  idOf(token: string): number | undefined;
  /** The pieces of a text in order; starts and ends never decrease. Empty for a text of white space alone. */
  encode(text: string): Piece[];
  /** The pieces of each given word, offsets within that word; a word that leaves no piece is one unknown piece. */
  encodeWords(words: readonly string[]): Piece[][];
  /** The files, by name, that make a folder from which the same tokenizer loads. */
  files(): Record<string, string>;
}

/** The files (name to text) to write into a checkpoint folder so that it loads the same tokenizer again. */
export function tokenizerFiles(tokenizer: Tokenizer): Record<string, string> {
  return tokenizer.files();
}
