/** Documents and a schema as CEREM's training samples: prompts with their answers, and sampled prompts without. */
import { InputError } from '../../../kernels/errors.ts';
import { stream } from '../../nn/random.ts';
import type { Document } from '../document.ts';
import type { CharSpan, PromptedText } from './batch.ts';
import { decodePointers } from './pointers.ts';
import { mentionsByText, nearestMention } from './mentions.ts';
import { relationPrompt, type EntityQuestion, type Schema } from './schema.ts';

export interface SampleOptions {
  /**
   * Prompts without an answer drawn for each group of prompts (those of a document for entities; those of one subject
   * for relations); 0.5 is one for every other group, Infinity takes all.
   */
  negatives: number;
  seed: number;
  epoch: number;
}

/** First ids of the three-id random streams drawn here (see `stream`). */
const NEGATIVE_STREAM = 0;
const FRACTION_STREAM = 1;

/** The prompts of one document. */
interface AskedPrompts {
  /** The answers of every prompt that has some, in order of position. */
  answers: Map<string, CharSpan[]>;
  /** The prompts without an answer, by group; a prompt that two groups share is in the first of them. */
  absent: string[][];
}

/** Adds `span` to the answers of `prompt`, once. */
function addAnswer(answers: Map<string, CharSpan[]>, prompt: string, [start, end]: CharSpan): void {
  const spans = answers.get(prompt) ?? [];
  if (!spans.some(([from, to]) => from === start && to === end)) spans.push([start, end]);
  answers.set(prompt, spans);
}

/** One prompt names a subject's text, so subjects of one text and type share their prompts, and the objects add up. */
function askDocument({ text, entities, relations }: Document, schema: Schema): AskedPrompts {
  const answers = new Map<string, CharSpan[]>();
  const groups = [schema.entities.map(({ prompt }) => prompt)];
  const questions = new Map<string, EntityQuestion>(schema.entities.map((q) => [q.type, q]));
  const textOf = (index: number): string => text.slice(entities[index].start, entities[index].end);

  const subjects = new Set<string>();
  entities.forEach(({ type, start, end }, i) => {
    const question = questions.get(type);
    if (!question) return;
    addAnswer(answers, question.prompt, [start, end]);
    const prompts = question.relations.map((relation) => relationPrompt(schema, relation, textOf(i)));
    const subject = JSON.stringify([type, textOf(i)]);
    if (prompts.length > 0 && !subjects.has(subject)) groups.push(prompts);
    subjects.add(subject);
  });
  for (const { type, head, tail } of relations) {
    const relation = questions.get(entities[head].type)?.relations.find((r) => r.type === type);
    if (!relation) continue;
    const { start, end } = entities[tail];
    addAnswer(answers, relationPrompt(schema, relation, textOf(head)), [start, end]);
  }
  for (const spans of answers.values()) spans.sort((a, b) => a[0] - b[0] || a[1] - b[1]);

  const grouped = new Set(answers.keys());
  const absent = groups.map((prompts) =>
    prompts.filter((prompt) => {
      if (grouped.has(prompt)) return false;
      grouped.add(prompt);
      return true;
    }),
  );
  return { answers, absent };
}

/**
 * The training samples of one epoch, document by document: every prompt that has answers, with all of them, and
 * `negatives` of the others of each group. The draws depend on nothing but seed, epoch and the document; how many are
 * drawn does not depend on the epoch, so all epochs are of one size. What the schema does not ask for is left out.
 * @returns texts whole, however long, and how many have answers and how many have none
 * @throws InputError for `negatives` that is not a number of at least 0
 */
export function sampleTexts(
  documents: readonly Document[],
  schema: Schema,
  { negatives, seed, epoch }: SampleOptions,
): { texts: PromptedText[]; counts: { positives: number; negatives: number } } {
  if (!(negatives >= 0)) throw new InputError(`negatives is ${negatives}, not a number of at least 0`);
  const whole = Math.floor(negatives);
  const texts: PromptedText[] = [];
  let positives = 0;
  documents.forEach((document, d) => {
    const { answers, absent } = askDocument(document, schema);
    const { text } = document;
    texts.push(...[...answers].map(([prompt, spans]) => ({ prompt, text, spans })));
    positives += answers.size;

    const draws = stream(seed, NEGATIVE_STREAM, epoch, d);
    const fraction = stream(seed, FRACTION_STREAM, 0, d);
    for (const prompts of absent) {
      const count = Math.min(prompts.length, whole + (fraction.uniform() < negatives - whole ? 1 : 0));
      const drawn = draws.sampleWithoutReplacement(prompts.length, count);
      texts.push(...drawn.map((index) => ({ prompt: prompts[index], text, spans: [] })));
    }
  });
  return { texts, counts: { positives, negatives: texts.length - positives } };
}

/** How many answers of one prompt perfect pointers do not give: answers that share a start or an end, or that cross. */
function lostAnswers(spans: readonly CharSpan[]): number {
  const length = spans.reduce((most, [, end]) => Math.max(most, end), 0);
  const [starts, ends] = [new Uint8Array(length), new Uint8Array(length)];
  for (const [start, end] of spans) starts[start] = ends[end - 1] = 1;
  const returned = new Set(decodePointers(starts, ends, 1).map(({ first, last }) => `${first},${last + 1}`));
  return spans.filter((span) => !returned.has(span.join())).length;
}

/**
 * The relations that the schema asks for, and how many of them extraction gives to another mention of their subject: all
 * mentions of a type and a text have one prompt, and an answer goes to the nearest.
 */
function misplacedRelations(
  { text, entities, relations }: Document,
  asked: (type: string, relation: string) => boolean,
): { asked: number; misplaced: number } {
  const mentions = new Map<string, Map<string, number[]>>();
  const wanted = relations.filter(({ type, head }) => asked(entities[head].type, type));
  const misplaced = wanted.filter(({ head, tail }) => {
    const { type, start, end } = entities[head];
    const ofType = mentions.get(type) ?? mentionsByText(text, entities, type);
    mentions.set(type, ofType);
    const nearest = nearestMention(entities, ofType.get(text.slice(start, end)) ?? [head], entities[tail]);
    return entities[nearest].start !== start;
  });
  return { asked: wanted.length, misplaced: misplaced.length };
}

/**
 * What of the documents the samples of `schema` do not hold or CEREM cannot return, a line each: answers lost in the
 * pairing of ends with starts, relations that go to another mention of their subject, and entities and relations that
 * the schema does not ask for.
 */
export function sampleNotes(documents: readonly Document[], schema: Schema): string[] {
  const prompts = documents.flatMap((document) => [...askDocument(document, schema).answers.values()]);
  const total = prompts.reduce((sum, spans) => sum + spans.length, 0);
  const lost = prompts.reduce((sum, spans) => sum + lostAnswers(spans), 0);

  const relationTypes = askedTypes(schema);
  const count = (of: (document: Document) => number): number =>
    documents.reduce((sum, document) => sum + of(document), 0);
  const entities = count((d) => d.entities.filter(({ type }) => !relationTypes.has(type)).length);
  const found = documents.map((document) =>
    misplacedRelations(document, (type, relation) => relationTypes.get(type)?.has(relation) ?? false),
  );
  const asked = found.reduce((sum, of) => sum + of.asked, 0);
  const misplaced = found.reduce((sum, of) => sum + of.misplaced, 0);
  const relations = count((d) => d.relations.length) - asked;
  const line = (what: string, number: number, more = ''): string[] =>
    number > 0 ? [`${what}: ${number}${more}`] : [];
  return [
    ...line(
      'answers that share a start or an end with another answer of their prompt, or cross one',
      lost,
      ` of ${total}; ends paired with starts cannot give them`,
    ),
    ...line(
      'relations of a subject that stands nearer to their object in another place',
      misplaced,
      ` of ${asked}; an answer goes to the nearest mention`,
    ),
    ...line('entities of types that the schema does not ask for', entities),
    ...line('relations that the schema does not ask of their subject type', relations),
  ];
}

/** The relation types that are asked of each entity type. */
export const askedTypes = ({ entities }: Schema): Map<string, Set<string>> =>
  new Map(entities.map(({ type, relations }) => [type, new Set(relations.map((r) => r.type))]));

/** A note where the schema asks for relations and none of them is annotated. */
export function relationNotes(documents: readonly Document[], schema: Schema): string[] {
  const asked = askedTypes(schema);
  const isAsked = ({ entities, relations }: Document): boolean =>
    relations.some(({ type, head }) => asked.get(entities[head].type)?.has(type));
  if ([...asked.values()].every(({ size }) => size === 0) || documents.some(isAsked)) return [];
  return ['none of the relations that the schema asks for is annotated'];
}
