/** What STSN's span and relation heads see of a sentence: all of it, or the gold with sampled negatives. */
import type { LabelSets, Sentence } from '../dataset.ts';
import { type Random, stream } from '../../nn/random.ts';
import { entityPairs, enumerateSpans, keptAnnotation, pairTargets, spanLabels } from './enumerate.ts';

/** Positive and negative rows of the two heads, for the log. */
export interface SampleCounts {
  positiveSpans: number;
  negativeSpans: number;
  positivePairs: number;
  negativePairs: number;
}

/** Rows for the span and relation heads with their targets; R relation types. */
export interface Samples {
  /** i32[S,3] = (b, start, end), in enumeration order. */
  spans: Int32Array;
  /** i32[S]: 0 for none, 1 + the index of the entity type. */
  spanLabels: Int32Array;
  /** i32[P,3] = (b, start, end) of each pair's head; pairs in (b, head, tail) order. */
  heads: Int32Array;
  /** i32[P,3], the tails. */
  tails: Int32Array;
  /** i32[P,R]: 1 where the relation type holds; a pair may have several. */
  relationTargets: Int32Array;
  counts: SampleCounts;
}

/** What decides the samples of a sentence that are not drawn. */
export interface SampledLabels extends LabelSets {
  maxSpanWidth: number;
  /** Relation types that are learnt in both directions. */
  symmetric?: readonly string[];
}

export interface SampleOptions extends SampledLabels {
  /** Most negative spans a sentence (100 in the paper). */
  negativeSpans: number;
  /** Most pairs without a relation a sentence (100 in the paper). */
  negativePairs: number;
}

/** What names the random draws of one sentence; `sentence` is its index in the corpus, not in the batch. */
export interface DrawName {
  seed: number;
  epoch: number;
  sentence: number;
}

/** First id of the three-id random streams drawn here (see `stream`): keep other uses of three ids off them. */
const SPAN_STREAM = 0;
const PAIR_STREAM = 1;

/**
 * The rows to keep, ascending: every positive one, and all the others where they are at most `limit`, else `limit`
 * of them drawn from `random` without replacement.
 */
function keepRows(positive: readonly boolean[], limit: number, random: () => Random): number[] {
  const negatives = positive.flatMap((isPositive, row) => (isPositive ? [] : [row]));
  if (negatives.length <= limit) return positive.map((_, row) => row);
  const drawn = random().sampleWithoutReplacement(negatives.length, limit);
  const kept = new Set(drawn.map((index) => negatives[index]));
  return positive.flatMap((isPositive, row) => (isPositive || kept.has(row) ? [row] : []));
}

/** Rows `rows` of a row-major table of `width` columns. */
function takeRows(table: Int32Array, rows: readonly number[], width: number): Int32Array {
  const out = new Int32Array(rows.length * width);
  rows.forEach((row, i) => out.set(table.subarray(row * width, (row + 1) * width), i * width));
  return out;
}

function buildSamples(
  sentence: Sentence,
  options: SampleOptions,
  draw: (purpose: number) => Random,
): Samples {
  const { maxSpanWidth, entityTypes, relationTypes, symmetric = [] } = options;
  const { entities, relations } = keptAnnotation(sentence, maxSpanWidth);
  const length = sentence.tokens.length;

  const labels = spanLabels(entities, length, maxSpanWidth, entityTypes);
  const isEntity = Array.from(labels, (label) => label > 0);
  const spanRows = keepRows(isEntity, options.negativeSpans, () => draw(SPAN_STREAM));

  const { heads, tails } = entityPairs([entities]);
  const types = relationTypes.length;
  const inverse = relationTypes.map((type, r) => (symmetric.includes(type) ? r : undefined));
  const targets = pairTargets(entities.length, relations, relationTypes, inverse);
  const isRelated = Array.from({ length: heads.length / 3 }, (_, row) =>
    targets.subarray(row * types, (row + 1) * types).includes(1),
  );
  const pairRows = keepRows(isRelated, options.negativePairs, () => draw(PAIR_STREAM));

  const positivePairs = isRelated.filter(Boolean).length;
  return {
    spans: takeRows(enumerateSpans([length], maxSpanWidth), spanRows, 3),
    spanLabels: takeRows(labels, spanRows, 1),
    heads: takeRows(heads, pairRows, 3),
    tails: takeRows(tails, pairRows, 3),
    relationTargets: takeRows(targets, pairRows, types),
    counts: {
      positiveSpans: entities.length,
      negativeSpans: spanRows.length - entities.length,
      positivePairs,
      negativePairs: pairRows.length - positivePairs,
    },
  };
}

/**
 * One sentence as STSN trains on it (docs/spec.md#stsn): all kept gold spans and at most `negativeSpans` others up to
 * `maxSpanWidth`; all pairs of kept gold entities that are related and at most `negativePairs` others. Negatives are
 * drawn without replacement, and depend on nothing but `name` and the sentence.
 * @returns rows with b = 0
 * @throws InputError for a type outside the label sets
 */
export function sampleSentence(sentence: Sentence, options: SampleOptions, name: DrawName): Samples {
  return buildSamples(sentence, options, (purpose) => stream(name.seed, purpose, name.epoch, name.sentence));
}

/** One sentence without sampling: every span up to `maxSpanWidth`, every ordered pair of kept gold entities; b = 0. */
export function allSamples(sentence: Sentence, options: SampledLabels): Samples {
  const unlimited = { ...options, negativeSpans: Infinity, negativePairs: Infinity };
  // Without a limit nothing is ever drawn.
  return buildSamples(sentence, unlimited, () => stream(0));
}

/** `rows` [n,3] of one sentence with b set to `b`. */
function inSentence(rows: Int32Array, b: number): Int32Array {
  return rows.map((value, i) => (i % 3 === 0 ? b : value));
}

function concat(parts: readonly Int32Array[]): Int32Array {
  const out = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The samples of a batch as one: sentence i's rows get b = i, and the counts add up. */
export function joinSamples(batch: readonly Samples[]): Samples {
  const total = (name: keyof SampleCounts): number =>
    batch.reduce((sum, { counts }) => sum + counts[name], 0);
  return {
    spans: concat(batch.map((s, b) => inSentence(s.spans, b))),
    spanLabels: concat(batch.map((s) => s.spanLabels)),
    heads: concat(batch.map((s, b) => inSentence(s.heads, b))),
    tails: concat(batch.map((s, b) => inSentence(s.tails, b))),
    relationTargets: concat(batch.map((s) => s.relationTargets)),
    counts: {
      positiveSpans: total('positiveSpans'),
      negativeSpans: total('negativeSpans'),
      positivePairs: total('positivePairs'),
      negativePairs: total('negativePairs'),
    },
  };
}
