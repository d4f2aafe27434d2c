import { Tokenizer as PeerTokenizer } from '@huggingface/tokenizers';
import { InputError } from '../../../kernels/errors.ts';
import { isObject, type Json } from '../../io/json.ts';
import { hasByteLevel, spellBytes } from './byte-level.ts';
import { SPARE_IDS, roles, type AddedToken, type Role, type TokenizerConfig } from './tokenizer-config.ts';
import type { Piece, Tokenizer } from './tokenizer.ts';

/** How pieces and text are brought to one form in which the pieces, joined, are the text. */
interface Form {
  /** Normalised text, spelt as the vocabulary spells it; without white space where pieces are too. */
  ofText(text: string): string;
  ofToken(token: string): string;
  /** Characters with the marks that may be normalised with them. */
  readonly clusters: RegExp;
}

/** The text in vocabulary form; each code unit of `units` has its UTF-16 range in the original text. */
interface Stream {
  readonly units: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** Whether it is of white space. */
  readonly blank: readonly boolean[];
}

/** Stands before the special tokens of a vocabulary that would match their names in a text; no text holds it. */
const HIDDEN = '\ufdd0';

/**
 * A tokenizer for any `tokenizer.json` that `@huggingface/tokenizers` runs (Unigram, BPE), with the offsets it lacks:
 * the normaliser is applied to one character and its marks at a time, and the pieces are laid along the result. The
 * characters in the middle of a word that normalise only together (`` to ") share one range; pieces that are parts of
 * one character have its range; white space at the ends of a piece is left out, a piece of nothing else is empty.
 * `files` are returned as they are by `files()`. Throws `InputError` for a definition that cannot be run, a special
 * token that is missing, and, from `encode`, a text along which the pieces cannot be laid.
 */
export function createAlignedTokenizer(
  definition: Json,
  config: TokenizerConfig,
  files: Record<string, string>,
  what: string,
): Tokenizer {
  const added = [...addedTokens(definition, what)];
  const known = new Set(added.map(({ content }) => content));
  checkIds(definition.model, added, what);
  checkIds(definition.model, config.added, what);
  added.push(...config.added.filter(({ content }) => !known.has(content)));
  const names = new Set(roles.flatMap((role) => config.names(role)));
  const isSpecial = ({ content, special }: AddedToken): boolean => special || names.has(content);
  for (const token of added.filter(isSpecial)) names.add(token.content);
  const inTexts = added.filter((token) => !isSpecial(token));
  const model = checkedModel(definition.model, what);
  for (const part of [definition.normalizer, definition.pre_tokenizer]) checkPatterns(part, what);
  try {
    // Nothing is decoded, and special tokens are the models' affair.
    const unused = { decoder: null, post_processor: null };
    const peer = new PeerTokenizer(
      { ...definition, ...unused, added_tokens: inTexts, model: withoutNames(model, names) } as never,
      config.json as never,
    );
    const specials = new Map<string, number>();
    for (const name of names) {
      const id = peer.token_to_id(HIDDEN + name) ?? peer.token_to_id(name);
      if (id !== undefined) specials.set(name, id);
    }
    for (const { content, id } of added.filter(isSpecial)) specials.set(content, id);
    return new AlignedTokenizer(peer, definition, config, { specials, inTexts, files, what });
  } catch (error) {
    throw cannotRun(error, what);
  }
}

/** What the peer threw, as an error of the file that it was made of. */
function cannotRun(error: unknown, what: string): InputError {
  if (error instanceof InputError) return error;
  const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
  return new InputError(`${what}: this tokenizer cannot be run: ${reason}`, { cause: error });
}

/** `added_tokens` of a `tokenizer.json`. */
export function addedTokens(definition: Json, what: string): AddedToken[] {
  const added = definition.added_tokens ?? [];
  if (!Array.isArray(added)) throw new InputError(`${what}: added_tokens is not a list`);
  return added.map((token: unknown, i) => {
    if (!isObject(token) || typeof token.content !== 'string')
      throw new InputError(`${what}: added_tokens[${i}] has no content`);
    const { content, id } = token;
    if (typeof id !== 'number')
      throw new InputError(`${what}: the id of ${JSON.stringify(content)} is not a number`);
    return { ...token, content, id, special: token.special === true };
  });
}

/**
 * Errors: an id that is no index of an entry. The peer keeps entries in a list by their ids, which one far behind the rest
 * makes as long as that.
 */
function checkIds(model: unknown, added: readonly AddedToken[], what: string): void {
  const vocab = isObject(model) ? model.vocab : undefined;
  const listed = Array.isArray(vocab);
  const own: [string, unknown][] = isObject(vocab) ? Object.entries(vocab) : [];
  const most = (listed ? vocab.length : own.length) + added.length + SPARE_IDS;
  for (const [entry, id] of [...own, ...added.map(({ content, id }): [string, number] => [content, id])])
    if (!Number.isInteger(id) || Number(id) < 0 || Number(id) >= most)
      throw new InputError(
        `${what}: the id of ${JSON.stringify(entry)} is ${JSON.stringify(id)}, not an integer from 0 to ${most - 1}`,
      );
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isPair = (value: unknown, isOne: (value: unknown) => boolean): boolean =>
  Array.isArray(value) && value.length === 2 && isText(value[0]) && isOne(value[1]);

/**
 * A model that the peer takes for what it is: with its type, which old files leave out.
 * @throws InputError for a type that is not followed, and for what the peer would not look at before it runs
 */
function checkedModel(model: unknown, what: string): Json {
  const fail = (complaint: string): never => {
    throw new InputError(`${what}: model: ${complaint}`);
  };
  if (!isObject(model)) return fail('is not an object');
  const { vocab, merges, type = Array.isArray(vocab) ? 'Unigram' : 'BPE' } = model;
  if (type === 'Unigram') {
    if (!Array.isArray(vocab) || !vocab.every((entry) => isPair(entry, Number.isFinite)))
      return fail('vocab is not a list of texts with their scores');
    const { unk_id: id } = model;
    if (!Number.isInteger(id) || Number(id) < 0 || Number(id) >= vocab.length)
      return fail(`unk_id is ${JSON.stringify(id)}, not an index of its ${vocab.length} entries`);
  } else if (type === 'BPE') {
    if (!isObject(vocab)) return fail('vocab is not an object');
    if (!Array.isArray(merges) || !merges.every((merge) => isText(merge) || isPair(merge, isText)))
      return fail('merges are not a list of pairs');
    for (const key of ['unk_token', 'end_of_word_suffix', 'continuing_subword_suffix']) {
      const value = model[key] ?? '';
      if (!isText(value)) return fail(`${key} is ${JSON.stringify(value)}, not a text`);
    }
  } else return fail(`type is ${JSON.stringify(type)}; only WordPiece, Unigram and BPE are followed`);
  return { ...model, type };
}

/** Errors: a step, or one within it, that replaces or splits by what is no pattern. */
function checkPatterns(step: unknown, what: string): void {
  if (typeof step !== 'object' || step === null) return;
  const { type, pattern, content } = step as Json;
  const isPattern = isObject(pattern) && (isText(pattern.String) || isText(pattern.Regex));
  if ((type === 'Replace' || type === 'Split') && !isPattern)
    throw new InputError(`${what}: ${type} has no pattern, neither a String nor a Regex`);
  if (type === 'Replace' && !isText(content))
    throw new InputError(`${what}: Replace has no content, a text in the place of its pattern`);
  for (const part of Object.values(step)) checkPatterns(part, what);
}

/** A Unigram model (its vocabulary is a list) in which no text matches the name of a special token. */
function withoutNames(model: Json, names: ReadonlySet<string>): Json {
  if (!Array.isArray(model.vocab)) return model;
  const vocab = (model.vocab as [string, number][]).map(([text, score]) => [
    names.has(text) ? HIDDEN + text : text,
    score,
  ]);
  return { ...model, vocab };
}

class AlignedTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly padId: number;
  readonly unkId: number;
  readonly clsId: number;
  readonly sepId: number;
  readonly maskId?: number;
  readonly casing: string;
  private readonly form: Form;
  private readonly unk: string;
  /** A byte-level vocabulary spells a word after a space otherwise than one at the start of the text. */
  private readonly wordPrefix: string;
  private readonly specials: ReadonlyMap<string, number>;
  /** Tokens beside the vocabulary that texts hold, by id. */
  private readonly inTexts: ReadonlyMap<number, string>;
  private readonly sources: Record<string, string>;
  private readonly what: string;

  constructor(
    private readonly peer: PeerTokenizer,
    definition: Json,
    config: TokenizerConfig,
    own: {
      specials: ReadonlyMap<string, number>;
      inTexts: readonly AddedToken[];
      files: Record<string, string>;
      what: string;
    },
  ) {
    const { specials, what } = own;
    const find = (role: Role) =>
      config.names(role).flatMap((name): [string, number][] => {
        const id = specials.get(name);
        return id === undefined ? [] : [[name, id]];
      })[0];
    const require = (role: Role): number => {
      const found = find(role);
      if (!found)
        throw new InputError(`${what}: no ${role} token (looked for ${config.names(role).join(', ')})`);
      return found[1];
    };
    this.specials = specials;
    this.inTexts = new Map(own.inTexts.map(({ id, content }) => [id, content]));
    this.sources = own.files;
    this.what = what;
    this.padId = require('pad');
    this.unkId = peer.model?.unk_token_id ?? require('unk');
    this.unk = find('unk')?.[0] ?? '';
    this.clsId = require('cls');
    this.sepId = require('sep');
    this.maskId = find('mask')?.[1];
    let size = 0;
    for (const id of [...peer.get_vocab().values(), ...specials.values()]) size = Math.max(size, id + 1);
    this.vocabSize = size;
    const byteLevel = hasByteLevel(definition.pre_tokenizer);
    this.form = byteLevel ? byteForm(peer) : plainForm(peer);
    this.wordPrefix = byteLevel ? ' ' : '';
    const lowers = (peer.normalizer?.normalize('A') ?? 'A') === 'a';
    this.casing = `text ${lowers ? 'is lower-cased' : 'keeps its case'} (${what})`;
  }

  idOf(token: string): number | undefined {
    return this.specials.get(token) ?? this.peer.token_to_id(token);
  }

  encode(text: string): Piece[] {
    try {
      return this.laidAlong(text);
    } catch (error) {
      throw cannotRun(error, this.what);
    }
  }

  /** The pieces of a text, laid along it. */
  private laidAlong(text: string): Piece[] {
    const { ids: found, tokens } = this.peer.encode(text, { add_special_tokens: false });
    // The unknown token may be no entry of the model's own.
    const ids = found.map((id: number | undefined) => id ?? this.unkId);
    const { units, starts, ends, blank } = streamOf(text, this.form);
    const surfaces = tokens.map((token, i) => this.surface(token, ids[i]));
    const pieces: Piece[] = [];
    let at = 0;
    let [begun, covered] = [0, 0];
    for (let i = 0; i < ids.length; i++) {
      let surface = surfaces[i];
      // An added token takes the space around it along; a text may begin as if after a space.
      if (this.wordPrefix && surface.startsWith(SPACE) && !units.startsWith(surface, at))
        surface = surface.slice(SPACE.length);
      while (blank[at] && !units.startsWith(surface, at)) at++;
      const to = units.startsWith(surface, at)
        ? at + surface.length
        : ids[i] === this.unkId
          ? endOfUnknown(units, at, ids[i + 1] === this.unkId, surfaces[i + 1])
          : -1;
      if (to < 0) throw this.misaligned(text, starts[at] ?? text.length);
      let [first, last] = [at, to - 1];
      while (first <= last && blank[first]) first++;
      while (last > first && blank[last]) last--;
      // Of white space alone: empty, where the next piece begins, but not before what is covered already.
      // Characters that became several words share one range: none of these begins before the last one.
      begun = Math.max(begun, first <= last ? starts[first] : Math.max(covered, starts[to] ?? text.length));
      covered = Math.max(covered, begun, first <= last ? ends[last] : begun);
      pieces.push({ id: ids[i], text: tokens[i], start: begun, end: covered });
      at = to;
    }
    while (blank[at]) at++;
    if (at < units.length) throw this.misaligned(text, starts[at]);
    return pieces;
  }

  encodeWords(words: readonly string[]): Piece[][] {
    const shift = this.wordPrefix.length;
    return words.map((word) => {
      const pieces = this.encode(this.wordPrefix + word);
      if (pieces.length === 0) return [{ id: this.unkId, text: this.unk, start: 0, end: word.length }];
      const within = (offset: number) => Math.max(0, offset - shift);
      return pieces.map((piece) => ({ ...piece, start: within(piece.start), end: within(piece.end) }));
    });
  }

  files(): Record<string, string> {
    return { ...this.sources };
  }

  /** What a piece covers of the text's form. */
  private surface(token: string, id: number): string {
    const added = this.inTexts.get(id);
    return added === undefined ? this.form.ofToken(token) : this.form.ofText(added);
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
  const blank: boolean[] = [];
  const add = (part: string, start: number, end: number, isBlank = false) => {
    units += part;
    for (let i = 0; i < part.length; i++) {
      starts.push(start);
      ends.push(end);
      blank.push(isBlank);
    }
  };
  for (const { 0: word, index } of text.matchAll(/\s|\S+/g)) {
    if (/^\s$/.test(word)) {
      add(form.ofText(word), index, index + 1, true);
      continue;
    }
    const clusters = [...word.matchAll(form.clusters)];
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
  return { units, starts, ends, blank };
}

const WITH_MARKS = /\P{M}\p{M}*|\p{M}+/gu;

/** SentencePiece and plain vocabularies: ▁ stands for a space. */
function plainForm(peer: PeerTokenizer): Form {
  const strip = (text: string) => text.replace(/[\s▁]/g, '');
  return {
    ofText: (text) => strip(peer.normalizer?.normalize(text) ?? text),
    ofToken: strip,
    clusters: WITH_MARKS,
  };
}

/** How byte-level vocabularies spell a space. */
const SPACE = spellBytes(' ');

/** Byte-level vocabularies: pieces are the text's bytes, white space and all. */
const byteForm = (peer: PeerTokenizer): Form => ({
  ofText: (text) => spellBytes(peer.normalizer?.normalize(text) ?? text),
  ofToken: (token) => token,
  clusters: peer.normalizer ? WITH_MARKS : /./gsu,
});
