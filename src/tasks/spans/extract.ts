/** Plain text in, entities and relations with character offsets out, by a model that reads words. */
import type { OnBad, Refused } from '../bad-rows.ts';
import type { Extracted } from '../definition.ts';
import { extraction } from '../extraction.ts';
import { splitWords } from '../text/tokenizer.ts';
import type { Prediction } from './decode.ts';

/**
 * Extracts from every text; one without words gives an empty result, so that texts in and results out match.
 * @param what names text i in errors
 * @param onBad `skip`: a text that the model cannot take gives an empty result that says why; else it is an error
 * @param predict predicts sentences of words, the i-th of which the function that it is given names
 */
export async function extractWords(
  texts: readonly string[],
  what: (i: number) => string,
  onBad: OnBad | undefined,
  predict: (
    sentences: string[][],
    what: (i: number) => string,
    refused: Refused | undefined,
  ) => Promise<Prediction[]>,
): Promise<Extracted> {
  const words = texts.map((text) => splitWords(text));
  const filled = texts.flatMap((_, i) => (words[i].length > 0 ? [i] : []));
  const errors = new Map<number, string>();
  const predictions = await predict(
    filled.map((i) => words[i].map(({ text }) => text)),
    (i) => what(filled[i]),
    onBad === 'skip' ? (i, { message }) => errors.set(filled[i], message) : undefined,
  );
  const results = texts.map((text) => extraction(text, [], []));
  filled.forEach((i, j) => {
    const { entities, relations } = predictions[j];
    const inCharacters = entities.map((entity) => ({
      ...entity,
      start: words[i][entity.start].start,
      end: words[i][entity.end - 1].end,
    }));
    results[i] = extraction(texts[i], inCharacters, relations);
  });
  for (const [i, error] of errors) results[i] = { ...extraction(texts[i], [], []), error };
  return { results, remarks: [] };
}
