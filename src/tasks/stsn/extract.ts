/** Plain text in, entities and relations with character offsets out. */
import type { Stsn } from '../../models/stsn.ts';
import { extraction, type Extraction } from '../extraction.ts';
import { splitWords, type Tokenizer } from '../text/tokenizer.ts';
import { predict, type PredictOptions } from './predict.ts';

/**
 * Extracts from every line; a line without words gives an empty result, so that lines in and out match.
 * @param file names the input in errors: `file: line 3: …`
 */
export async function extract(
  model: Stsn,
  tokenizer: Tokenizer,
  lines: readonly string[],
  file: string,
  options: PredictOptions = {},
): Promise<Extraction[]> {
  const words = lines.map((line) => splitWords(line));
  const filled = lines.flatMap((_, i) => (words[i].length > 0 ? [i] : []));
  const predictions = await predict(
    model,
    tokenizer,
    filled.map((i) => words[i].map((w) => w.text)),
    (i) => `${file}: line ${filled[i] + 1}`,
    options,
  );
  const results = lines.map((text) => extraction(text, [], []));
  filled.forEach((i, j) => {
    const { entities, relations } = predictions[j];
    const inCharacters = entities.map((entity) => ({
      ...entity,
      start: words[i][entity.start].start,
      end: words[i][entity.end - 1].end,
    }));
    results[i] = extraction(lines[i], inCharacters, relations);
  });
  return results;
}
