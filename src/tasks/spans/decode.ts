/** From the scores of STSN's span and relation heads to entities and relations. */
import type { Entity, Relation } from '../dataset.ts';

export interface ScoredEntity extends Entity {
  /** Probability of the type, 0 to 1. */
  score: number;
}

export interface ScoredRelation extends Relation {
  /** Probability of the relation, 0 to 1. */
  score: number;
}

/** What is found in a sentence. */
export interface Prediction {
  entities: ScoredEntity[];
  /** `head` and `tail` index `entities`. */
  relations: ScoredRelation[];
}

/**
 * `all`: every span whose best class is a type, overlapping or not (the paper). `flat`: the same without overlaps,
 * the better score first; of equal scores the earlier start, then the longer span.
 */
export type DecodePolicy = 'all' | 'flat';

/**
 * The best class of every row and its softmax probability. Of equal logits the lowest class wins.
 * @param logits [rows, classes], row-major
 */
export function bestClasses(
  logits: ArrayLike<number>,
  classes: number,
): { labels: Int32Array; scores: Float64Array } {
  const rows = logits.length / classes;
  const labels = new Int32Array(rows);
  const scores = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const first = row * classes;
    let best = 0;
    for (let c = 1; c < classes; c++) if (logits[first + c] > logits[first + best]) best = c;
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(logits[first + c] - logits[first + best]);
    labels[row] = best;
    scores[row] = 1 / sum;
  }
  return { labels, scores };
}

/** The entities that the greedy choice by score keeps: none overlaps a better one. */
function withoutOverlaps(entities: readonly ScoredEntity[]): ScoredEntity[] {
  const kept: ScoredEntity[] = [];
  const byScore = [...entities].sort((a, b) => b.score - a.score || a.start - b.start || b.end - a.end);
  for (const entity of byScore)
    if (!kept.some((other) => entity.start < other.end && other.start < entity.end)) kept.push(entity);
  return kept;
}

/** The entities that a policy keeps, sorted by start, then end. */
export const keptEntities = (found: readonly ScoredEntity[], policy: DecodePolicy): ScoredEntity[] =>
  [...(policy === 'flat' ? withoutOverlaps(found) : found)].sort(
    (a, b) => a.start - b.start || a.end - b.end,
  );

/**
 * Predicted entities of every sentence of a batch, sorted by start, then end.
 * @param spans i32[S,3] = (b, start, end)
 * @param best the class of each span (0 is none, k is `entityTypes[k − 1]`) and its score
 * @param sentences the number of sentences in the batch
 */
export function decodeEntities(
  spans: Int32Array,
  best: { labels: ArrayLike<number>; scores: ArrayLike<number> },
  sentences: number,
  entityTypes: readonly string[],
  policy: DecodePolicy = 'all',
): ScoredEntity[][] {
  const entities = Array.from({ length: sentences }, (): ScoredEntity[] => []);
  for (let row = 0; row < best.labels.length; row++) {
    if (best.labels[row] === 0) continue;
    entities[spans[3 * row]].push({
      type: entityTypes[best.labels[row] - 1],
      start: spans[3 * row + 1],
      end: spans[3 * row + 2],
      score: best.scores[row],
    });
  }
  return entities.map((found) => keptEntities(found, policy));
}

/** Of relations of symmetric types one for both directions: the first entity is the head, the greater score counts. */
export function withoutOrder(
  relations: readonly ScoredRelation[],
  symmetric: readonly string[] = [],
): ScoredRelation[] {
  const found = new Map<string, ScoredRelation>();
  for (const relation of relations) {
    const { type, head, tail, score } = relation;
    const turns = symmetric.includes(type) && tail < head;
    const one = turns ? { ...relation, head: tail, tail: head } : relation;
    const key = JSON.stringify([type, one.head, one.tail]);
    const other = found.get(key);
    if (!other || other.score < score) found.set(key, one);
  }
  return [...found.values()];
}

/**
 * Predicted relations of every sentence of a batch: each type whose score reaches the threshold, in the order of the
 * pairs, then of the types.
 * @param pairs i32[P,3] = (b, head, tail), as `entityPairs` of the predicted entities gives them
 * @param scores [P, relation types], sigmoid probabilities
 * @param threshold α of the paper, 0 to 1; a score equal to it counts
 */
export function decodeRelations(
  pairs: Int32Array,
  scores: ArrayLike<number>,
  sentences: number,
  relationTypes: readonly string[],
  threshold: number,
): ScoredRelation[][] {
  const relations = Array.from({ length: sentences }, (): ScoredRelation[] => []);
  for (let pair = 0; pair < pairs.length / 3; pair++) {
    relationTypes.forEach((type, r) => {
      const score = scores[pair * relationTypes.length + r];
      if (!(score >= threshold)) return;
      relations[pairs[3 * pair]].push({ type, head: pairs[3 * pair + 1], tail: pairs[3 * pair + 2], score });
    });
  }
  return relations;
}
