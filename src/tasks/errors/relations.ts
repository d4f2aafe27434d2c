/** Which predicted relation answers which of the gold, and why it is wrong. */
import type { Relation } from '../dataset.ts';
import { overlapOf } from './entities.ts';
import type { JudgedAnnotation, JudgedEntity, Judgement } from './judged.ts';

/**
 * In the order of reports. `endType`, `endBoundary`: an end is not quite the gold's. `type`: another relation of the
 * two. `direction`: head and tail are exchanged. Of the gold alone: `endMissed`, an end was not found; `missed`, both
 * were. Of predictions alone: `endSpurious`, an end is none of the gold's; `spurious`, both are.
 */
export const relationVerdicts = [
  'right',
  'endType',
  'endBoundary',
  'type',
  'direction',
  'endMissed',
  'missed',
  'endSpurious',
  'spurious',
] as const;
export type RelationVerdict = (typeof relationVerdicts)[number];

/** As `EntityMatch`. */
export interface RelationMatch {
  verdict: RelationVerdict;
  gold?: number;
  predicted?: number;
}

type Rules = Pick<Judgement, 'symmetric' | 'typedEnds'>;

const spanOf = ({ start, end }: JudgedEntity): string => `${start} ${end}`;

/** For each predicted entity the gold one that it stands for: on its span, else the most alike; undefined for none. */
function standsFor(
  gold: readonly JudgedEntity[],
  predicted: readonly JudgedEntity[],
): (JudgedEntity | undefined)[] {
  return predicted.map((p) => {
    let [best, most]: [JudgedEntity | undefined, number] = [undefined, 0];
    for (const g of gold) {
      const alike = overlapOf(g, p) + (spanOf(g) === spanOf(p) ? 1 : 0);
      if (alike > most) [best, most] = [g, alike];
    }
    return best;
  });
}

/** What a relation says, as the scores compare it. */
function keyOf({ type, head, tail }: Relation, entities: readonly JudgedEntity[], rules: Rules): string {
  const ends = [head, tail].map((i) => {
    const { start, end, type: of } = entities[i];
    return JSON.stringify(rules.typedEnds ? [start, end, of] : [start, end]);
  });
  if (rules.symmetric.includes(type)) ends.sort();
  return JSON.stringify([type, ...ends]);
}

/** Indices of relations that say different things: of those that say the same the first. */
function distinct({ entities, relations }: JudgedAnnotation, rules: Rules): Map<string, number> {
  const found = new Map<string, number>();
  relations.forEach((relation, i) => {
    const key = keyOf(relation, entities, rules);
    if (!found.has(key)) found.set(key, i);
  });
  return found;
}

/** Pairs every relation with at most one of the other side; what is left on either side is told why. */
export function matchRelations(
  gold: JudgedAnnotation,
  predicted: JudgedAnnotation,
  rules: Rules,
): RelationMatch[] {
  const matches: RelationMatch[] = [];
  const goldKeys = distinct(gold, rules);
  const keys = distinct(predicted, rules);
  const [left, open] = [new Set(goldKeys.values()), new Set(keys.values())];
  const match = (verdict: RelationVerdict, g: number, p: number): void => {
    left.delete(g);
    open.delete(p);
    matches.push({ verdict, gold: g, predicted: p });
  };
  for (const [key, g] of goldKeys) {
    const p = keys.get(key);
    if (p !== undefined) match('right', g, p);
  }

  const entityOf = standsFor(gold.entities, predicted.entities);
  const spanAt = (p: number): string | undefined => entityOf[p] && spanOf(entityOf[p]);
  const exact = (p: number): boolean => spanAt(p) === spanOf(predicted.entities[p]);
  /** Pairs what is left and relates the same two entities. */
  const pair = (
    verdict: (predicted: Relation) => RelationVerdict,
    sameType: boolean,
    exchanged: boolean,
  ): void => {
    for (const p of open) {
      const relation = predicted.relations[p];
      const ends = [spanAt(relation.head), spanAt(relation.tail)];
      const [head, tail] = exchanged ? ends.reverse() : ends;
      const g = [...left].find((i) => {
        const { type, ...of } = gold.relations[i];
        const [from, to] = [gold.entities[of.head], gold.entities[of.tail]].map(spanOf);
        return from === head && to === tail && (type === relation.type) === sameType;
      });
      if (g !== undefined) match(verdict(relation), g, p);
    }
  };
  const end = ({ head, tail }: Relation): RelationVerdict =>
    exact(head) && exact(tail) ? 'endType' : 'endBoundary';
  pair(end, true, false);
  const isSymmetric = ({ type }: Relation): boolean => rules.symmetric.includes(type);
  pair((relation) => (isSymmetric(relation) ? end(relation) : 'direction'), true, true);
  pair(() => 'type', false, false);

  const found = new Set(predicted.entities.map((_, p) => spanAt(p)));
  for (const g of left) {
    const ends = [gold.relations[g].head, gold.relations[g].tail].map((i) => spanOf(gold.entities[i]));
    matches.push({ verdict: ends.every((span) => found.has(span)) ? 'missed' : 'endMissed', gold: g });
  }
  for (const p of open) {
    const { head, tail } = predicted.relations[p];
    matches.push({ verdict: entityOf[head] && entityOf[tail] ? 'spurious' : 'endSpurious', predicted: p });
  }
  return matches;
}
