/** What `extract` gives for a text, whatever the model: one line of JSON. */
import { InputError } from '../../kernels/errors.ts';
import type { ScoredEntity, ScoredRelation } from './spans/decode.ts';

export interface ExtractedEntity extends ScoredEntity {
  /** The text's part from `start` to `end`, UTF-16 code units, end exclusive. */
  text: string;
  /** See `PredictedEntity` of CEREM: it is there because a relation points to it. */
  objectOnly?: true;
}

/** A text in words. */
export interface Words {
  tokens: readonly string[];
  id?: string | number;
}

/** What a model may be asked about: plain text, or text in words. */
export type Asked = string | Words;

export interface Extraction {
  text: string;
  /** Of a text that came in words, joined with spaces in `text`: `start` and `end` of its entities count these. */
  tokens?: readonly string[];
  id?: string | number;
  entities: ExtractedEntity[];
  /** `head` and `tail` index `entities`. */
  relations: ScoredRelation[];
  /** Why there is nothing: the model cannot take the text. */
  error?: string;
}

/** Errors: InputError naming the text that is neither a string nor words. */
export function checkTexts(asked: readonly unknown[], what: (i: number) => string): void {
  asked.forEach((one, i) => {
    const tokens = typeof one === 'object' && one !== null ? (one as Partial<Words>).tokens : undefined;
    const isWords = Array.isArray(tokens) && tokens.every((token) => typeof token === 'string');
    if (typeof one !== 'string' && !isWords)
      throw new InputError(`${what(i)}: must be a string, or { tokens } with a list of strings`);
  });
}

const rounded = (score: number): number => Math.round(score * 1e4) / 1e4;

/** Words as plain text. */
export const joinWords = (words: readonly string[]): string => words.join(' ');

/** The extraction of what was asked, scores rounded to four digits; `start` and `end` are characters of a text, or words. */
export const extraction = (
  asked: Asked,
  entities: readonly (ScoredEntity & Pick<ExtractedEntity, 'objectOnly'>)[],
  relations: readonly ScoredRelation[],
): Extraction => {
  const slice = (start: number, end: number): string =>
    typeof asked === 'string' ? asked.slice(start, end) : joinWords(asked.tokens.slice(start, end));
  return {
    ...(typeof asked === 'string'
      ? { text: asked }
      : {
          ...(asked.id !== undefined && { id: asked.id }),
          text: joinWords(asked.tokens),
          tokens: asked.tokens,
        }),
    entities: entities.map(({ type, start, end, score, objectOnly }) => ({
      type,
      text: slice(start, end),
      start,
      end,
      score: rounded(score),
      ...(objectOnly && { objectOnly }),
    })),
    relations: relations.map(({ type, head, tail, score }) => ({ type, head, tail, score: rounded(score) })),
  };
};

/** Entities of a text by the words that they touch, where it came in words: as they are otherwise. */
export function inWords<E extends { start: number; end: number }>(
  asked: Asked,
  entities: readonly E[],
): readonly E[] {
  if (typeof asked === 'string') return entities;
  let at = 0;
  const ends = asked.tokens.map((token) => {
    const end = at + token.length;
    at = end + 1;
    return end;
  });
  return entities.map((entity) => ({
    ...entity,
    start: ends.findIndex((end) => end > entity.start),
    end: ends.findIndex((end) => end >= entity.end) + 1,
  }));
}
