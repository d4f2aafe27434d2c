/** Trains a CEREM (SPEC section 3): its samples and losses for the shared loop. Node only. */
import { InputError } from '../../../kernels/errors.ts';
import type { Cerem } from '../../models/cerem.ts';
import type { Document } from '../document.ts';
import { tokenizerFiles, type Tokenizer } from '../text/tokenizer.ts';
import { train as run } from '../training/run.ts';
import { hashOf, readState } from '../training/state.ts';
import type {
  DevScore,
  EvaluationProgress,
  MicroBatch,
  RunOptions,
  StateFormat,
  TrainingReport,
} from '../training/task.ts';
import { cachedPieces, makePromptBatch, pointerTargets, type PieceSource } from './batch.ts';
import { bucketBatches, inputName, inputsOf, type Input } from './batches.ts';
import { checkpointFiles } from './checkpoint.ts';
import { evaluateCerem, type CeremEvaluation } from './evaluate.ts';
import { MAX_SUBJECTS } from './extract.ts';
import { ceremLoss } from './loss.ts';
import { parseCeremRecipe, type CeremRecipe } from './recipe.ts';
import { sampleNotes, sampleTexts } from './samples.ts';
import { relationPrompt, schemaJson, type Schema } from './schema.ts';
import { scoreNames } from './scores.ts';
import { textWindows } from './windows.ts';

export { defaultCeremRecipe, pretrainedCeremRecipe, type CeremRecipe } from './recipe.ts';

/** Documents and where they came from, for messages. */
export interface DocumentCorpus {
  documents: readonly Document[];
  file: string;
}

export interface TrainCeremOptions extends RunOptions {
  model: Cerem;
  tokenizer: Tokenizer;
  train: DocumentCorpus;
  /** Without it there is no best model: every epoch's replaces the last. */
  dev?: DocumentCorpus;
  /** What the documents are asked; goes into the checkpoint. */
  schema: Schema;
  recipe: CeremRecipe;
  /** What was noticed on the way here, for the log and the report. */
  notes?: readonly string[];
  /** Scores the model as it is on `dev`, where `evaluateCerem`'s mean of all F1 scores is not what counts. */
  evaluate?: (progress: EvaluationProgress) => Promise<DevScore<CeremEvaluation>>;
}

type Part = 'start' | 'end';
type Count = 'positives' | 'negatives';
export type CeremReport = TrainingReport<Part, CeremEvaluation>;

const format: StateFormat<CeremRecipe, Part, Count> = {
  parseRecipe: parseCeremRecipe,
  parts: ['start', 'end'],
  counted: ['positives', 'negatives'],
};

/** The recipe of the run in `out`. Errors: InputError where it holds no run, or not a whole one. */
export const savedCeremRecipe = (out: string): CeremRecipe => readState(out, format).recipe;

/** Subjects of a dev document that relations are asked about, however few the gold has. */
const LEAST_DEV_SUBJECTS = 10;

/**
 * Subjects of a dev document that relations are asked about at most: a model that has barely learnt finds hundreds, which
 * would take longer than the training. Twice what any document holds in the gold leaves the scores of a fair model alone.
 */
function devSubjects(documents: readonly Document[], schema: Schema): number {
  const asked = new Set(schema.entities.flatMap((q) => (q.relations.length > 0 ? [q.type] : [])));
  const most = documents.reduce(
    (max, { entities }) => Math.max(max, entities.filter(({ type }) => asked.has(type)).length),
    0,
  );
  return Math.min(MAX_SUBJECTS, Math.max(LEAST_DEV_SUBJECTS, 2 * most));
}

/** Scores the model on `corpus`, from the texts alone. */
async function scoreOn(
  { documents, file }: DocumentCorpus,
  { model, tokenizer, schema }: TrainCeremOptions,
  progress: EvaluationProgress,
): Promise<DevScore<CeremEvaluation>> {
  const evaluation = await evaluateCerem(model, tokenizer, documents, schema, {
    what: (i) => `${file}: row ${i + 1}`,
    maxSubjects: devSubjects(documents, schema),
    progress,
  });
  const f1 = scoreNames.flatMap((name) => {
    const of = evaluation[name];
    return of ? [[name, of.micro.f1] as const] : [];
  });
  return { score: evaluation.score, f1: Object.fromEntries(f1), evaluation };
}

/** Errors: InputError naming file, row (from 1) and entity, where one does not lie in its text. */
function checkSpans({ documents, file }: DocumentCorpus): void {
  documents.forEach(({ text, entities }, d) =>
    entities.forEach(({ start, end }, e) => {
      if (!(start >= 0 && start < end && end <= text.length))
        throw new InputError(
          `${file}: row ${d + 1}: entities[${e}] [${start}, ${end}) is not a part of the text of ${text.length} characters`,
        );
    }),
  );
}

/**
 * Errors: InputError naming file, row and prompt, where a relation's prompt leaves no room for the text: no epoch may
 * draw one that stops the run. Of each type of subject the relation with the longest name is looked at.
 */
function checkRelationPrompts(
  { train: { documents, file }, schema, model }: TrainCeremOptions,
  tokenizer: PieceSource,
): void {
  const pieces = (text: string): number => tokenizer.encode(text).length;
  const longest = new Map(
    schema.entities.map(({ type, relations }) => [
      type,
      [...relations].sort((a, b) => pieces(b.name) - pieces(a.name)).at(0),
    ]),
  );
  documents.forEach(({ text, entities }, d) => {
    for (const { type, start, end } of entities) {
      const relation = longest.get(type);
      if (!relation) continue;
      const prompt = relationPrompt(schema, relation, text.slice(start, end));
      textWindows([], pieces(prompt), model.config.maxLength, 0, inputName(file, d, prompt));
    }
  });
}

/**
 * Trains `options.model` in place. Errors: InputError, before the first step, for a recipe out of range, documents that
 * hold nothing to learn or a prompt that the model cannot take, a folder that cannot be written or resumed;
 * SpanwiseError when the loss stops being finite (the last checkpoint stays).
 */
export async function trainCerem(options: TrainCeremOptions): Promise<CeremReport> {
  const { model, tokenizer, train, dev, schema, notes = [] } = options;
  const recipe = parseCeremRecipe({ ...options.recipe }, 'recipe');
  const { seed, negatives, buckets } = recipe;
  if (recipe.freezeUntil > 0 && !dev)
    throw new InputError('recipe: "freezeUntil" needs dev data, whose score ends the freezing');
  for (const corpus of [train, ...(dev ? [dev] : [])]) checkSpans(corpus);
  const pieces = cachedPieces(tokenizer);
  const sample = (epoch: number) =>
    inputsOf(
      sampleTexts(train.documents, schema, { negatives, seed, epoch }).texts,
      train.documents,
      pieces,
      model.config,
      train.file,
    );
  const first = sample(0);
  if (negatives > 0) checkRelationPrompts(options, pieces);
  if (first.inputs.length === 0)
    throw new InputError(`${train.file}: holds no text to learn from with this schema`);
  // An epoch's number of inputs differs a little where long prompts among the negatives add windows; its steps do not.
  const batches = Math.ceil(first.inputs.length / recipe.batch);
  return run(
    {
      ...format,
      ...{ model, tokenizer, recipe, batches },
      data: {
        train: hashOf([train.documents, schemaJson(schema)]),
        dev: hashOf(dev?.documents ?? null),
        model: hashOf([model.config, tokenizerFiles(tokenizer)]),
      },
      about: {
        documents: train.documents.length,
        samples: first.inputs.length,
        dev: dev?.documents.length ?? 0,
      },
      notes: [
        ...notes,
        ...sampleNotes(train.documents, schema),
        ...(first.lost > 0
          ? [`${first.lost} answers are in white space or longer than a window: they are not learnt`]
          : []),
      ],
      epoch(epoch, best) {
        const { inputs } = epoch === 0 ? first : sample(epoch);
        const order = bucketBatches(
          inputs.map(({ encoded }) => encoded.ids.length),
          batches,
          { seed, epoch, buckets },
        );
        const frozen = best <= recipe.freezeUntil && recipe.freezeUntil > 0;
        return {
          about: recipe.freezeUntil > 0 ? { frozen } : {},
          batch: (batch, step) =>
            microBatches(
              model,
              pieces,
              order[batch].map((i) => inputs[i]),
              recipe,
              step,
              frozen,
            ),
        };
      },
      evaluate: dev && (options.evaluate ?? ((progress) => scoreOn(dev, options, progress))),
      files: () => checkpointFiles(model, tokenizer, schema),
    },
    options,
  );
}

/** A batch in as many parts as the recipe says, each of at least one input. */
function microBatches(
  model: Cerem,
  { padId }: PieceSource,
  inputs: readonly Input[],
  { accumulation, dropout, seed }: CeremRecipe,
  step: number,
  frozen: boolean,
): MicroBatch<Part, Count>[] {
  const parts = Math.min(accumulation, inputs.length);
  const textPieces = (of: readonly Input[]): number =>
    of.reduce((sum, { encoded }) => sum + encoded.pieces.length, 0);
  const total = textPieces(inputs);
  return Array.from({ length: parts }, (_, part) => {
    const from = Math.floor((part * inputs.length) / parts);
    const chosen = inputs.slice(from, Math.floor(((part + 1) * inputs.length) / parts));
    const samples = chosen.map(({ sample }) => sample);
    const encoded = chosen.map((input) => input.encoded);
    const positives = samples.filter(({ spans }) => spans.length > 0).length;
    return {
      share: textPieces(chosen) / total,
      counts: { positives, negatives: samples.length - positives },
      losses: () => {
        const batch = makePromptBatch(encoded, padId);
        const targets = pointerTargets(samples, encoded, batch.columns, 'training batch');
        const offset = step * accumulation + part;
        const { loss, losses } = ceremLoss(model, batch, targets, {
          frozen,
          dropout: { p: dropout, seed, offset },
        });
        return { loss, ...losses };
      },
    };
  });
}
