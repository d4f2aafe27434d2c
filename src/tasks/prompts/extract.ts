/**
 * Extraction of documents by a schema in two stages (docs/spec.md#cerem): every entity type is asked of every text,
 * then every relation of a type is asked about each subject found. Events go the same way: triggers, then their
 * arguments.
 */
import { InputError } from '../../../kernels/errors.ts';
import type { Cerem } from '../../models/cerem.ts';
import { unlessRefused, type Refused } from '../bad-rows.ts';
import type { ScoredEntity, ScoredRelation } from '../spans/decode.ts';
import type { Document } from '../document.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { cachedPieces, type PieceSource } from './batch.ts';
import type { Answer } from './pointers.ts';
import { fitting } from './limits.ts';
import { mentionsByText, nearestMention } from './mentions.ts';
import { predictAnswers, type Effort, type PredictOptions, type Question } from './predict.ts';
import { relationPrompt, type RelationQuestion, type Schema } from './schema.ts';
import { textRoom } from './windows.ts';

export interface PredictedEntity extends ScoredEntity {
  /**
   * No entity prompt found it: it is there because a relation points to it, and is no predicted entity in scores. Its
   * type is the `object` of the relation in the schema, or where that names none, the relation's own type.
   */
  objectOnly?: true;
}

/** A document as predicted. Of a relation's score: the answer's, given its subject. */
export interface PredictedDocument extends Document {
  entities: PredictedEntity[];
  relations: ScoredRelation[];
}

export interface ExtractionReport extends Effort {
  /** Relation prompts that were not asked: of subjects beyond `maxSubjects`, or too long (see `extractDocuments`). */
  unasked: number;
  seconds: number;
  promptsPerSecond: number;
}

/** What an extraction left out, a line each. */
export const effortNotes = ({ unasked }: Pick<ExtractionReport, 'unasked'>): string[] =>
  unasked === 0
    ? []
    : [`relation prompts not asked, for too many subjects in a text or too long a subject: ${unasked}`];

/** What the questions of an extraction took, in words: prompts a second, or seconds a prompt where texts are long. */
export function effortText({
  prompts,
  forwardPasses,
  seconds,
}: Omit<ExtractionReport, 'unasked' | 'promptsPerSecond'>): string {
  const effort = `${prompts} prompts, ${forwardPasses} forward passes, ${seconds.toFixed(1)} s`;
  if (prompts === 0) return effort;
  return prompts >= seconds
    ? `${effort}: ${(prompts / seconds).toFixed(1)} prompts a second`
    : `${effort}: ${(seconds / prompts).toFixed(1)} s a prompt`;
}

export interface ExtractOptions extends Omit<PredictOptions, 'progress'> {
  /**
   * Most subjects of a document that relations are asked about, the best scores first; `MAX_SUBJECTS` when absent. A barely trained
   * model takes everything for a subject.
   */
  maxSubjects?: number;
  /** Characters of the longest answer, in place of what the model has learnt of each type; 0: no limit. */
  maxAnswer?: number;
  /** Told of documents that the model cannot take, in which nothing is found; without it they are errors. */
  refused?: Refused;
  /** Told of the inputs of each stage: `entities`, then `relations`. */
  progress?: (stage: string, done: number, total: number) => void;
}

/** One relation asked about one subject of a document: mentions of one type and one text are one subject. */
interface RelationPrompt extends Question {
  document: number;
  relation: RelationQuestion;
  /** Indices into the document's entities. */
  mentions: number[];
}

/** Subjects of a document that relations are asked about at most, unless another number is given. */
export const MAX_SUBJECTS = 100;

/** The share of an input that a relation prompt must leave to the text: a poor model takes whole texts for subjects. */
const LEAST_TEXT = 0.25;

/** What the schema asks about the entities of a document, best subjects first; of equal scores the earlier. */
function relationPrompts(
  { text, entities }: PredictedDocument,
  document: number,
  schema: Schema,
): RelationPrompt[][] {
  const subjects = schema.entities.flatMap(({ type, relations }) => {
    if (relations.length === 0) return [];
    return [...mentionsByText(text, entities, type)].map(([name, mentions]) => {
      const best = mentions.reduce((most, i) => Math.max(most, entities[i].score), 0);
      return { name, mentions, best, relations };
    });
  });
  return subjects
    .sort((a, b) => b.best - a.best || a.mentions[0] - b.mentions[0])
    .map(({ name, mentions, relations }) =>
      relations.map((relation) => ({
        document,
        text,
        prompt: relationPrompt(schema, relation, name),
        relation,
        mentions,
      })),
    );
}

/** The entities of a document on each span, by index: a document may have thousands. */
type BySpan = Map<string, number[]>;

const spanKey = ({ start, end }: Pick<Answer, 'start' | 'end'>): string => `${start} ${end}`;

function bySpan(entities: readonly PredictedEntity[]): BySpan {
  const found: BySpan = new Map();
  entities.forEach((entity, i) => found.set(spanKey(entity), [...(found.get(spanKey(entity)) ?? []), i]));
  return found;
}

/** The index of the entity that an answer is, which is added where no prompt has found it. */
function objectOf(
  entities: PredictedEntity[],
  spans: BySpan,
  answer: Answer,
  relation: RelationQuestion,
): number {
  const type = relation.object ?? relation.type;
  const here = spans.get(spanKey(answer)) ?? [];
  const found = here.find((i) => entities[i].type === type) ?? here.find((i) => !entities[i].objectOnly);
  if (found !== undefined) return found;
  const { start, end, score } = answer;
  const added = entities.push({ type, start, end, score, objectOnly: true }) - 1;
  spans.set(spanKey(answer), [...here, added]);
  return added;
}

/** Adds the answers about a subject to its document: each belongs to the nearest of the subject's mentions. */
function addRelations(
  { entities, relations }: PredictedDocument,
  spans: BySpan,
  { relation, mentions }: RelationPrompt,
  answers: readonly Answer[],
): void {
  for (const answer of answers) {
    const tail = objectOf(entities, spans, answer, relation);
    const head = nearestMention(entities, mentions, answer);
    if (head !== tail) relations.push({ type: relation.type, head, tail, score: answer.score });
  }
}

/** Whether a text can be read at all, however it is cut; see `ExtractOptions.refused`. */
function takes(
  { config }: Cerem,
  pieces: PieceSource,
  text: string,
  document: number,
  what: (i: number) => string,
  refused: Refused | undefined,
): boolean {
  if (!refused) return true;
  const { vocabSize } = config.encoder;
  return (
    unlessRefused(refused, document, () => {
      const outside = pieces.encode(text).find(({ id }) => id >= vocabSize);
      if (outside)
        throw new InputError(
          `${what(document)}: piece id ${outside.id} of the tokenizer is outside the encoder's vocabulary of ${vocabSize}`,
        );
      return true;
    }) ?? false
  );
}

/**
 * Extracts what a schema asks for from every document. Windows, batches and errors: see `predictAnswers`.
 *
 * One prompt names a subject's text, so it is asked once for all mentions of a type with that text, and an answer is
 * tied to the nearest of them (of two as near, the first). An object is the entity found on its span (of the type that
 * the schema names, if any is; a relation never leads from an entity to itself), else it is added as `objectOnly`. Not
 * asked, but counted, are prompts about subjects beyond `maxSubjects`, and those that leave the text less than a quarter
 * of the input.
 * @param documents their annotations, if any, are ignored; their tokens go with the result, for `documentsJson`
 * @param what names document i in errors
 * @returns the documents in the order given: found entities by start and end, then the objects added for relations
 */
export async function extractDocuments(
  model: Cerem,
  tokenizer: Tokenizer,
  documents: readonly Pick<Document, 'text' | 'id' | 'tokens'>[],
  schema: Schema,
  what: (i: number) => string,
  options: ExtractOptions = {},
): Promise<{ documents: PredictedDocument[]; report: ExtractionReport }> {
  const { maxSubjects = MAX_SUBJECTS } = options;
  if (!Number.isInteger(maxSubjects) || maxSubjects < 0)
    throw new InputError(`extract: maxSubjects must be a whole number of at least 0, it is ${maxSubjects}`);
  const { answers } = model.config;
  const ofEntities = fitting(answers?.entities, options.maxAnswer);
  const ofRelations = fitting(answers?.relations, options.maxAnswer);
  const began = performance.now();
  const pieces: PieceSource = cachedPieces(tokenizer);
  const ask = (stage: 'entities' | 'relations', questions: (Question & { document: number })[]) =>
    predictAnswers(
      model,
      pieces,
      questions,
      (i) => `${what(questions[i].document)}: prompt ${JSON.stringify(questions[i].prompt.slice(0, 40))}`,
      {
        ...options,
        progress: (done, total) => options.progress?.(stage, done, total),
      },
    );

  const extracted = documents.map(({ text, id, tokens }): PredictedDocument => ({
    text,
    ...(id === undefined ? {} : { id }),
    ...(tokens && { tokens }),
    entities: [],
    relations: [],
  }));
  const asked = extracted.flatMap(({ text }, document) =>
    takes(model, pieces, text, document, what, options.refused)
      ? schema.entities.map(({ type, prompt }) => ({ document, type, prompt, text }))
      : [],
  );
  const first = await ask('entities', asked);
  asked.forEach(({ document, type }, i) => {
    const { text, entities } = extracted[document];
    for (const { start, end, score } of first.answers[i])
      if (ofEntities(type, text, { start, end })) entities.push({ type, start, end, score });
  });
  for (const { entities } of extracted) entities.sort((a, b) => a.start - b.start || a.end - b.end);

  const { maxLength } = model.config;
  const wanted = extracted.map((document, d) => relationPrompts(document, d, schema));
  const relations = wanted.flatMap((subjects) =>
    subjects
      .slice(0, maxSubjects)
      .flat()
      .filter(({ prompt }) => textRoom(pieces.encode(prompt).length, maxLength) >= LEAST_TEXT * maxLength),
  );
  const second = await ask('relations', relations);
  const spans = extracted.map(({ entities }) => bySpan(entities));
  relations.forEach((prompt, i) =>
    addRelations(
      extracted[prompt.document],
      spans[prompt.document],
      prompt,
      second.answers[i].filter((answer) => ofRelations(prompt.relation.type, prompt.text, answer)),
    ),
  );

  const prompts = first.prompts + second.prompts;
  const seconds = (performance.now() - began) / 1000;
  return {
    documents: extracted,
    report: {
      prompts,
      unasked: wanted.flat(2).length - relations.length,
      forwardPasses: first.forwardPasses + second.forwardPasses,
      seconds,
      promptsPerSecond: prompts / seconds,
    },
  };
}
