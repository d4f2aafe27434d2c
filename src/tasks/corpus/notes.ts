/** What of a corpus a model may not be able to learn or return. */
import type { Annotation, Entity } from '../dataset.ts';
import type { Document } from '../document.ts';

/** UTF-16 code units of a text that, with a short prompt, is sure to fit 512 word pieces where each is a character. */
const LONG_TEXT = 500;

const overlap = (a: Entity, b: Entity): boolean => a.start < b.end && b.start < a.end;
const sameSpan = (a: Entity, b: Entity): boolean => a.start === b.start && a.end === b.end;
const holds = (a: Entity, b: Entity): boolean => a.start <= b.start && b.end <= a.end;

/** Kinds of pairs of overlapping entities: every such pair is of one of them. */
const pairKinds: readonly [note: string, isOne: (a: Entity, b: Entity) => boolean][] = [
  ['with one entity twice', (a, b) => sameSpan(a, b) && a.type === b.type],
  ['with two types on one span', (a, b) => sameSpan(a, b) && a.type !== b.type],
  ['with nested entities', (a, b) => !sameSpan(a, b) && (holds(a, b) || holds(b, a))],
  ['with crossing entities', (a, b) => !holds(a, b) && !holds(b, a)],
];

/** The pairs of entities that share a character. */
function overlappingPairs(entities: readonly Entity[]): [Entity, Entity][] {
  const sorted = [...entities].sort((a, b) => a.start - b.start);
  return sorted.flatMap((a, i) => {
    const rest = sorted.slice(i + 1);
    const past = rest.findIndex((b) => b.start >= a.end);
    return rest.slice(0, past < 0 ? rest.length : past).map((b): [Entity, Entity] => [a, b]);
  });
}

/** True where two entities, in one direction, have more than one relation. */
function hasMultipleRelations({ relations }: Annotation): boolean {
  return new Set(relations.map(({ head, tail }) => `${head},${tail}`)).size < relations.length;
}

/**
 * In how many documents there are spans with two types, nested, crossing or repeated entities, relations between
 * overlapping entities or several between one pair, and texts over `longText` UTF-16 code units: a line for each that
 * there is.
 */
export function documentNotes(documents: readonly Document[], longText: number = LONG_TEXT): string[] {
  const pairs = documents.map(({ entities }) => overlappingPairs(entities));
  const counts: [note: string, documents: number][] = pairKinds.map(([note, isOne]) => [
    note,
    pairs.filter((list) => list.some(([a, b]) => isOne(a, b))).length,
  ]);
  const count = (has: (document: Document) => boolean): number => documents.filter(has).length;
  counts.push(
    [
      'with relations between overlapping entities',
      count(({ entities, relations }) => relations.some((r) => overlap(entities[r.head], entities[r.tail]))),
    ],
    ['with several relations between two entities', count(hasMultipleRelations)],
    [`of more than ${longText} characters`, count(({ text }) => text.length > longText)],
  );
  return counts.flatMap(([note, n]) => (n > 0 ? [`texts ${note}: ${n} of ${documents.length}`] : []));
}
