/** Which predicted entity answers which of the gold, and what is wrong with it. */
import type { Entity } from '../dataset.ts';
import type { JudgedEntity } from './judged.ts';

/** In the order of reports. Each gold entity has one of all but the last, each predicted one of all but `missed`. */
export const entityVerdicts = ['right', 'type', 'boundary', 'both', 'missed', 'spurious'] as const;
export type EntityVerdict = (typeof entityVerdicts)[number];

/** A gold entity with what answers it; one of the two alone where it is missed or spurious. Indices into the lists. */
export interface EntityMatch {
  verdict: EntityVerdict;
  gold?: number;
  predicted?: number;
}

const key = ({ type, start, end }: Entity): string => `${start} ${end} ${type}`;

/** The indices of the entities that are scored, the first of those that are alike. */
function scored(entities: readonly JudgedEntity[]): number[] {
  const seen = new Set<string>();
  return [...entities.keys()].filter((i) => {
    if (entities[i].objectOnly || seen.has(key(entities[i]))) return false;
    seen.add(key(entities[i]));
    return true;
  });
}

/** The share of two spans that they have in common, 0 to 1. */
export function overlapOf(a: Entity, b: Entity): number {
  const common = Math.min(a.end, b.end) - Math.max(a.start, b.start);
  return common <= 0 ? 0 : common / (Math.max(a.end, b.end) - Math.min(a.start, b.start));
}

/**
 * Pairs every scored entity with at most one of the other side: first what is the same, then what has its span, then what
 * overlaps it and has its type, then what overlaps it; of several the one with the largest share in common, then the
 * first. So `right` counts what the scores count.
 */
export function matchEntities(
  gold: readonly JudgedEntity[],
  predicted: readonly JudgedEntity[],
): EntityMatch[] {
  const matches: EntityMatch[] = [];
  const [left, open] = [new Set(scored(gold)), new Set(scored(predicted))];
  const pair = (verdict: EntityVerdict, fits: (g: Entity, p: Entity) => boolean): void => {
    const pairs = [...left].flatMap((g) =>
      [...open].flatMap((p) => {
        const overlap = overlapOf(gold[g], predicted[p]);
        const same = gold[g].start === predicted[p].start && gold[g].end === predicted[p].end;
        return (overlap > 0 || same) && fits(gold[g], predicted[p]) ? [{ g, p, overlap }] : [];
      }),
    );
    pairs.sort((a, b) => b.overlap - a.overlap || a.g - b.g || a.p - b.p);
    for (const { g, p } of pairs) {
      if (!left.has(g) || !open.has(p)) continue;
      left.delete(g);
      open.delete(p);
      matches.push({ verdict, gold: g, predicted: p });
    }
  };
  const sameSpan = (g: Entity, p: Entity): boolean => g.start === p.start && g.end === p.end;
  pair('right', (g, p) => sameSpan(g, p) && g.type === p.type);
  pair('type', sameSpan);
  pair('boundary', (g, p) => g.type === p.type);
  pair('both', () => true);
  for (const g of left) matches.push({ verdict: 'missed', gold: g });
  for (const p of open) matches.push({ verdict: 'spurious', predicted: p });
  const at = (match: EntityMatch): Entity => gold[match.gold ?? -1] ?? predicted[match.predicted!];
  return matches.sort((a, b) => at(a).start - at(b).start || at(a).end - at(b).end);
}
