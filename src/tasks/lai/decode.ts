/** From LAI-Net's logits to entities and relations (SPEC section 3, `Decoding`). */
import { sigmoid } from '../../../kernels/reference/math.ts';
import { inverseClasses, relationClasses, type LaiConfig } from '../../models/lai-config.ts';
import type { Annotation, Relation } from '../dataset.ts';
import { bestClasses, decodeEntities, type ScoredEntity, type ScoredRelation } from '../spans/decode.ts';
import { enumerateSpans } from '../spans/enumerate.ts';
import { pairRow, saysYes } from './targets.ts';

/**
 * The entities of a sentence of `length` words, by start, then end; overlaps stay.
 * @param logits [S, types + 1] of all its spans in enumeration order
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
 * The relations among n entities that both directions tell, by head, tail, type; a symmetric one once, the first
 * entity as head. Its score is the lesser of the two probabilities.
 * @param logits [n·(n−1), classes] of the ordered pairs
 */
export function relationsOf(logits: Float32Array, n: number, config: LaiConfig): ScoredRelation[] {
  const { relationTypes, relationThreshold } = config;
  const classes = relationClasses(config);
  const inverse = inverseClasses(config);
  const found: ScoredRelation[] = [];
  for (let head = 0; head < n; head++)
    for (let tail = 0; tail < n; tail++) {
      if (head === tail) continue;
      const [there, back] = [pairRow(n, head, tail) * classes, pairRow(n, tail, head) * classes];
      relationTypes.forEach((type, r) => {
        if (inverse[r] === r && tail < head) return;
        const score = sigmoid(Math.min(logits[there + r], logits[back + inverse[r]]));
        if (score >= relationThreshold) found.push({ type, head, tail, score });
      });
    }
  return found;
}

/** The annotation with every symmetric relation's first entity, by start, end and type, as its head: for metrics. */
export function inOneOrder({ entities, relations }: Annotation, symmetric: readonly string[]): Annotation {
  const turned = ({ type, head, tail }: Relation): boolean => {
    if (!symmetric.includes(type)) return false;
    const [h, t] = [entities[head], entities[tail]];
    return (h.start - t.start || h.end - t.end || (h.type < t.type ? -1 : 1)) > 0;
  };
  return {
    entities,
    relations: relations.map((r) => (turned(r) ? { ...r, head: r.tail, tail: r.head } : r)),
  };
}
