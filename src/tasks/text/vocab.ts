import { InputError } from '../../../kernels/errors.ts';
import { basicTokenize, standsAlone } from './basic-tokenizer.ts';
import { CONTINUATION, MAX_WORD_LENGTH, SPECIAL_TOKENS } from './wordpiece.ts';

export interface VocabOptions {
  readonly doLowerCase: boolean;
  /** A whole word needs this many occurrences to become an entry. Default 2. */
  readonly minCount?: number;
  /** The most entries, special tokens included; without it every frequent word is taken. */
  readonly size?: number;
  /** Further tokens that no text contains, right behind the special ones: a model's markers. */
  readonly reserved?: readonly string[];
}

/**
 * A small WordPiece vocabulary for a model that starts from random weights, in id order: the special tokens, those
 * reserved, every character of the corpus (and its `##` form, for those that can continue a word) by code point, then
 * whole words by falling count, equal counts by code point. Deterministic, whatever the order of `words`, which may be words or
 * whole texts. No word of the corpus becomes [UNK]. Throws `InputError` when the characters alone exceed `size`.
 */
export function buildVocab(words: Iterable<string>, options: VocabOptions): string[] {
  const { doLowerCase, minCount = 2, size = Infinity, reserved = [] } = options;
  const chars = new Set<string>();
  const counts = new Map<string, number>();
  for (const given of words) {
    for (const word of basicTokenize(given, { doLowerCase })) {
      for (const char of word.chars) chars.add(char.text);
      counts.set(word.text, (counts.get(word.text) ?? 0) + 1);
    }
  }
  const sorted = [...chars].sort(byCodePoint);
  const continuing = sorted.filter((char) => !standsAlone(char)).map((char) => CONTINUATION + char);
  const base = [...new Set([...SPECIAL_TOKENS, ...reserved, ...sorted, ...continuing])];
  if (base.length > size) {
    throw new InputError(
      `a vocabulary of ${size} entries cannot hold the ${base.length} special tokens and characters`,
    );
  }
  const frequent = [...counts]
    .filter(([word, count]) => count >= minCount && !chars.has(word) && [...word].length <= MAX_WORD_LENGTH)
    .sort(([a, countA], [b, countB]) => countB - countA || byCodePoint(a, b))
    .map(([word]) => word);
  return [...base, ...frequent.slice(0, size - base.length)];
}

function byCodePoint(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = left[i].codePointAt(0)! - right[i].codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
