/** What LAI-Net's heads are trained on (SPEC section 3, `Target of the ordered pair`). */
import { inverseClasses, relationClasses, type LaiConfig } from '../../models/lai-config.ts';
import type { Relation, Sentence } from '../dataset.ts';
import { keptAnnotation, labelIndex, spanLabels, type KeptAnnotation } from '../spans/enumerate.ts';

/** Target of a row that does not count. */
export const IGNORED = -100;

/** The gold that a stage can express: entities of every width are related, those of up to `maxSpanWidth` found. */
export const goldOf = (sentence: Sentence, { stage, maxSpanWidth }: LaiConfig): KeptAnnotation =>
  keptAnnotation(sentence, stage === 'entities' ? maxSpanWidth : Infinity);

/** The row of an ordered pair of n entities: by subject, then by object. */
export const pairRow = (n: number, subject: number, object: number): number =>
  subject * (n - 1) + object - Number(object > subject);

/** i32[n·(n−1), classes] of the ordered pairs of n entities. Errors: InputError for an unknown type. */
export function relationTargets(n: number, relations: readonly Relation[], config: LaiConfig): Int32Array {
  const classes = relationClasses(config);
  const inverse = inverseClasses(config);
  const targets = new Int32Array(n * Math.max(0, n - 1) * classes);
  for (const { type, head, tail } of relations) {
    const r = labelIndex(config.relationTypes, type);
    targets[pairRow(n, head, tail) * classes + r] = 1;
    targets[pairRow(n, tail, head) * classes + inverse[r]] = 1;
  }
  return targets;
}

/** The targets of a sentence's rows: classes i32[S], 0 for none, of its spans; or `relationTargets` of its entities. */
export function targetsOf(sentence: Sentence, config: LaiConfig): Int32Array {
  const { entities, relations } = goldOf(sentence, config);
  return config.stage === 'entities'
    ? spanLabels(entities, sentence.tokens.length, config.maxSpanWidth, config.entityTypes)
    : relationTargets(entities.length, relations, config);
}

/** Targets of the filter: 1 for an entity, 0 for none; padding stays ignored. */
export const filterTargets = (labels: Int32Array): Int32Array => labels.map((label) => Math.min(label, 1));

/** Targets of the span head among what is kept: entities, and with the filter's logits [rows, 2] its yes. */
export const keptTargets = (labels: Int32Array, filter?: Float32Array): Int32Array =>
  labels.map((label, row) => (label > 0 || (filter && saysYes(filter, row)) ? label : IGNORED));

/** Whether the filter takes a row: yes > no. */
export const saysYes = (filter: Float32Array, row: number): boolean => filter[2 * row + 1] > filter[2 * row];
