/** What of a text a vocabulary does not know. */
import type { Tokenizer } from './tokenizer.ts';
import { splitWords } from './words.ts';

/** Share of unknown words from which on it is told. */
const TOLD = 0.01;
const EXAMPLES = 3;

/**
 * A line on the words of texts (as `splitWords` parts them) that hold an unknown piece, and on how case is treated;
 * none where they are a hundredth of the words or fewer, or one word alone.
 * @param whose names the texts: a file
 */
export function unknownNotes(tokenizer: Tokenizer, texts: Iterable<string>, whose?: string): string[] {
  const known = new Map<string, boolean>();
  const examples: string[] = [];
  let [words, unknown] = [0, 0];
  for (const text of texts)
    for (const { text: word } of splitWords(text)) {
      words++;
      let isKnown = known.get(word);
      if (isKnown === undefined) {
        isKnown = tokenizer.encodeWords([word])[0].every(({ id }) => id !== tokenizer.unkId);
        known.set(word, isKnown);
        if (!isKnown && examples.length < EXAMPLES) examples.push(JSON.stringify(word));
      }
      if (!isKnown) unknown++;
    }
  if (unknown <= Math.max(1, TOLD * words)) return [];
  const share = `${unknown} of ${words} words, ${((100 * unknown) / words).toFixed(1)} %`;
  return [
    `${whose ? `${whose}: ` : ''}words unknown to the vocabulary: ${share}, such as ${examples.join(', ')}; ${tokenizer.casing}`,
  ];
}
