/**
 * Precision, recall and F1 of sets of facts (docs/spec.md#metrics), as fractions from 0 to 1; 0 where undefined. Gold
 * and predictions are sets: what is listed twice counts once.
 *
 * Macro means run over the types that occur in the gold: recall says nothing of a type without gold, and a 0 for it
 * would make the mean depend on which labels a model happens to list. What is predicted of such a type still lowers
 * micro precision.
 */

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

/** Buckets by their least value, ascending; a value belongs to the last bucket that it reaches. */
export type Buckets = readonly (readonly [least: number, name: string])[];

/** Entity lengths: 1 … 7, ≥8 (characters of the Chinese corpora, in CEREM's plot). */
export const LENGTHS: Buckets = [...[1, 2, 3, 4, 5, 6, 7].map((n) => [n, String(n)] as const), [8, '≥8']];
/** Text lengths: <20, 20–34, 35–49, ≥50. */
export const TEXT_LENGTHS: Buckets = [
  [0, '<20'],
  [20, '20–34'],
  [35, '35–49'],
  [50, '≥50'],
];

/** The name of the bucket that a value of at least the first one's belongs to. */
export function bucketOf(value: number, buckets: Buckets): string {
  return buckets.findLast(([least]) => value >= least)![1];
}

/** One thing said of one item (a sentence, a document); two facts are the same where their keys are. */
export interface Fact {
  type: string;
  /** Of an entity, in what the caller counts; 0 for a relation. */
  length: number;
  /** Index of the item. */
  item: number;
}
export type Facts = ReadonlyMap<string, Fact>;

/** A fact of an item as `collectFacts` takes it; `key` is made of what JSON can hold, and tells it from the item's others. */
export type DescribedFact = { key: unknown[] } & Pick<Fact, 'type' | 'length'>;

/** The facts of all items, each key once. */
export function collectFacts<T>(items: readonly T[], describe: (item: T) => DescribedFact[]): Facts {
  const facts = new Map<string, Fact>();
  items.forEach((value, item) => {
    for (const { key, type, length } of describe(value))
      facts.set(JSON.stringify([item, ...key]), { type, length, item });
  });
  return facts;
}

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

/** P, R and F1 where `right` of the `predicted` are right and `found` of the gold `support` are found. */
export function scoreOf(right: number, predicted: number, found: number, support: number): Score {
  const p = ratio(right, predicted);
  const r = ratio(found, support);
  return { p, r, f1: ratio(2 * p * r, p + r), support, predicted };
}

/** How many facts are right, predicted and gold. */
export interface Counts {
  right: number;
  predicted: number;
  support: number;
}

/** The counts of each of `items` items. */
export function countsByItem(gold: Facts, predicted: Facts, items: number): Counts[] {
  const counts = Array.from({ length: items }, (): Counts => ({ right: 0, predicted: 0, support: 0 }));
  for (const { item } of gold.values()) counts[item].support++;
  for (const [key, { item }] of predicted) {
    counts[item].predicted++;
    if (gold.has(key)) counts[item].right++;
  }
  return counts;
}

/** Scores of the facts that `keep` keeps; equal facts must be kept or left out together. */
export function score(gold: Facts, predicted: Facts, keep: (fact: Fact) => boolean = () => true): Score {
  let [support, total, correct] = [0, 0, 0];
  for (const fact of gold.values()) if (keep(fact)) support++;
  for (const [key, fact] of predicted) {
    if (!keep(fact)) continue;
    total++;
    if (gold.has(key)) correct++;
  }
  return scoreOf(correct, total, correct, support);
}

/** Micro, macro and by type. */
export function typedScores(gold: Facts, predicted: Facts): TypedScores {
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

/** Micro scores of the facts of each bucket of lengths. */
export const scoresByLength = (gold: Facts, predicted: Facts, buckets: Buckets): BucketScore[] =>
  buckets.map(([, bucket]) => ({
    bucket,
    ...score(gold, predicted, ({ length }) => bucketOf(length, buckets) === bucket),
  }));
