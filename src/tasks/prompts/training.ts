/** CEREM's training: samples in windows, drawn anew every epoch, in batches of texts of like length. */
import { InputError } from '../../../kernels/errors.ts';
import type { PieceBatch } from '../../models/bert.ts';
import type { Cerem, CeremTraining } from '../../models/cerem.ts';
import { BadRows } from '../bad-rows.ts';
import { documentNotes } from '../corpus/notes.ts';
import {
  placeOf,
  type Corpus,
  type Epochs,
  type Evaluated,
  type MicroBatch,
  type TrainingInput,
  type Types,
  type UseOptions,
} from '../definition.ts';
import type { Document } from '../document.ts';
import type { TrainingRecipe } from '../training/recipe.ts';
import {
  cachedPieces,
  makePromptBatch,
  pointerTargets,
  type PieceSource,
  type PointerTargets,
} from './batch.ts';
import { bucketBatches, inputName, inputsOf, type Input } from './batches.ts';
import type { CeremEvaluation, EvaluateOptions } from './evaluate.ts';
import { MAX_SUBJECTS } from './extract.ts';
import { limitNotes } from './limits.ts';
import { askedTypes, relationNotes, sampleNotes, sampleTexts } from './samples.ts';
import { relationPrompt, schemaJson, type Schema } from './schema.ts';
import { textRoom, textWindows } from './windows.ts';

/** Documents with their source. */
export interface PromptCorpus extends Corpus {
  documents: readonly Document[];
}

export interface CeremRecipe extends TrainingRecipe {
  /** Parts that a batch goes through the model in: less memory, and but for dropout the same gradient. */
  accumulation: number;
  /** Prompts without an answer, drawn anew every epoch for each group of prompts (see `sampleTexts`). */
  negatives: number;
  /** The encoder learns nothing until the dev score has passed this; 0: it always learns. */
  freezeUntil: number;
  /** What the weights over W and the scales of a new model start from. */
  mixInit: number;
  /** Batches that are sorted by length together, so that each holds texts of like length; 1: no sorting. */
  buckets: number;
}

export interface PromptBatch {
  batch: PieceBatch;
  targets: PointerTargets;
  /** While the model trains. */
  training?: CeremTraining;
}

export interface CeremOptions
  extends UseOptions, Omit<EvaluateOptions, 'progress' | 'what' | 'onPredicted' | 'refused' | 'seen'> {
  /** What to look for, where not the model's own schema. */
  schema?: Schema;
}

export interface CeremTypes extends Types {
  model: Cerem;
  corpus: PromptCorpus;
  recipe: CeremRecipe;
  /** What documents are asked; goes into the checkpoint. */
  extra: Schema | undefined;
  batch: PromptBatch;
  evaluation: CeremEvaluation & Evaluated;
  options: CeremOptions;
}

/** The schema of a model or of its options. Errors: InputError where there is none. */
export function neededSchema({ extra, what }: { extra: Schema | undefined; what: string }): Schema {
  if (!extra) throw new InputError(`${what}: holds no schema.json, and no schema is given`);
  return extra;
}

/** What to ask: what is given, by the model's own template where that has none; else what the model was trained to be asked. */
export function askedSchema(
  loaded: { extra: Schema | undefined; what: string },
  given: Schema | undefined,
): Schema {
  if (!given) return neededSchema(loaded);
  const { relationTemplate } = (given.templateIsDefault && loaded.extra) || given;
  return { ...given, relationTemplate };
}

/** Subjects of a dev document that relations are asked about, however few the gold has. */
const LEAST_DEV_SUBJECTS = 10;

/**
 * Subjects of a dev document that relations are asked about at most: a model that has barely learnt finds hundreds, which
 * would take longer than the training. Twice what any document holds in the gold leaves the scores of a fair model alone.
 */
export function devSubjects(documents: readonly Document[], schema: Schema): number {
  const asked = new Set(schema.entities.flatMap((q) => (q.relations.length > 0 ? [q.type] : [])));
  const most = documents.reduce(
    (max, { entities }) => Math.max(max, entities.filter(({ type }) => asked.has(type)).length),
    0,
  );
  return Math.min(MAX_SUBJECTS, Math.max(LEAST_DEV_SUBJECTS, 2 * most));
}

/** Errors: InputError naming file, row and entity, where one does not lie in its text. */
export function checkSpans(corpus: PromptCorpus): void {
  corpus.documents.forEach(({ text, entities }, d) =>
    entities.forEach(({ start, end }, e) => {
      if (!(start >= 0 && start < end && end <= text.length))
        throw new InputError(
          `${placeOf(corpus, d)}: entities[${e}] [${start}, ${end}) is not a part of the text of ${text.length} characters`,
        );
    }),
  );
}

/**
 * The documents whose subjects all leave room for the text in the prompts of their relations, and a note on the others:
 * no epoch may draw a prompt that stops the run. Of each type of subject the relation with the longest name is looked at.
 * @throws InputError naming file, row and prompt of the others, where they stop what is done with the corpus
 */
function withRoom(
  corpus: PromptCorpus,
  schema: Schema,
  maxLength: number,
  tokenizer: PieceSource,
): PromptCorpus {
  const bad = new BadRows(corpus.file, corpus.onBad);
  const pieces = (text: string): number => tokenizer.encode(text).length;
  const longest = new Map(
    schema.entities.map(({ type, relations }) => [
      type,
      [...relations].sort((a, b) => pieces(b.name) - pieces(a.name)).at(0),
    ]),
  );
  const check = ({ text, entities }: Document, d: number): boolean => {
    for (const { type, start, end } of entities) {
      const relation = longest.get(type);
      if (!relation) continue;
      const prompt = relationPrompt(schema, relation, text.slice(start, end));
      textWindows([], pieces(prompt), maxLength, 0, inputName(placeOf(corpus, d), prompt));
    }
    return true;
  };
  const { documents } = corpus;
  const kept = documents.flatMap((document, d) => (bad.attempt(() => check(document, d)) ? [d] : []));
  const notes = bad.settle();
  if (notes.length === 0) return corpus;
  return {
    ...corpus,
    documents: kept.map((d) => documents[d]),
    places: kept.map((d) => placeOf(corpus, d).slice(corpus.file.length + 2)),
    notes: [...corpus.notes, ...notes],
  };
}

/** A note on entities that begin or end within a word piece, which no answer can. */
export function pieceNotes({ documents }: PromptCorpus, tokenizer: PieceSource): string[] {
  let [within, all] = [0, 0];
  for (const { text, entities } of documents) {
    const pieces = tokenizer.encode(text);
    const [starts, ends] = [new Set(pieces.map(({ start }) => start)), new Set(pieces.map(({ end }) => end))];
    all += entities.length;
    within += entities.filter(({ start, end }) => !starts.has(start) || !ends.has(end)).length;
  }
  if (within === 0) return [];
  return [
    `entities that begin or end within a word piece: ${within} of ${all}; they are learnt wider, and never found`,
  ];
}

/**
 * The batches of a training. Errors: InputError for documents that hold nothing to learn, a prompt that the model cannot
 * take, an encoder that nothing would thaw.
 */
export function epochs(input: TrainingInput<CeremTypes>): Epochs<PromptBatch> {
  const { model, tokenizer, dev, recipe } = input;
  const schema = neededSchema(input);
  const { seed, negatives, buckets } = recipe;
  if (recipe.freezeUntil > 0 && !dev)
    throw new InputError('recipe: "freezeUntil" needs dev data, whose score ends the freezing');
  const pieces = cachedPieces(tokenizer);
  const { maxLength } = model.config;
  // A prompt of the schema that leaves no room stops the run whatever the documents: see `inputsOf`.
  const room = schema.entities.every(({ prompt }) => textRoom(pieces.encode(prompt).length, maxLength) > 0);
  const train = negatives > 0 && room ? withRoom(input.train, schema, maxLength, pieces) : input.train;
  const left = train.notes.slice(input.train.notes.length);
  const sample = (epoch: number) =>
    inputsOf(
      sampleTexts(train.documents, schema, { negatives, seed, epoch }).texts,
      train.documents,
      pieces,
      model.config,
      (i) => placeOf(train, i),
    );
  const first = sample(0);
  if (first.inputs.length === 0)
    throw new InputError(`${train.file}: holds no text to learn from with this schema`);
  // An epoch's number of inputs differs a little where long prompts among the negatives add windows; its steps do not.
  const batches = Math.ceil(first.inputs.length / recipe.batch);
  return {
    batches,
    about: {
      documents: train.documents.length,
      samples: first.inputs.length,
      dev: dev?.documents.length ?? 0,
    },
    notes: [
      ...left,
      ...pieceNotes(train, pieces),
      ...[train, ...(dev ? [dev] : [])].flatMap(({ documents, file }) =>
        [
          ...documentNotes(documents),
          ...limitNotes(documents, askedTypes(schema), model.config.answers),
          ...sampleNotes(documents, schema),
          ...relationNotes(documents, schema),
        ].map((note) => `${file}: ${note}`),
      ),
      ...(first.lost > 0
        ? [`${first.lost} answers are in white space or longer than a window: they are not learnt`]
        : []),
    ],
    identity: { train: [train.documents, schemaJson(schema)], dev: dev?.documents },
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
            pieces,
            order[batch].map((i) => inputs[i]),
            recipe,
            step,
            frozen,
          ),
      };
    },
  };
}

/** A batch in as many parts as the recipe says, each of at least one input. */
function microBatches(
  { padId }: PieceSource,
  inputs: readonly Input[],
  { accumulation, dropout, seed }: CeremRecipe,
  step: number,
  frozen: boolean,
): MicroBatch<PromptBatch>[] {
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
    const batch = makePromptBatch(encoded, padId);
    return {
      share: textPieces(chosen) / total,
      counts: { positives, negatives: samples.length - positives },
      batch: {
        batch,
        targets: pointerTargets(samples, encoded, batch.columns, 'training batch'),
        training: { frozen, dropout: { p: dropout, seed, offset: step * accumulation + part } },
      },
    };
  });
}
