/** What a model was to find in texts and what it found, in one form whatever the model: what an analysis of errors reads. */
import { documentsJson, tokenOffsets, type TokenOffsets } from '../corpus/tokens.ts';
import type { Annotation, Entity, Relation, Sentence } from '../dataset.ts';
import type { Document } from '../document.ts';
import type { Prediction } from '../spans/decode.ts';

/** An entity, with a score where it is predicted. */
export interface JudgedEntity extends Entity {
  score?: number;
  /** It stands there as the end of a relation alone, and is no entity in the scores. */
  objectOnly?: true;
}

export interface JudgedRelation extends Relation {
  score?: number;
}

/** Offsets are UTF-16 code units of the text they come with. */
export interface JudgedAnnotation extends Annotation {
  entities: JudgedEntity[];
  relations: JudgedRelation[];
}

/** A text with its gold, which holds only what is scored, and with what a model found in it. */
export interface Judged extends Pick<Document, 'text' | 'tokens' | 'id'> {
  gold: JudgedAnnotation;
  /** Types of further gold that the model's words cannot express: it is missed. */
  beyond?: Sentence['beyond'];
  predicted: JudgedAnnotation;
}

/** The texts of a corpus, and what counts as right. */
export interface Judgement {
  texts: readonly Judged[];
  /** Relation types of which either end may be the head. */
  symmetric: readonly string[];
  /** A relation is right only if the types of its ends are. */
  typedEnds: boolean;
  /** The entities were given to the model, and are not judged. */
  given?: true;
}

/** A text of a sentence and where its words stand there: its own where it is made of them, else the words with blanks between. */
function textOf(tokens: readonly string[], own: string | undefined): { text: string; offsets: TokenOffsets } {
  const found = own === undefined ? 0 : tokenOffsets(tokens, own);
  if (typeof found === 'object') return { text: own!, offsets: found };
  const text = tokens.join(' ');
  return { text, offsets: tokenOffsets(tokens, text) as TokenOffsets };
}

/** Entities in tokens as entities in characters; whatever else they hold is kept. */
const inCharacters = <E extends Entity>(entities: readonly E[], { starts, ends }: TokenOffsets): E[] =>
  entities.map((entity) => ({ ...entity, start: starts[entity.start], end: ends[entity.end - 1] }));

/**
 * Sentences of words with what was predicted of each, in tokens both.
 * @param texts the text that each is of, where there is one
 */
export const judgedSentences = (
  sentences: readonly Sentence[],
  predictions: readonly Prediction[],
  texts: readonly (string | undefined)[] = [],
): Judged[] =>
  sentences.map(({ tokens, id, entities, relations, beyond }, i) => {
    const { text, offsets } = textOf(tokens, texts[i]);
    return {
      ...{ text, tokens },
      ...(id === undefined ? {} : { id }),
      gold: { entities: inCharacters(entities, offsets), relations },
      ...(beyond && { beyond }),
      predicted: {
        entities: inCharacters(predictions[i].entities, offsets),
        relations: predictions[i].relations,
      },
    };
  });

/** What was predicted, as a corpus that can be read again: see `documentsJson`. */
export const predictionsJson = ({ texts }: Judgement): string =>
  documentsJson(texts.map(({ text, tokens, id, predicted }) => ({ text, tokens, id, ...predicted })));
