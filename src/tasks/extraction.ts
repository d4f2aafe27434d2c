/** What `extract` gives for a text, whatever the model: one line of JSON. */
import type { ScoredEntity, ScoredRelation } from './spans/decode.ts';

export interface ExtractedEntity extends ScoredEntity {
  /** The text's part from `start` to `end`, UTF-16 code units, end exclusive. */
  text: string;
  /** See `PredictedEntity` of CEREM: it is there because a relation points to it. */
  objectOnly?: true;
}

export interface Extraction {
  text: string;
  entities: ExtractedEntity[];
  /** `head` and `tail` index `entities`. */
  relations: ScoredRelation[];
  /** Why there is nothing: the model cannot take the text. */
  error?: string;
}

const rounded = (score: number): number => Math.round(score * 1e4) / 1e4;

/** The extraction of a text, scores rounded to four digits; `start` and `end` of the entities are characters of it. */
export const extraction = (
  text: string,
  entities: readonly (ScoredEntity & Pick<ExtractedEntity, 'objectOnly'>)[],
  relations: readonly ScoredRelation[],
): Extraction => ({
  text,
  entities: entities.map(({ type, start, end, score, objectOnly }) => ({
    type,
    text: text.slice(start, end),
    start,
    end,
    score: rounded(score),
    ...(objectOnly && { objectOnly }),
  })),
  relations: relations.map(({ type, head, tail, score }) => ({ type, head, tail, score: rounded(score) })),
});
