/** Text in, plain or in words, entities and relations out, by a model that reads words. */
import { basicWords, type WordRule } from '../../models/word-rule.ts';
import type { OnBad } from '../bad-rows.ts';
import type { Extracted } from '../definition.ts';
import { extraction, type Asked } from '../extraction.ts';
import { wordSplitter } from '../text/words.ts';
import type { Predict } from './windows.ts';

/**
 * Extracts from every text; one without words gives an empty result, so that texts in and results out match.
 * @param rule how plain text is parted
 * @param what names text i in errors
 * @param onBad `skip`: a text that the model cannot take gives an empty result that says why; else it is an error
 */
export async function extractWords(
  asked: readonly Asked[],
  rule: WordRule = basicWords,
  what: (i: number) => string,
  onBad: OnBad | undefined,
  predict: Predict,
): Promise<Extracted> {
  const split = wordSplitter(rule);
  const words = asked.map((one) =>
    typeof one === 'string' ? split(one) : one.tokens.map((text, i) => ({ text, start: i, end: i + 1 })),
  );
  const filled = asked.flatMap((_, i) => (words[i].length > 0 ? [i] : []));
  const errors = new Map<number, string>();
  const predictions = await predict(
    filled.map((i) => words[i].map(({ text }) => text)),
    (i) => what(filled[i]),
    onBad === 'skip' ? (i, { message }) => errors.set(filled[i], message) : undefined,
  );
  const results = asked.map((one) => extraction(one, [], []));
  filled.forEach((i, j) => {
    const { entities, relations } = predictions[j];
    const inText = entities.map((entity) => ({
      ...entity,
      start: words[i][entity.start].start,
      end: words[i][entity.end - 1].end,
    }));
    results[i] = extraction(asked[i], inText, relations);
  });
  for (const [i, error] of errors) results[i] = { ...extraction(asked[i], [], []), error };
  return { results };
}
