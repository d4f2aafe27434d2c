/** Candidate spans of STSN: enumeration, position in the enumeration, and which gold entities they can express. */
import { InputError } from '../../../kernels/errors.ts';
import type { Annotation, Entity, Relation, Sentence } from '../dataset.ts';

/** Number of spans of 1 to `maxWidth` tokens in a sentence of `length` tokens. */
export function countSpans(length: number, maxWidth: number): number {
  return spanIndex(length, maxWidth, length, length + 1);
}

/**
 * All spans of up to `maxWidth` tokens, as the kernel `span-enumerate` lists them (docs/spec.md#span-enumerate).
 * @param lengths tokens of each sentence
 * @returns i32[S,3] = (b, start, end), end exclusive, ordered by b, start, end
 */
export function enumerateSpans(lengths: ArrayLike<number>, maxWidth: number): Int32Array {
  let total = 0;
  for (let b = 0; b < lengths.length; b++) total += countSpans(lengths[b], maxWidth);
  const spans = new Int32Array(3 * total);
  let at = 0;
  for (let b = 0; b < lengths.length; b++) {
    for (let start = 0; start < lengths[b]; start++) {
      const lastEnd = Math.min(start + maxWidth, lengths[b]);
      for (let end = start + 1; end <= lastEnd; end++) {
        spans[at++] = b;
        spans[at++] = start;
        spans[at++] = end;
      }
    }
  }
  return spans;
}

/**
 * The row of span [start, end) among the spans of its sentence in enumeration order. The span must be one of them
 * (0 ≤ start < end ≤ length, at most `maxWidth` wide); nothing is checked.
 */
export function spanIndex(length: number, maxWidth: number, start: number, end: number): number {
  // The first `full` starts have maxWidth spans each; from there on every start has one fewer than the one before.
  const full = Math.min(start, Math.max(0, length - maxWidth + 1));
  const rest = start - full;
  const widest = length - full;
  return full * maxWidth + rest * widest - (rest * (rest - 1)) / 2 + (end - start - 1);
}

/** The entities of a list that are the first on their span; of two types on one span the first wins. */
export function firstOfEachSpan(entities: readonly Entity[]): Entity[] {
  const firsts = new Map<string, Entity>();
  for (const entity of entities) {
    const span = `${entity.start}-${entity.end}`;
    if (!firsts.has(span)) firsts.set(span, entity);
  }
  return [...firsts.values()];
}

/** What STSN's span and relation heads are trained on, of one sentence. */
export interface KeptAnnotation extends Annotation {
  /** Entities wider than the widest span, left out. */
  wide: number;
  /** Entities left out because an earlier one of another type has their span. */
  retyped: number;
  /** Relations left out: an end is too wide, or both ends are one span. */
  lostRelations: number;
}

/**
 * The part of a sentence's gold that spans and pairs of spans can express (docs/spec.md#training): entities of at most
 * `maxSpanWidth` tokens, one on a span. A relation of an entity whose span an earlier one has taken moves to that
 * one, since a pair of spans is all that the relation head sees. Metrics score against the whole gold: what is left
 * out here counts as missed.
 */
export function keptAnnotation(sentence: Sentence, maxSpanWidth: number): KeptAnnotation {
  const entities = firstOfEachSpan(sentence.entities).filter((e) => e.end - e.start <= maxSpanWidth);
  const keptIndex = sentence.entities.map((e) =>
    entities.findIndex((kept) => kept.start === e.start && kept.end === e.end),
  );
  const relations = sentence.relations
    .map(({ type, head, tail }) => ({ type, head: keptIndex[head], tail: keptIndex[tail] }))
    .filter(({ head, tail }) => head >= 0 && tail >= 0 && head !== tail);
  const retyped = (e: Entity, i: number): boolean =>
    keptIndex[i] >= 0 && entities[keptIndex[i]].type !== e.type;
  return {
    entities,
    relations,
    wide: keptIndex.filter((index) => index < 0).length,
    retyped: sentence.entities.filter(retyped).length,
    lostRelations: sentence.relations.length - relations.length,
  };
}

/** One line for each kind of gold that STSN of this `maxSpanWidth` cannot express; none where it can all of it. */
export function spanNotes(sentences: readonly Sentence[], maxSpanWidth: number): string[] {
  let [wide, retyped, lost] = [0, 0, 0];
  for (const sentence of sentences) {
    const kept = keptAnnotation(sentence, maxSpanWidth);
    wide += kept.wide;
    retyped += kept.retyped;
    lost += kept.lostRelations;
  }
  const notes: string[] = [];
  if (wide > 0)
    notes.push(
      `entities wider than ${maxSpanWidth} tokens: ${wide}; left out of spans and relations, and counted as missed`,
    );
  if (retyped > 0)
    notes.push(`entities on a span that already has another type: ${retyped}; the first type wins`);
  if (lost > 0)
    notes.push(`relations left out because an end is too wide or both ends are one span: ${lost}`);
  return notes;
}

/** The class of a type in a head's outputs; InputError for a type that the model does not have. */
export function labelIndex(types: readonly string[], type: string): number {
  const index = types.indexOf(type);
  if (index < 0)
    throw new InputError(`type ${JSON.stringify(type)} is not among the model's types (${types.join(', ')})`);
  return index;
}

/**
 * The class of every span of one sentence, in enumeration order.
 * @param entities kept ones: distinct spans of at most `maxWidth` tokens (see `keptAnnotation`)
 * @returns i32[countSpans(length, maxWidth)]: 0 for none, 1 + the index in `entityTypes` for an entity
 * @throws InputError for a type outside `entityTypes`
 */
export function spanLabels(
  entities: readonly Entity[],
  length: number,
  maxWidth: number,
  entityTypes: readonly string[],
): Int32Array {
  const labels = new Int32Array(countSpans(length, maxWidth));
  for (const { type, start, end } of entities)
    labels[spanIndex(length, maxWidth, start, end)] = 1 + labelIndex(entityTypes, type);
  return labels;
}

/** The row of an ordered pair of n entities among those of their sentence, as `entityPairs` lists them. */
export const pairRow = (n: number, head: number, tail: number): number =>
  head * (n - 1) + tail - Number(tail > head);

/**
 * The targets of the ordered pairs of n entities, i32[n·(n−1), classes] in rows as `pairRow` counts them: 1 where a relation
 * holds.
 * @param inverse by type the class that holds of the pair turned round, if any does
 * @throws InputError for a type outside `relationTypes`
 */
export function pairTargets(
  n: number,
  relations: readonly Relation[],
  relationTypes: readonly string[],
  inverse: readonly (number | undefined)[],
  classes = relationTypes.length,
): Int32Array {
  const targets = new Int32Array(n * Math.max(0, n - 1) * classes);
  for (const { type, head, tail } of relations) {
    const r = labelIndex(relationTypes, type);
    targets[pairRow(n, head, tail) * classes + r] = 1;
    const back = inverse[r];
    if (back !== undefined) targets[pairRow(n, tail, head) * classes + back] = 1;
  }
  return targets;
}

/** Ordered pairs of distinct entities of a batch, one row a pair, by sentence, head, tail. */
export interface EntityPairs {
  /** i32[P,3] = (b, head, tail), indices into the entities of sentence b. */
  pairs: Int32Array;
  /** i32[P,3] = (b, start, end) of the head entity. */
  heads: Int32Array;
  /** i32[P,3] = (b, start, end) of the tail entity. */
  tails: Int32Array;
}

/** All ordered pairs of distinct entities within each sentence of a batch, in (b, head, tail) order. */
export function entityPairs(batch: readonly (readonly Entity[])[]): EntityPairs {
  const pairs: number[] = [];
  const heads: number[] = [];
  const tails: number[] = [];
  batch.forEach((entities, b) => {
    entities.forEach((head, h) => {
      entities.forEach((tail, t) => {
        if (h === t) return;
        pairs.push(b, h, t);
        heads.push(b, head.start, head.end);
        tails.push(b, tail.start, tail.end);
      });
    });
  });
  return { pairs: Int32Array.from(pairs), heads: Int32Array.from(heads), tails: Int32Array.from(tails) };
}
