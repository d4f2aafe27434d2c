/** How far an answer may reach, as the training data tell: pointers know nothing of the length of what they span. */
import type { AnswerLimit, CeremConfig } from '../../models/cerem.ts';
import type { Document } from '../document.ts';

/** Answers of a type, below which its longest says little of it: then the longest of all types counts. */
const FEW = 10;

/**
 * Ends of sentences that nothing else looks like: marks of a full stop but the Latin one, line breaks, and the Latin one
 * after four small letters and before white space, where no abbreviation is likely.
 */
const SENTENCE_END = /[。．！？!?\n\r\u2028\u2029]|(?<=\p{Ll}{4})\.(?=\s)/gu;

/** What may stand behind the end of a sentence and belongs to it. */
const CLOSING = /^[\s”’"')）」』》]*$/u;

/** Whether something of [start, end) stands behind the end of a sentence that it holds. */
export function crossesSentence(text: string, start: number, end: number): boolean {
  SENTENCE_END.lastIndex = start;
  const at = SENTENCE_END.exec(text)?.index ?? end;
  return at < end && !CLOSING.test(text.slice(at + 1, end));
}

interface Seen {
  count: number;
  longest: number;
  across: boolean;
}

function limitsOf(seen: ReadonlyMap<string, Seen>): Record<string, AnswerLimit> {
  const all = [...seen.values()];
  const longest = all.reduce((most, one) => Math.max(most, one.longest), 0);
  const across = all.some((one) => one.across);
  return Object.fromEntries(
    [...seen].map(([type, one]) => {
      const few = one.count < FEW;
      return [type, { longest: few ? longest : one.longest, acrossSentences: few ? across : one.across }];
    }),
  );
}

/** The longest answer of every entity type and relation type, in UTF-16 code units, and whether one crosses a sentence. */
export function answerLimits(documents: readonly Document[]): NonNullable<CeremConfig['answers']> {
  const [entities, relations] = [new Map<string, Seen>(), new Map<string, Seen>()];
  const add = (to: Map<string, Seen>, type: string, text: string, start: number, end: number): void => {
    const seen = to.get(type) ?? { count: 0, longest: 0, across: false };
    to.set(type, {
      count: seen.count + 1,
      longest: Math.max(seen.longest, end - start),
      across: seen.across || crossesSentence(text, start, end),
    });
  };
  for (const { text, entities: all, relations: related } of documents) {
    for (const { type, start, end } of all) add(entities, type, text, start, end);
    for (const { type, tail } of related) add(relations, type, text, all[tail].start, all[tail].end);
  }
  return { entities: limitsOf(entities), relations: limitsOf(relations) };
}

/** Whether an answer of a type is no longer than its kind is. */
export type Fits = (type: string, text: string, answer: { start: number; end: number }) => boolean;

/**
 * What fits of the answers about entities, or about relations; of a type that training had not, everything.
 * @param maxAnswer overrides the longest of every type; 0: no limit at all
 */
export function fitting(limits: Readonly<Record<string, AnswerLimit>> = {}, maxAnswer?: number): Fits {
  if (maxAnswer === 0) return () => true;
  return (type, text, { start, end }) => {
    const limit = Object.hasOwn(limits, type) ? limits[type] : undefined;
    if (end - start > (maxAnswer ?? limit?.longest ?? Infinity)) return false;
    return limit?.acrossSentences !== false || !crossesSentence(text, start, end);
  };
}

/**
 * A note on gold that no answer reaches, see `fitting`.
 * @param asked the entity types that are asked for, with their relation types
 */
export function limitNotes(
  documents: readonly Document[],
  asked: ReadonlyMap<string, ReadonlySet<string>>,
  limits: CeremConfig['answers'],
  maxAnswer?: number,
): string[] {
  const [ofEntities, ofRelations] = [limits?.entities, limits?.relations].map((of) => fitting(of, maxAnswer));
  let count = 0;
  for (const { text, entities, relations } of documents) {
    for (const entity of entities)
      if (asked.has(entity.type) && !ofEntities(entity.type, text, entity)) count++;
    for (const { type, head, tail } of relations)
      if (asked.get(entities[head].type)?.has(type) && !ofRelations(type, text, entities[tail])) count++;
  }
  if (count === 0) return [];
  return [
    `entities and objects of relations that are longer than an answer may be (--max-answer), or cross sentences: ${count}; counted as missed`,
  ];
}
