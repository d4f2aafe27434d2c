/** Plain text in, entities and relations with character offsets out. */
import type { Stsn } from '../../models/stsn.ts';
import { splitWords, type Tokenizer } from '../text/tokenizer.ts';
import { predict, type PredictOptions } from './predict.ts';

export interface ExtractedEntity {
  type: string;
  text: string;
  /** UTF-16 code units of the line, end exclusive. */
  start: number;
  end: number;
  /** Probability, 0 to 1. */
  score: number;
}

export interface Extraction {
  text: string;
  entities: ExtractedEntity[];
  /** `head` and `tail` index `entities`. */
  relations: { type: string; head: number; tail: number; score: number }[];
}

const rounded = (score: number): number => Math.round(score * 1e4) / 1e4;

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
  const results: Extraction[] = lines.map((text) => ({ text, entities: [], relations: [] }));
  filled.forEach((i, j) => {
    const { entities, relations } = predictions[j];
    results[i].entities = entities.map((entity) => {
      const start = words[i][entity.start].start;
      const end = words[i][entity.end - 1].end;
      return {
        type: entity.type,
        text: lines[i].slice(start, end),
        start,
        end,
        score: rounded(entity.score),
      };
    });
    results[i].relations = relations.map((r) => ({
      type: r.type,
      head: r.head,
      tail: r.tail,
      score: rounded(r.score),
    }));
  });
  return results;
}
