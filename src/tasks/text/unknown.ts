/** What of a text a vocabulary does not know. */
import { basicWords, type WordRule } from '../../models/word-rule.ts';
import type { Tokenizer } from './tokenizer.ts';
import { wordSplitter } from './words.ts';

/** Share of unknown words from which on it is told. */
const TOLD = 0.01;
const EXAMPLES = 3;

/** Words that are remembered: more are looked up again. */
const REMEMBERED = 2 ** 16;

/** Counts the words of texts that hold an unknown piece. */
export class UnknownWords {
  readonly #tokenizer: Tokenizer;
  readonly #split: ReturnType<typeof wordSplitter>;
  readonly #known = new Map<string, boolean>();
  readonly #examples: string[] = [];
  #words = 0;
  #unknown = 0;

  /** @param rule how the texts are parted */
  constructor(tokenizer: Tokenizer, rule: WordRule = basicWords) {
    this.#tokenizer = tokenizer;
    this.#split = wordSplitter(rule);
  }

  add(text: string): void {
    for (const { text: word } of this.#split(text)) {
      this.#words++;
      let isKnown = this.#known.get(word);
      if (isKnown === undefined) {
        isKnown = this.#tokenizer.encodeWords([word])[0].every(({ id }) => id !== this.#tokenizer.unkId);
        if (this.#known.size >= REMEMBERED) this.#known.clear();
        this.#known.set(word, isKnown);
        const example = JSON.stringify(word);
        if (!isKnown && this.#examples.length < EXAMPLES && !this.#examples.includes(example))
          this.#examples.push(example);
      }
      if (!isKnown) this.#unknown++;
    }
  }

  /**
   * A line on them, and on how case is treated; none where they are a hundredth of the words or fewer, or one word alone.
   * @param whose names the texts: a file
   */
  notes(whose?: string): string[] {
    const [words, unknown] = [this.#words, this.#unknown];
    if (unknown <= Math.max(1, TOLD * words)) return [];
    const share = `${unknown} of ${words} words, ${((100 * unknown) / words).toFixed(1)} %`;
    const examples = this.#examples.join(', ');
    return [
      `${whose ? `${whose}: ` : ''}words unknown to the vocabulary: ${share}, such as ${examples}; ${this.#tokenizer.casing}`,
    ];
  }
}

/** The same of texts at once. */
export function unknownNotes(
  tokenizer: Tokenizer,
  texts: Iterable<string>,
  { whose, rule }: { whose?: string; rule?: WordRule } = {},
): string[] {
  const unknown = new UnknownWords(tokenizer, rule);
  for (const text of texts) unknown.add(text);
  return unknown.notes(whose);
}
