/** The mentions of subjects: a relation prompt names a subject's text alone, so its answers say not which mention. */
import type { Entity } from '../dataset.ts';

type Span = Pick<Entity, 'start' | 'end'>;

/** The subjects of one type in a document: the indices of the mentions of each text, in the order of `entities`. */
export function mentionsByText(
  text: string,
  entities: readonly Entity[],
  type: string,
): Map<string, number[]> {
  const mentions = new Map<string, number[]>();
  entities.forEach((entity, i) => {
    if (entity.type !== type) return;
    const name = text.slice(entity.start, entity.end);
    const found = mentions.get(name);
    if (found) found.push(i);
    else mentions.set(name, [i]);
  });
  return mentions;
}

/** Characters between two spans; 0 where they touch or overlap. */
const gap = (a: Span, b: Span): number => Math.max(0, a.start - b.end, b.start - a.end);

/** The mention (one at least, indices into `entities`) nearest to an answer; of two as near, the first in the text. */
export const nearestMention = (
  entities: readonly Span[],
  mentions: readonly number[],
  answer: Span,
): number =>
  mentions.reduce((best, mention) => {
    const nearer = gap(entities[mention], answer) - gap(entities[best], answer);
    return nearer < 0 || (nearer === 0 && entities[mention].start < entities[best].start) ? mention : best;
  });
