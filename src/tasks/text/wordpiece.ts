import { InputError } from '../../../kernels/errors.ts';
import { basicTokenize, type BasicOptions, type BasicWord } from './basic-tokenizer.ts';
import { SPARE_IDS, roles, type AddedToken, type Role } from './tokenizer-config.ts';
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

export interface WordPieceOptions extends BasicOptions {
  /** The entries in id order, or each entry's id (ids may leave gaps). */
  readonly vocab: readonly string[] | ReadonlyMap<string, number>;
  /** The file or object that error messages name. */
  readonly what?: string;
  /** What said how case is treated: a file. */
  readonly casingFrom?: string;
  /** Names of special tokens that are not BERT's. */
  readonly names?: Partial<Names>;
  /** Tokens beside the vocabulary; those that are not special are found in texts, whole, whatever stands around them. */
  readonly added?: readonly AddedToken[];
}

/** What the special tokens are called. */
type Names = Record<Role, string>;
const bertNames: Names = { pad: PAD, unk: UNK, cls: CLS, sep: SEP, mask: MASK };

/**
 * A WordPiece tokenizer from a vocabulary in memory (works in a browser; docs/spec.md#text). Of equal entries the last
 * one's id counts, as in Hugging Face. Throws `InputError` for a missing [PAD], [UNK], [CLS] or [SEP], for a special
 * token that stands twice, and for an id that is no index of an entry.
 */
export function createWordPieceTokenizer(options: WordPieceOptions): Tokenizer {
  const { vocab, what = 'the vocabulary', doLowerCase, stripAccents = doLowerCase } = options;
  const { added = [], casingFrom } = options;
  const names = { ...bertNames, ...options.names };
  const ids = 'get' in vocab ? new Map(vocab) : idsOfEntries(vocab, names, what);
  for (const { content, id } of added) {
    const earlier = ids.get(content);
    if (earlier !== undefined && earlier !== id)
      throw new InputError(`${what}: ${JSON.stringify(content)} has the ids ${earlier} and ${id}`);
    ids.set(content, id);
  }
  if ('get' in vocab || added.length > 0) checkIds(ids, what);
  return new WordPieceTokenizer(ids, { doLowerCase, stripAccents }, { names, added, casingFrom, what });
}

function idsOfEntries(entries: readonly string[], names: Names, what: string): Map<string, number> {
  const ids = new Map<string, number>();
  const specials = Object.values(names);
  entries.forEach((entry, id) => {
    const earlier = ids.get(entry);
    if (earlier !== undefined && specials.includes(entry)) {
      throw new InputError(`${what}: ${entry} stands twice, at lines ${earlier + 1} and ${id + 1}`);
    }
    ids.set(entry, id);
  });
  return ids;
}

function checkIds(ids: ReadonlyMap<string, number>, what: string): void {
  const entryOfId = new Map<number, string>();
  // A list of the entries by id is as long as the largest.
  const most = ids.size + SPARE_IDS;
  for (const [entry, id] of ids) {
    if (!Number.isInteger(id) || id < 0 || id >= most) {
      throw new InputError(
        `${what}: the id of ${JSON.stringify(entry)} is ${id}, not an integer from 0 to ${most - 1}`,
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
}

/** Any of some tokens, the longest first. */
const patternOf = (added: readonly AddedToken[], anyCase: boolean): RegExp =>
  new RegExp(
    added
      .map(({ content }) => content)
      .sort((a, b) => b.length - a.length)
      .map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
      .join('|'),
    anyCase ? 'giu' : 'gu',
  );

/** How case is treated, in words, and what said so; of a vocabulary that cannot hold what it is given, that too. */
function casingText(
  { doLowerCase, stripAccents }: Required<BasicOptions>,
  entries: Iterable<string>,
  from: string | undefined,
): string {
  if (doLowerCase)
    return `text is lower-cased${stripAccents ? ' and loses its accents' : ''} (${from ?? 'as built'})`;
  const kept = `text keeps its case (${from ?? 'no file says otherwise'})`;
  const words = [...entries].filter((entry) => !/^\[.*\]$/.test(entry));
  const lower = words.some((entry) => /\p{Ll}/u.test(entry));
  if (from !== undefined || !lower || words.some((entry) => /\p{Lu}/u.test(entry))) return kept;
  return `${kept}, but no entry of the vocabulary has a capital letter: {"do_lower_case": true} as tokenizer_config.json lower-cases`;
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
  private readonly names: Names;
  private readonly casingFrom?: string;
  private readonly added: readonly AddedToken[];
  /** Matches the added tokens that texts hold; absent where there are none. */
  private readonly addedPattern?: RegExp;

  constructor(
    private readonly ids: ReadonlyMap<string, number>,
    private readonly options: Required<BasicOptions>,
    own: { names: Names; added: readonly AddedToken[]; casingFrom?: string; what: string },
  ) {
    const { names } = own;
    const idOf = (token: string) => {
      const id = ids.get(token);
      if (id === undefined) {
        throw new InputError(
          `${own.what}: no entry ${token} (one entry a line, all lines end in \\n or all in \\r\\n, nothing is trimmed)`,
        );
      }
      return id;
    };
    this.padId = idOf(names.pad);
    this.unkId = idOf(names.unk);
    this.clsId = idOf(names.cls);
    this.sepId = idOf(names.sep);
    this.maskId = ids.get(names.mask);
    this.names = names;
    this.casingFrom = own.casingFrom;
    this.added = own.added.filter(({ special }) => !special);
    if (this.added.length > 0) this.addedPattern = patternOf(this.added, options.doLowerCase);
    let size = 0;
    let longest = 0;
    for (const [entry, id] of ids) {
      size = Math.max(size, id + 1);
      longest = Math.max(longest, entry.length);
    }
    this.vocabSize = size;
    this.longest = longest;
  }

  get casing(): string {
    return casingText(this.options, this.ids.keys(), this.casingFrom);
  }

  idOf(token: string): number | undefined {
    return this.ids.get(token);
  }

  encode(text: string): Piece[] {
    if (!this.addedPattern) return this.encodePlain(text, 0);
    const pieces: Piece[] = [];
    let done = 0;
    for (const { 0: found, index } of text.matchAll(this.addedPattern)) {
      const { content, id } = this.addedToken(found);
      const end = index + found.length;
      pieces.push(...this.encodePlain(text.slice(done, index), done), {
        id,
        text: content,
        start: index,
        end,
      });
      done = end;
    }
    return [...pieces, ...this.encodePlain(text.slice(done), done)];
  }

  /** The pieces of a text without added tokens that begins at `offset` of the whole. */
  private encodePlain(text: string, offset: number): Piece[] {
    const pieces = basicTokenize(text, this.options).flatMap((word) => this.split(word));
    if (offset === 0) return pieces;
    return pieces.map((piece) => ({ ...piece, start: piece.start + offset, end: piece.end + offset }));
  }

  private addedToken(found: string): AddedToken {
    const lower = found.toLowerCase();
    return (
      this.added.find(({ content }) => content === found) ??
      this.added.find(({ content }) => content.toLowerCase() === lower)!
    );
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
      ...Object.fromEntries(
        roles.flatMap((role) => {
          const name = this.names[role];
          return name === bertNames[role] ? [] : [[`${role}_token`, name]];
        }),
      ),
      ...(this.added.length > 0 && {
        added_tokens_decoder: Object.fromEntries(
          this.added.map(({ content, id }) => [id, { content, special: false }]),
        ),
      }),
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
    return { id: this.unkId, text: this.names.unk, start, end };
  }
}
