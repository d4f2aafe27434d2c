/** Plain text in, entities and relations with character offsets out, by a model of spans of words. */
import type { Extracted, Loaded } from '../definition.ts';
import { extraction } from '../extraction.ts';
import { splitWords } from '../text/tokenizer.ts';
import type { SpanOptions, SpanTypes } from './model.ts';
import { predict } from './predict.ts';

/**
 * Extracts from every text; one without words gives an empty result, so that texts in and results out match.
 * @param what names text i in errors
 */
export async function extract(
  loaded: Pick<Loaded<SpanTypes>, 'model' | 'tokenizer'>,
  texts: readonly string[],
  what: (i: number) => string,
  options: SpanOptions = {},
): Promise<Extracted> {
  const words = texts.map((text) => splitWords(text));
  const filled = texts.flatMap((_, i) => (words[i].length > 0 ? [i] : []));
  const predictions = await predict(
    loaded,
    filled.map((i) => words[i].map(({ text }) => text)),
    (i) => what(filled[i]),
    options,
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
  return { results, remarks: [] };
}
