/** The scores of documents that CEREM reads (docs/spec.md#metrics): entities, triples, and events apart from both. */
import { InputError } from '../../../kernels/errors.ts';
import { bootstrapF1, type BootstrapOptions } from '../bootstrap.ts';
import type { Document } from '../document.ts';
import {
  bucketOf,
  collectFacts,
  countsByItem,
  LENGTHS,
  score,
  scoresByLength,
  TEXT_LENGTHS,
  typedScores,
  type BucketScore,
  type DescribedFact,
  type Facts,
  type Score,
  type TypedScores,
} from '../metrics.ts';
import type { PredictedDocument } from './extract.ts';
import { isArgument, type EntityQuestion, type Schema } from './schema.ts';

/** What is scored; a schema asks for some of them. */
export const scoreNames = ['entity', 'triple', 'trigger', 'argument', 'eventTriple'] as const;
export type ScoreName = (typeof scoreNames)[number];

export interface DocumentScores extends TypedScores {
  /** 95 % confidence interval of the micro F1: documents resampled (see `bootstrapF1`). */
  f1Interval: [low: number, high: number];
}

/** Micro scores of the texts of a bucket of lengths. */
export type TextLengthScores = { bucket: string; documents: number } & Partial<Record<ScoreName, Score>>;

/**
 * The scores that the schema asks for. `entity`: type and span. `triple`: relation type, subject span and object span.
 * `trigger`: event type and span. `argument`: event type, role and the argument's span. `eventTriple`: the same and the
 * trigger's span.
 */
export interface CeremScores extends Partial<Record<ScoreName, DocumentScores>> {
  documents: number;
  /** Mean of the micro F1s of all of them: what training watches. */
  score: number;
  /** Micro scores of entities by their length in characters (code points). */
  entityByLength?: BucketScore[];
  /** Micro scores by the length of the text in characters (code points). */
  byTextLength: TextLengthScores[];
}

type Annotated = Pick<Document | PredictedDocument, 'text' | 'entities' | 'relations'>;

/** Code points of a text: a character outside the BMP counts once. */
const codePoints = (text: string): number => [...text].length;

/** Which scores a schema asks for. */
function askedScores(schema: Schema): ScoreName[] {
  const events = schema.entities.filter(({ event }) => event);
  const asked = (argument: boolean): boolean =>
    schema.entities.some((question) =>
      question.relations.some((relation) => isArgument(schema, question, relation) === argument),
    );
  const has: Record<ScoreName, boolean> = {
    entity: events.length < schema.entities.length,
    triple: asked(false),
    trigger: events.length > 0,
    argument: asked(true),
    eventTriple: asked(true),
  };
  return scoreNames.filter((name) => has[name]);
}

/** The facts of one document of every kind; what the schema does not ask for is none. */
function factsOf(
  { text, entities, relations }: Annotated,
  schema: Schema,
): Record<ScoreName, DescribedFact[]> {
  const questions = new Map<string, EntityQuestion>(schema.entities.map((q) => [q.type, q]));
  const facts: Record<ScoreName, DescribedFact[]> = {
    entity: [],
    triple: [],
    trigger: [],
    argument: [],
    eventTriple: [],
  };
  for (const entity of entities) {
    const { type, start, end } = entity;
    const question = questions.get(type);
    if (!question || ('objectOnly' in entity && entity.objectOnly)) continue;
    const fact = { key: [type, start, end], type, length: codePoints(text.slice(start, end)) };
    facts[question.event ? 'trigger' : 'entity'].push(fact);
  }
  for (const { type, head, tail } of relations) {
    const [h, t] = [entities[head], entities[tail]];
    const question = questions.get(h.type);
    const relation = question?.relations.find((r) => r.type === type);
    if (!question || !relation) continue;
    const add = (to: ScoreName, key: unknown[]) => facts[to].push({ key, type, length: 0 });
    if (isArgument(schema, question, relation)) {
      add('argument', [h.type, type, t.start, t.end]);
      add('eventTriple', [h.type, h.start, h.end, type, t.start, t.end]);
    } else add('triple', [h.start, h.end, type, t.start, t.end]);
  }
  return facts;
}

/** Errors: InputError naming the file, where nothing that the schema asks for is annotated. */
export function checkAsked(
  { documents, file }: { documents: readonly Document[]; file: string },
  schema: Schema,
  use: 'trained' | 'scored',
): void {
  if (
    documents.some((document) => Object.values(factsOf(document, schema)).some((facts) => facts.length > 0))
  )
    return;
  throw new InputError(
    `${file}: nothing that the schema asks for is annotated: there is nothing to ${use === 'trained' ? 'learn' : 'score'}`,
  );
}

/**
 * Scores predicted annotations of documents. Gold that the schema does not ask for counts for nothing; gold that a model
 * cannot give (answers that cross, say) counts as missed. Entities that are there as objects of relations alone
 * (`objectOnly`) are no entities here.
 * @param predicted one for each document of `gold`, of the same text
 * @throws InputError where the two differ in number
 */
export function scoreDocuments(
  gold: readonly Annotated[],
  predicted: readonly Annotated[],
  schema: Schema,
  options: BootstrapOptions = {},
): CeremScores {
  if (gold.length !== predicted.length)
    throw new InputError(`evaluate: ${predicted.length} predictions for ${gold.length} documents`);
  const described = (documents: readonly Annotated[]) =>
    documents.map((document) => factsOf(document, schema));
  const [goldFacts, predictedFacts] = [described(gold), described(predicted)];
  const kinds = askedScores(schema).map((name): { name: ScoreName; gold: Facts; predicted: Facts } => ({
    name,
    gold: collectFacts(goldFacts, (facts) => facts[name]),
    predicted: collectFacts(predictedFacts, (facts) => facts[name]),
  }));

  const scores = kinds.map(({ name, gold: g, predicted: p }): [ScoreName, DocumentScores] => {
    const f1Interval = bootstrapF1(countsByItem(g, p, gold.length), options);
    return [name, { ...typedScores(g, p), f1Interval }];
  });
  const textBucket = gold.map(({ text }) => bucketOf(codePoints(text), TEXT_LENGTHS));
  const byTextLength = TEXT_LENGTHS.map(([, bucket]): TextLengthScores => ({
    bucket,
    documents: textBucket.filter((name) => name === bucket).length,
    ...Object.fromEntries(
      kinds.map(({ name, gold: g, predicted: p }) => [
        name,
        score(g, p, ({ item }) => textBucket[item] === bucket),
      ]),
    ),
  }));
  const entities = kinds.find(({ name }) => name === 'entity');
  return {
    documents: gold.length,
    score: scores.reduce((sum, [, { micro }]) => sum + micro.f1, 0) / scores.length,
    ...Object.fromEntries(scores),
    ...(entities ? { entityByLength: scoresByLength(entities.gold, entities.predicted, LENGTHS) } : {}),
    byTextLength,
  };
}
