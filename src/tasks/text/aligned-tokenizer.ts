import { ByteLevelPreTokenizer, Tokenizer as PeerTokenizer } from '@huggingface/tokenizers';
import { InputError } from '../../../kernels/errors.ts';
import type { Piece, Tokenizer } from './tokenizer.ts';

/** A parsed JSON object, nothing known of its members. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What the special tokens are called, BERT's and ALBERT's names first, then RoBERTa's; a config may name others. */
const NAMES = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  cls: ['[CLS]', '<s>'],
  sep: ['[SEP]', '</s>'],
  mask: ['[MASK]', '<mask>'],
};

/** How pieces and text are brought to one form in which the pieces, joined, are the text. */
interface Form {
  /** Normalised text without white space, spelt as the vocabulary spells it. */
  ofText(text: string): string;
  ofToken(token: string): string;
}

/** The text in vocabulary form; each code unit of `units` has its UTF-16 range in the original text. */
interface Stream {
  readonly units: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/**
 * A tokenizer for any `tokenizer.json` that `@huggingface/tokenizers` runs (Unigram, BPE), with the offsets it lacks:
 * the normaliser is applied to one character and its marks at a time, and the pieces are laid along the result. The
 * characters in the middle of a word that normalise only together (`` to ") share one range; a piece of white space
 * alone is empty.
 * `files` are returned as they are by `files()`. Throws `InputError` for a definition that cannot be run, a special
 * token that is missing, and, from `encode`, a text along which the pieces cannot be laid.
 */
export function createAlignedTokenizer(
  definition: JsonObject,
  config: JsonObject,
  files: Record<string, string>,
  what: string,
): Tokenizer {
  try {
    return new AlignedTokenizer(new PeerTokenizer(definition, config), definition, config, files, what);
  } catch (error) {
    if (error instanceof InputError) throw error;
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new InputError(`${what}: this tokenizer cannot be run: ${reason}`, { cause: error });
  }
}

class AlignedTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly padId: number;
  readonly unkId: number;
  readonly clsId: number;
  readonly sepId: number;
  readonly maskId?: number;
  private readonly form: Form;
  /** A byte-level vocabulary spells a word after a space otherwise than one at the start of the text. */
  private readonly wordPrefix: string;

  constructor(
    private readonly peer: PeerTokenizer,
    definition: JsonObject,
    config: JsonObject,
    private readonly sources: Record<string, string>,
    private readonly what: string,
  ) {
    const find = (role: keyof typeof NAMES) =>
      [...namesIn(config, role), ...NAMES[role]]
        .map((name) => peer.token_to_id(name))
        .find((id) => id !== undefined);
    const require = (role: keyof typeof NAMES) => {
      const id = find(role);
      if (id === undefined)
        throw new InputError(`${what}: no ${role} token (looked for ${NAMES[role].join(', ')})`);
      return id;
    };
    this.padId = require('pad');
    this.unkId = peer.model?.unk_token_id ?? require('unk');
    this.clsId = require('cls');
    this.sepId = require('sep');
    this.maskId = find('mask');
    let size = 0;
    for (const id of peer.get_vocab().values()) size = Math.max(size, id + 1);
    this.vocabSize = size;
    const byteLevel = hasByteLevel(definition.pre_tokenizer);
    this.form = byteLevel ? byteForm(peer) : plainForm(peer);
    this.wordPrefix = byteLevel ? ' ' : '';
  }

  idOf(token: string): number | undefined {
    return this.peer.token_to_id(token);
  }

  encode(text: string): Piece[] {
    const { ids, tokens } = this.peer.encode(text, { add_special_tokens: false });
    const { units, starts, ends } = streamOf(text, this.form);
    const surfaces = tokens.map((token) => this.form.ofToken(token));
    const pieces: Piece[] = [];
    let at = 0;
    let covered = 0;
    for (let i = 0; i < ids.length; i++) {
      const to = units.startsWith(surfaces[i], at)
        ? at + surfaces[i].length
        : ids[i] === this.unkId
          ? endOfUnknown(units, at, ids[i + 1] === this.unkId, surfaces[i + 1])
          : -1;
      if (to < 0) throw this.misaligned(text, starts[at] ?? text.length);
      // Of white space alone: empty, where the next piece begins, but not before what is covered already.
      const start = to > at ? starts[at] : Math.max(covered, starts[at] ?? text.length);
      covered = to > at ? ends[to - 1] : start;
      pieces.push({ id: ids[i], text: tokens[i], start, end: covered });
      at = to;
    }
    if (at < units.length) throw this.misaligned(text, starts[at]);
    return pieces;
  }

  encodeWords(words: readonly string[]): Piece[][] {
    const shift = this.wordPrefix.length;
    return words.map((word) => {
      const pieces = this.encode(this.wordPrefix + word);
      if (pieces.length === 0) {
        return [
          { id: this.unkId, text: this.peer.id_to_token(this.unkId) ?? '', start: 0, end: word.length },
        ];
      }
      const within = (offset: number) => Math.max(0, offset - shift);
      return pieces.map((piece) => ({ ...piece, start: within(piece.start), end: within(piece.end) }));
    });
  }

  files(): Record<string, string> {
    return { ...this.sources };
  }

  private misaligned(text: string, at: number): InputError {
    const around = JSON.stringify(text.slice(at, at + 20));
    return new InputError(
      `${this.what}: no offsets for this text: its pieces leave it at character ${at}, ${around}`,
    );
  }
}

/** Where an unknown piece ends: after one character when another unknown follows, else where the next piece begins. */
function endOfUnknown(units: string, at: number, unknownFollows: boolean, next: string | undefined): number {
  if (at >= units.length) return -1;
  const one = at + String.fromCodePoint(units.codePointAt(at)!).length;
  if (unknownFollows) return one;
  return next ? units.indexOf(next, one) : next === undefined ? units.length : one;
}

function streamOf(text: string, form: Form): Stream {
  let units = '';
  const starts: number[] = [];
  const ends: number[] = [];
  const add = (part: string, start: number, end: number) => {
    units += part;
    for (let i = 0; i < part.length; i++) {
      starts.push(start);
      ends.push(end);
    }
  };
  for (const { 0: word, index } of text.matchAll(/\S+/g)) {
    const clusters = [...word.matchAll(/\P{M}\p{M}*|\p{M}+/gu)];
    const parts = clusters.map((cluster) => form.ofText(cluster[0]));
    const from = (i: number) => index + (i < clusters.length ? clusters[i].index : word.length);
    // Clusters first..last-1, whose normal forms alone are not what the word's normal form `rest` has there.
    let rest = form.ofText(word);
    let first = 0;
    let last = clusters.length;
    for (; first < last && rest.startsWith(parts[first]); first++) {
      add(parts[first], from(first), from(first + 1));
      rest = rest.slice(parts[first].length);
    }
    for (; last > first && rest.endsWith(parts[last - 1]); last--) {
      rest = rest.slice(0, rest.length - parts[last - 1].length);
    }
    add(rest, from(first), from(last));
    for (; last < clusters.length; last++) add(parts[last], from(last), from(last + 1));
  }
  return { units, starts, ends };
}

/** SentencePiece and plain vocabularies: ▁ stands for a space. */
function plainForm(peer: PeerTokenizer): Form {
  const strip = (text: string) => text.replace(/[\s▁]/g, '');
  return { ofText: (text) => strip(peer.normalizer?.normalize(text) ?? text), ofToken: strip };
}

/** Byte-level vocabularies (GPT-2): one printable letter for each byte of UTF-8, Ġ for a space, Ċ for a line end. */
function byteForm(peer: PeerTokenizer): Form {
  const bytes = new ByteLevelPreTokenizer({ type: 'ByteLevel', add_prefix_space: false, use_regex: false });
  const spell = (text: string) => bytes.pre_tokenize_text(text).join('');
  const spaces = spell(' \t\n\v\f\r');
  return {
    ofText: (text) => spell((peer.normalizer?.normalize(text) ?? text).replace(/[ \t\n\v\f\r]/g, '')),
    ofToken: (token) => [...token].filter((letter) => !spaces.includes(letter)).join(''),
  };
}

function hasByteLevel(preTokenizer: unknown): boolean {
  if (typeof preTokenizer !== 'object' || preTokenizer === null) return false;
  const { type, pretokenizers } = preTokenizer as JsonObject;
  return type === 'ByteLevel' || (Array.isArray(pretokenizers) && pretokenizers.some(hasByteLevel));
}

/** `cls_token` and so on of `tokenizer_config.json`: a string, or an object with `content`. */
function namesIn(config: JsonObject, role: string): string[] {
  const value = config[`${role}_token`];
  const name = typeof value === 'object' && value !== null ? (value as JsonObject).content : value;
  return typeof name === 'string' ? [name] : [];
}
