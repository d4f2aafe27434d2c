import { InputError } from '../../../kernels/errors.ts';
import { basicTokenize, type BasicOptions, type BasicWord } from './basic-tokenizer.ts';
import type { Piece, Tokenizer } from './tokenizer.ts';

export const PAD = '[PAD]';
export const UNK = '[UNK]';
export const CLS = '[CLS]';
export const SEP = '[SEP]';
export const MASK = '[MASK]';
/** Every special token, in the order in which a vocabulary that we build begins. */
export const SPECIAL_TOKENS: readonly string[] = [PAD, UNK, CLS, SEP, MASK];

/** What a piece that continues a word begins with. */
export const CONTINUATION = '##';
/** A word of more code points than this is one [UNK], as in BERT. */
export const MAX_WORD_LENGTH = 100;
const MAX_ID = 1 << 24;

export interface WordPieceOptions extends BasicOptions {
  /** The entries in id order, or each entry's id (ids may leave gaps). */
  readonly vocab: readonly string[] | ReadonlyMap<string, number>;
  /** The file or object that error messages name. */
  readonly what?: string;
}

/**
 * A WordPiece tokenizer from a vocabulary in memory (works in a browser; docs/spec.md#text). Of equal entries the last
 * one's id counts, as in Hugging Face. Throws `InputError` for a missing [PAD], [UNK], [CLS] or [SEP], for a special
 * token that stands twice, and for an id that is not a small non-negative integer.
 */
export function createWordPieceTokenizer(options: WordPieceOptions): Tokenizer {
  const { vocab, what = 'the vocabulary', doLowerCase, stripAccents } = options;
  const ids = 'get' in vocab ? checkedIds(vocab, what) : idsOfEntries(vocab, what);
  return new WordPieceTokenizer(ids, { doLowerCase, stripAccents: stripAccents ?? doLowerCase }, what);
}

function idsOfEntries(entries: readonly string[], what: string): Map<string, number> {
  const ids = new Map<string, number>();
  entries.forEach((entry, id) => {
    const earlier = ids.get(entry);
    if (earlier !== undefined && SPECIAL_TOKENS.includes(entry)) {
      throw new InputError(`${what}: ${entry} stands twice, at lines ${earlier + 1} and ${id + 1}`);
    }
    ids.set(entry, id);
  });
  return ids;
}

function checkedIds(ids: ReadonlyMap<string, number>, what: string): ReadonlyMap<string, number> {
  const entryOfId = new Map<number, string>();
  for (const [entry, id] of ids) {
    if (!Number.isInteger(id) || id < 0 || id >= MAX_ID) {
      throw new InputError(
        `${what}: the id of ${JSON.stringify(entry)} is ${id}, not an integer from 0 to ${MAX_ID - 1}`,
      );
    }
    const other = entryOfId.get(id);
    if (other !== undefined) {
      throw new InputError(
        `${what}: ${JSON.stringify(other)} and ${JSON.stringify(entry)} share the id ${id}`,
      );
    }
    entryOfId.set(id, entry);
  }
  return ids;
}

class WordPieceTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly padId: number;
  readonly unkId: number;
  readonly clsId: number;
  readonly sepId: number;
  readonly maskId?: number;
  /** Code units of the longest entry: no longer piece needs a look-up. */
  private readonly longest: number;

  constructor(
    private readonly ids: ReadonlyMap<string, number>,
    private readonly options: Required<BasicOptions>,
    what: string,
  ) {
    const idOf = (token: string) => {
      const id = ids.get(token);
      if (id === undefined) {
        throw new InputError(
          `${what}: no entry ${token} (one entry a line, lines end in \\n alone, nothing is trimmed)`,
        );
      }
      return id;
    };
    this.padId = idOf(PAD);
    this.unkId = idOf(UNK);
    this.clsId = idOf(CLS);
    this.sepId = idOf(SEP);
    this.maskId = ids.get(MASK);
    let size = 0;
    let longest = 0;
    for (const [entry, id] of ids) {
      size = Math.max(size, id + 1);
      longest = Math.max(longest, entry.length);
    }
    this.vocabSize = size;
    this.longest = longest;
  }

  idOf(token: string): number | undefined {
    return this.ids.get(token);
  }

  encode(text: string): Piece[] {
    return basicTokenize(text, this.options).flatMap((word) => this.split(word));
  }

  encodeWords(words: readonly string[]): Piece[][] {
    return words.map((word) => {
      const pieces = this.encode(word);
      return pieces.length > 0 ? pieces : [this.unknown(0, word.length)];
    });
  }

  /** Vocabulary and settings in the two files of Hugging Face's `BertTokenizer`; a gap between ids is an empty line. */
  files(): Record<string, string> {
    const entries = new Array<string>(this.vocabSize).fill('');
    for (const [entry, id] of this.ids) entries[id] = entry;
    const config = {
      tokenizer_class: 'BertTokenizer',
      do_lower_case: this.options.doLowerCase,
      strip_accents: this.options.stripAccents,
      tokenize_chinese_chars: true,
    };
    return {
      'vocab.txt': entries.map((entry) => `${entry}\n`).join(''),
      'tokenizer_config.json': `${JSON.stringify(config, null, 2)}\n`,
    };
  }

  /** Greedy longest match from the left; one [UNK] for the whole word as soon as nothing matches. */
  private split({ text, start, end, chars }: BasicWord): Piece[] {
    if (chars.length > MAX_WORD_LENGTH) return [this.unknown(start, end)];
    const pieces: Piece[] = [];
    // `unit` is the position of chars[first] in `text`, in code units.
    for (let first = 0, unit = 0; first < chars.length;) {
      const prefix = first > 0 ? CONTINUATION : '';
      let last = chars.length - 1;
      let unitEnd = text.length;
      let id: number | undefined;
      for (; last >= first; unitEnd -= chars[last--].text.length) {
        if (unitEnd - unit + prefix.length > this.longest) continue;
        id = this.ids.get(prefix + text.slice(unit, unitEnd));
        if (id !== undefined) break;
      }
      if (id === undefined) return [this.unknown(start, end)];
      const piece = prefix + text.slice(unit, unitEnd);
      pieces.push({ id, text: piece, start: chars[first].start, end: chars[last].end });
      first = last + 1;
      unit = unitEnd;
    }
    return pieces;
  }

  private unknown(start: number, end: number): Piece {
    return { id: this.unkId, text: UNK, start, end };
  }
}
