/**
 * Precision, recall and F1 of extracted entities and relations (SPEC section 4), as fractions from 0 to 1; 0 where
 * undefined. Predictions and gold are sets: what is listed twice counts once. Relations are directed, also those of
 * a symmetric type.
 */
import { InputError } from '../../kernels/errors.ts';
import type { Annotation, Entity, Sentence } from './dataset.ts';

export interface Prf {
  p: number;
  r: number;
  f1: number;
}

/** Scores over one set of facts, with its sizes. */
export interface Score extends Prf {
  /** Gold facts. */
  support: number;
  /** Predicted facts. */
  predicted: number;
}

export interface TypedScores {
  /** Over all facts together. */
  micro: Score;
  /** Mean of P, of R and of F1 over the types that the gold has. */
  macro: Prf;
  perType: Record<string, Score>;
}

export interface BucketScore extends Score {
  bucket: string;
}

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

/** Buckets by their least value, ascending; a value belongs to the last bucket that it reaches. */
type Buckets = readonly (readonly [least: number, name: string])[];

const LENGTHS: Buckets = [...[1, 2, 3, 4, 5, 6, 7].map((n) => [n, String(n)] as const), [8, '≥8']];
const LENGTH_RANGES: Buckets = [
  [1, '1–2'],
  [3, '3–4'],
  [5, '5–6'],
  [7, '7–8'],
  [9, '9–10'],
  [11, '≥11'],
];
const TEXT_LENGTHS: Buckets = [
  [0, '<20'],
  [20, '20–34'],
  [35, '35–49'],
  [50, '≥50'],
];

function bucketOf(value: number, buckets: Buckets): string {
  return buckets.findLast(([least]) => value >= least)![1];
}

/** One thing said of one sentence; two facts are the same where their keys are. */
interface Fact {
  type: string;
  /** Tokens of an entity; 0 for a relation. */
  length: number;
  sentence: number;
}
type Facts = ReadonlyMap<string, Fact>;

/** The facts of all sentences, each key once. */
function collect(
  annotations: readonly Annotation[],
  describe: (annotation: Annotation) => { key: unknown[]; type: string; length: number }[],
): Facts {
  const facts = new Map<string, Fact>();
  annotations.forEach((annotation, sentence) => {
    for (const { key, type, length } of describe(annotation))
      facts.set(JSON.stringify([sentence, ...key]), { type, length, sentence });
  });
  return facts;
}

const entityFacts = (annotations: readonly Annotation[], typed: boolean): Facts =>
  collect(annotations, ({ entities }) =>
    entities.map(({ type, start, end }) => ({
      key: typed ? [start, end, type] : [start, end],
      type,
      length: end - start,
    })),
  );

const relationFacts = (annotations: readonly Annotation[], withEntityTypes: boolean): Facts =>
  collect(annotations, ({ entities, relations }) =>
    relations.map(({ type, head, tail }) => {
      const [h, t] = [entities[head], entities[tail]];
      const key = [type, h.start, h.end, t.start, t.end];
      return { key: withEntityTypes ? [...key, h.type, t.type] : key, type, length: 0 };
    }),
  );

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

/** P, R and F1 where `right` of the `predicted` are right and `found` of the gold `support` are found. */
function scoreOf(right: number, predicted: number, found: number, support: number): Score {
  const p = ratio(right, predicted);
  const r = ratio(found, support);
  return { p, r, f1: ratio(2 * p * r, p + r), support, predicted };
}

/** Scores of the facts that `keep` keeps; equal facts must be kept or left out together. */
function score(gold: Facts, predicted: Facts, keep: (fact: Fact) => boolean = () => true): Score {
  let [support, total, correct] = [0, 0, 0];
  for (const fact of gold.values()) if (keep(fact)) support++;
  for (const [key, fact] of predicted) {
    if (!keep(fact)) continue;
    total++;
    if (gold.has(key)) correct++;
  }
  return scoreOf(correct, total, correct, support);
}

function typedScores(gold: Facts, predicted: Facts): TypedScores {
  const typesOf = (facts: Facts): string[] => [...facts.values()].map(({ type }) => type);
  const types = [...new Set([...typesOf(gold), ...typesOf(predicted)])].sort();
  const perType = types.map((name) => [name, score(gold, predicted, ({ type }) => type === name)] as const);
  const inGold = perType.map(([, s]) => s).filter(({ support }) => support > 0);
  const mean = (of: keyof Prf): number =>
    ratio(
      inGold.reduce((sum, s) => sum + s[of], 0),
      inGold.length,
    );
  return {
    micro: score(gold, predicted),
    macro: { p: mean('p'), r: mean('r'), f1: mean('f1') },
    perType: Object.fromEntries(perType),
  };
}

/** Entities that share a token with one of the same type. */
function partialScore(gold: readonly Annotation[], predicted: readonly Annotation[]): Score {
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
    support += golden.length;
  });
  return scoreOf(right, total, found, support);
}

/**
 * Scores predictions against the gold, sentence by sentence.
 *
 * Macro means run over the types that occur in the gold: recall says nothing of a type without gold, and a 0 for it
 * would make the mean depend on which labels a model happens to list. What is predicted of such a type still lowers
 * micro precision. Gold that a model cannot express (wider than its widest span, a second type on one span) is part
 * of the gold all the same, and counts as missed.
 *
 * @param gold annotated sentences
 * @param predicted one annotation for each of them; relations index the predicted entities
 * @throws InputError where the two differ in length
 */
export function evaluate(gold: readonly Sentence[], predicted: readonly Annotation[]): Evaluation {
  if (gold.length !== predicted.length)
    throw new InputError(`evaluate: ${predicted.length} predictions for ${gold.length} sentences`);
  const [goldNer, ner] = [entityFacts(gold, true), entityFacts(predicted, true)];
  const [goldRe, re] = [relationFacts(gold, false), relationFacts(predicted, false)];
  const [goldRePlus, rePlus] = [relationFacts(gold, true), relationFacts(predicted, true)];

  const byLength = (buckets: Buckets): BucketScore[] =>
    buckets.map(([, bucket]) => ({
      bucket,
      ...score(goldNer, ner, ({ length }) => bucketOf(length, buckets) === bucket),
    }));
  const textBucket = gold.map(({ tokens }) => bucketOf(tokens.length, TEXT_LENGTHS));

  return {
    sentences: gold.length,
    ner: typedScores(goldNer, ner),
    re: typedScores(goldRe, re),
    rePlus: typedScores(goldRePlus, rePlus),
    nerBoundary: score(entityFacts(gold, false), entityFacts(predicted, false)),
    nerPartial: partialScore(gold, predicted),
    nerByLength: byLength(LENGTHS),
    nerByLengthRange: byLength(LENGTH_RANGES),
    byTextLength: TEXT_LENGTHS.map(([, bucket]) => {
      const within = ({ sentence }: Fact): boolean => textBucket[sentence] === bucket;
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
