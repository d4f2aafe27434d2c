/** The scores of entities and relations predicted for annotated sentences. */
import { InputError } from '../../../kernels/errors.ts';
import type { Annotation, Entity, Sentence } from '../dataset.ts';
import {
  bucketOf,
  collectFacts,
  LENGTHS,
  score,
  scoreOf,
  scoresByLength,
  TEXT_LENGTHS,
  typedScores,
  type Buckets,
  type BucketScore,
  type DescribedFact,
  type Fact,
  type Facts,
  type Score,
  type TypedScores,
} from '../metrics.ts';

export interface TextLengthScore {
  bucket: string;
  sentences: number;
  ner: Score;
  re: Score;
  rePlus: Score;
}

export interface Evaluation {
  sentences: number;
  /** Type and both boundaries. */
  ner: TypedScores;
  /** Relation type and the boundaries of both entities. */
  re: TypedScores;
  /** The same, and the types of both entities. */
  rePlus: TypedScores;
  /** Both boundaries, whatever the type. */
  nerBoundary: Score;
  /** Type and any overlap: P is the share of predictions that touch gold, R the share of gold touched. */
  nerPartial: Score;
  /** Micro NER by entity length in tokens: 1 … 7, ≥8 (characters of the Chinese corpora, in CEREM's plot). */
  nerByLength: BucketScore[];
  /** Micro NER by entity length in tokens: 1–2 … 9–10, ≥11 (words, in STSN's figure 5). */
  nerByLengthRange: BucketScore[];
  /** Micro scores by sentence length in tokens: <20, 20–34, 35–49, ≥50 (STSN's figure 6). */
  byTextLength: TextLengthScore[];
}

/** Words, as in STSN's figure 5. */
const LENGTH_RANGES: Buckets = [
  [1, '1–2'],
  [3, '3–4'],
  [5, '5–6'],
  [7, '7–8'],
  [9, '9–10'],
  [11, '≥11'],
];
/** Facts that no prediction can state, of gold that is not made of whole words: they count as missed. */
const beyondReach = (types: readonly string[] = []): DescribedFact[] =>
  types.map((type, i) => ({ key: ['beyond', i], type, length: 1 }));

const entityFacts = (
  annotations: readonly (Annotation & Pick<Sentence, 'beyond'>)[],
  typed: boolean,
): Facts =>
  collectFacts(annotations, ({ entities, beyond }) => [
    ...entities.map(({ type, start, end }) => ({
      key: typed ? [start, end, type] : [start, end],
      type,
      length: end - start,
    })),
    ...beyondReach(beyond?.entities),
  ]);

/** By start, then end, then type. */
const inOrder = (a: Entity, b: Entity): number =>
  a.start - b.start || a.end - b.end || (a.type < b.type ? -1 : 1);

const relationFacts = (
  annotations: readonly (Annotation & Pick<Sentence, 'beyond'>)[],
  withEntityTypes: boolean,
  symmetric: readonly string[],
): Facts =>
  collectFacts(annotations, ({ entities, relations, beyond }) => [
    ...relations.map(({ type, head, tail }) => {
      const ends = [entities[head], entities[tail]];
      const [h, t] = symmetric.includes(type) ? ends.sort(inOrder) : ends;
      const key = [type, h.start, h.end, t.start, t.end];
      return { key: withEntityTypes ? [...key, h.type, t.type] : key, type, length: 0 };
    }),
    ...beyondReach(beyond?.relations),
  ]);

/** Entities that share a token with one of the same type. */
function partialScore(gold: readonly Sentence[], predicted: readonly Annotation[]): Score {
  const distinct = ({ entities }: Annotation): Entity[] => [
    ...new Map(entities.map((e) => [JSON.stringify([e.start, e.end, e.type]), e])).values(),
  ];
  const touching = (some: Entity[], others: Entity[]): number =>
    some.filter((a) => others.some((b) => a.type === b.type && a.start < b.end && b.start < a.end)).length;
  let [right, total, found, support] = [0, 0, 0, 0];
  gold.forEach((annotation, sentence) => {
    const [golden, guessed] = [distinct(annotation), distinct(predicted[sentence])];
    right += touching(guessed, golden);
    total += guessed.length;
    found += touching(golden, guessed);
    support += golden.length + (annotation.beyond?.entities.length ?? 0);
  });
  return scoreOf(right, total, found, support);
}

/**
 * Scores predictions against the gold, sentence by sentence.
 *
 * Gold that a model cannot express (wider than its widest span, a second type on one span) is part
 * of the gold all the same, and counts as missed.
 *
 * @param gold annotated sentences
 * @param predicted one annotation for each of them; relations index the predicted entities
 * @param symmetric relation types of which either end may be the head; all others are directed
 * @throws InputError where the two differ in length
 */
export function evaluate(
  gold: readonly Sentence[],
  predicted: readonly Annotation[],
  symmetric: readonly string[] = [],
): Evaluation {
  if (gold.length !== predicted.length)
    throw new InputError(`evaluate: ${predicted.length} predictions for ${gold.length} sentences`);
  const [goldNer, ner] = [entityFacts(gold, true), entityFacts(predicted, true)];
  const [goldRe, re, goldRePlus, rePlus] = [false, true].flatMap((typed) => [
    relationFacts(gold, typed, symmetric),
    relationFacts(predicted, typed, symmetric),
  ]);

  const textBucket = gold.map(({ tokens }) => bucketOf(tokens.length, TEXT_LENGTHS));

  return {
    sentences: gold.length,
    ner: typedScores(goldNer, ner),
    re: typedScores(goldRe, re),
    rePlus: typedScores(goldRePlus, rePlus),
    nerBoundary: score(entityFacts(gold, false), entityFacts(predicted, false)),
    nerPartial: partialScore(gold, predicted),
    nerByLength: scoresByLength(goldNer, ner, LENGTHS),
    nerByLengthRange: scoresByLength(goldNer, ner, LENGTH_RANGES),
    byTextLength: TEXT_LENGTHS.map(([, bucket]) => {
      const within = ({ item }: Fact): boolean => textBucket[item] === bucket;
      return {
        bucket,
        sentences: textBucket.filter((name) => name === bucket).length,
        ner: score(goldNer, ner, within),
        re: score(goldRe, re, within),
        rePlus: score(goldRePlus, rePlus, within),
      };
    }),
  };
}
