/**
 * The rows of a sentence, which are all its spans or all ordered pairs of its entities: their targets, and what their
 * logits say (docs/spec.md#relations-stage).
 */
import { sigmoid } from '../../../kernels/shared/host-math.ts';
import { inverseClasses, relationClasses, type LaiConfig } from '../../models/lai-config.ts';
import { withoutRelations, type Entity, type Sentence } from '../dataset.ts';
import { IGNORED } from '../losses.ts';
import {
  bestClasses,
  decodeEntities,
  decodeRelations,
  withoutOrder,
  type ScoredEntity,
  type ScoredRelation,
} from '../spans/decode.ts';
import {
  entityPairs,
  enumerateSpans,
  keptAnnotation,
  pairRow,
  pairTargets,
  spanLabels,
  spanNotes,
} from '../spans/enumerate.ts';

/** Words of the widest entity that a stage takes: entities of every width are related. */
export const widestOf = ({ stage, maxSpanWidth }: LaiConfig): number =>
  stage === 'entities' ? maxSpanWidth : Infinity;

/** What of the gold the stage cannot express. */
export const goldNotes = (sentences: readonly Sentence[], config: LaiConfig): string[] =>
  spanNotes(config.stage === 'entities' ? sentences.map(withoutRelations) : sentences, widestOf(config));

/**
 * The targets of a sentence: i32[S], 0 for none, of its spans; or i32[n·(n−1), classes] of its pairs.
 * @throws InputError for a type that the model does not have
 */
export function targetsOf(sentence: Sentence, config: LaiConfig): Int32Array {
  const { entities, relations } = keptAnnotation(sentence, widestOf(config));
  if (config.stage === 'entities')
    return spanLabels(entities, sentence.tokens.length, config.maxSpanWidth, config.entityTypes);
  const inverse = inverseClasses(config);
  return pairTargets(entities.length, relations, config.relationTypes, inverse, relationClasses(config));
}

/** Whether the filter's logits [rows, 2] take a row: yes > no. */
const saysYes = (filter: Float32Array, row: number): boolean => filter[2 * row + 1] > filter[2 * row];

/** Targets of the span head among what is kept: entities, and with the filter's logits its yes. */
export const keptTargets = (labels: Int32Array, filter?: Float32Array): Int32Array =>
  labels.map((label, row) => (label > 0 || (filter && saysYes(filter, row)) ? label : IGNORED));

/**
 * The entities of a sentence of `length` words, by start, then end; overlaps stay.
 * @param logits [S, types + 1]
 * @param filter [S, 2], where there is a filter
 */
export function entitiesOf(
  logits: Float32Array,
  filter: Float32Array | undefined,
  length: number,
  { maxSpanWidth, entityTypes }: LaiConfig,
): ScoredEntity[] {
  const { labels, scores } = bestClasses(logits, entityTypes.length + 1);
  const taken = filter ? labels.map((label, row) => (saysYes(filter, row) ? label : 0)) : labels;
  return decodeEntities(enumerateSpans([length], maxSpanWidth), { labels: taken, scores }, 1, entityTypes)[0];
}

/**
 * The relations among entities that both directions tell, by head, tail, type; a symmetric one once, the first
 * entity as head. Its score is the lesser of the two probabilities.
 * @param logits [n·(n−1), classes]
 */
export function relationsOf(
  logits: Float32Array,
  entities: readonly Entity[],
  config: LaiConfig,
  threshold = config.relationThreshold,
): ScoredRelation[] {
  const { relationTypes: types, symmetric } = config;
  const { pairs } = entityPairs([entities]);
  const classes = relationClasses(config);
  const inverse = inverseClasses(config);
  const scores = Float64Array.from({ length: (pairs.length / 3) * types.length }, (_, i) => {
    const [row, r] = [Math.floor(i / types.length), i % types.length];
    const back = pairRow(entities.length, pairs[3 * row + 2], pairs[3 * row + 1]);
    return sigmoid(Math.min(logits[row * classes + r], logits[back * classes + inverse[r]]));
  });
  return withoutOrder(decodeRelations(pairs, scores, 1, types, threshold)[0], symmetric);
}
