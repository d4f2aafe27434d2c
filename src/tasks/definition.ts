/**
 * What a model brings to everything above it. Checkpoints, traces, the training loop and the commands are written over
 * `Definition` and know no model's name; `registry.ts` lists the definitions.
 *
 * A definition takes plain data, never a command's arguments, and reaches no file: texts and sources come from outside.
 */
import type { Runtime } from '../gpu/runtime.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/safetensors.ts';
import type { BertConfig, PieceBatch } from '../models/bert.ts';
import type { Json } from '../models/config.ts';
import type { WordRule } from '../models/word-rule.ts';
import type { Parameters, StoredPrecision } from '../nn/parameters.ts';
import type { OnBad } from './bad-rows.ts';
import type { ReadOptions } from './corpus/reading.ts';
import type { Files } from './corpus/row.ts';
import type { Judgement } from './errors/judged.ts';
import type { Asked, Extraction } from './extraction.ts';
import type { Option } from './options.ts';
import type { Tokenizer } from './text/tokenizer.ts';
import type { RecipeTable, TrainingRecipe } from './training/recipe.ts';

/** A model of any kind, with the parameters that it owns. */
export interface Model {
  readonly parameters: Parameters;
  readonly config: {
    readonly encoder: BertConfig;
    /** How a model of words parts plain text; absent: `basicWords`. */
    readonly words?: WordRule;
  };
}

/** An annotated corpus as a family of models reads it. */
export interface Corpus {
  /** Where it came from, for messages. */
  file: string;
  /** What its reader noticed. */
  notes: readonly string[];
  /** Where each text stands in it: `row 3`. Row i + 1 when absent. */
  places?: readonly string[];
  /** What becomes of texts that a model cannot take; they stop what is done when absent. */
  onBad?: OnBad;
}

/** Names a text of a corpus in messages. */
export const placeOf = ({ file, places }: Pick<Corpus, 'file' | 'places'>, i: number): string =>
  `${file}: ${places?.[i] ?? `row ${i + 1}`}`;

/** An evaluation: a plain document, with scores (`TypedScores`) under the keys of `Definition.scores`. */
export interface Evaluated {
  /** What of the gold is not scored or cannot be found, a line each. */
  notes: string[];
}

/** How any model is asked. */
export interface UseOptions {
  /** Inputs at once; 16 when absent. */
  batchSize?: number;
  /** Told how far it is: `what` names the things counted. */
  progress?: (what: string, done: number, total: number) => void;
  /** Score from which on something counts (see `Definition.threshold`), in place of the configuration's. */
  threshold?: number;
  /** `skip`: `extract` gives nothing but an `error` for a text that the model cannot take. `stop` when absent: it throws. */
  onBad?: OnBad;
  /** Receives what an evaluation compares: the texts with their gold and what was predicted. */
  onJudged?: (judgement: Judgement) => void;
}

/** The types that a definition is about. */
export interface Types {
  model: Model;
  corpus: Corpus;
  recipe: TrainingRecipe;
  /** What a checkpoint holds beside weights, configuration and tokenizer: CEREM's schema; undefined for most. */
  extra: unknown;
  batch: unknown;
  evaluation: Evaluated;
  options: UseOptions;
}

/** A model with what it is used with. */
export interface Loaded<T extends Types = Types> {
  model: T['model'];
  tokenizer: Tokenizer;
  extra: T['extra'];
  /** Names it in errors: its folder. */
  what: string;
}

/** A further JSON file of a checkpoint. */
export interface ExtraFile<T extends Types> {
  /** Its name in the folder, and of the option that names another one. */
  file: string;
  option: string;
  doc: string;
  /** Errors: InputError naming `what` and the key. */
  parse(json: Json, what: string): NonNullable<T['extra']>;
  json(extra: NonNullable<T['extra']>): Json;
  /** What a new model has where nothing else is said. */
  start(train: T['corpus']): NonNullable<T['extra']>;
}

/** Logits of a batch. `onHost` makes of their values what a trace holds: without the rows of padding, say. */
export interface Logits {
  tensor: Tensor;
  onHost?(values: Float32Array): HostTensor;
}

/** The losses of a batch. */
export interface Losses {
  /** The sum of the parts. */
  loss: Tensor;
  /** By the names of `Definition.parts`; an undefined part counts as 0 and reaches no parameter, an absent one is not the model's. */
  parts: Readonly<Record<string, Tensor | undefined>>;
  /** By their names in a trace. */
  logits: Readonly<Record<string, Logits>>;
}

/** A part of a step's batch that goes through the model at once. */
export interface MicroBatch<B = unknown> {
  /** What its mean weighs in the step's: the shares of a step add up to 1. */
  share: number;
  counts: Readonly<Record<string, number>>;
  batch: B;
}

export interface Epoch<B = unknown> {
  /** What the epoch's line of the log says besides losses, counts and scores. */
  about?: Readonly<Record<string, unknown>>;
  /**
   * One batch: at least one part.
   * @param batch from 0, in the epoch
   * @param step from 0, over the whole run
   */
  batch(batch: number, step: number): MicroBatch<B>[];
}

/** A training's batches. */
export interface Epochs<B = unknown> {
  /** Batches of every epoch. */
  batches: number;
  /** What the log's first line says of the data. */
  about: Readonly<Record<string, unknown>>;
  notes: readonly string[];
  /** What of the data a resumed run must share with the one it continues. */
  identity: { train: unknown; dev: unknown };
  /**
   * The batches of an epoch, which depend on nothing but these.
   * @param epoch from 0
   * @param best the best score so far, −1 before the first
   */
  epoch(epoch: number, best: number): Epoch<B>;
}

/** A training's inputs: a model with what it is used with, data, recipe. */
export interface TrainingInput<T extends Types = Types> extends Loaded<T> {
  train: T['corpus'];
  /** Without it there is no best model: every epoch's replaces the last. */
  dev?: T['corpus'];
  recipe: T['recipe'];
}

/** What a model was asked and found. */
export interface Extracted {
  /** One for each text. */
  results: Extraction[];
  /** What it took and what was left out, in counts that add up over calls. */
  effort?: Readonly<Record<string, number>>;
}

export interface LoadOptions {
  /**
   * How the weights of linear layers and embeddings are stored; `f32` when absent. `mixed`: as f32 beside which lie copies in f16
   * that are computed with, which is how `train` holds them in f16.
   */
  precision?: StoredPrecision;
}

/** A checkpoint whose configuration is read and whose weights are not. */
export interface Opened<T extends Types = Types> {
  definition: Definition<T>;
  config: T['model']['config'];
  extra: T['extra'];
  /** Names it in errors: its folder. */
  what: string;
  /** Loads the weights. Errors: InputError naming the file and what is wrong with it, or a value that f16 does not hold. */
  load(this: void, runtime: Runtime, options?: LoadOptions): Promise<Loaded<T> & { notes: string[] }>;
}

/** The best threshold for a corpus. */
export interface Tuned {
  threshold: number;
  /** F1 at it, and at the one that there was. */
  f1: number;
  before: number;
}

export interface ThresholdTuning<T extends Types = Types> {
  /** Its key in the configuration. */
  key: string;
  /** What it decides about, in words: `relations`. */
  of: string;
  /** The model whose configuration has it: the one that is asked, or one among its options. */
  model(this: void, loaded: Loaded<T>, options: T['options']): Pick<Loaded<T>, 'model' | 'what'>;
  /** Errors: InputError where the model finds nothing that it decides about, or `evaluate` refuses the corpus. */
  tune(this: void, loaded: Loaded<T>, corpus: T['corpus'], options: T['options']): Promise<Tuned>;
}

/** A model's attention to a text, to look at. */
export interface Attention {
  /** The document of `--json`. */
  json: Readonly<Record<string, unknown>>;
  /** The text of an SVG file. */
  svg: string;
  /** A table, its heads first. */
  table: string[][];
}

/** What `spanwise demo` trains: within minutes on two CPU cores. */
export interface Demo<T extends Types = Types> {
  /** One line for the list of commands. */
  summary: string;
  /** A folder of corpora/. */
  corpus: string;
  recipe: Partial<T['recipe']>;
  /** The models, set side by side where there are several. `folder` is where each goes, in the demo's own. */
  variants: readonly { name: string; folder: string; config: Json }[];
  /** The variant whose attention is drawn; the first when absent. Texts are extracted from by the first. */
  drawn?: number;
  /** The variants are the stages of one system, which extract together, by these options of the first. */
  stages?(models: readonly Loaded<T>[]): T['options'];
}

export interface Definition<T extends Types = Types> {
  /** `model` of its configurations, and what `--model` says. */
  readonly name: string;
  /** What it is called in sentences. */
  readonly title: string;

  /** Errors: InputError naming `what` and the key, unknown keys included. */
  parseConfig(json: Json, what: string): T['model']['config'];
  /**
   * @param options `pooler`: the weights hold the encoder's pooler; `recipe`: the model is new, and the recipe says what
   *   it starts from
   */
  build(
    parameters: Parameters,
    config: T['model']['config'],
    options: { pooler: boolean; recipe?: T['recipe'] },
  ): T['model'];
  readonly extra?: ExtraFile<T>;

  /** The configuration of a small model, and of one on a pretrained encoder, where nothing else is said. */
  readonly small: Json;
  readonly pretrained: Json;
  /** Keys of the configuration that are options of `train` too. */
  readonly configOptions: Readonly<Record<string, Option>>;
  /** A vocabulary for a model from random weights. `given` and `what` are those of `complete`. */
  vocabulary(train: T['corpus'], extra: T['extra'], given: Json, what: string): Tokenizer;
  /**
   * A complete configuration: what `given` leaves out comes from the data and the tokenizer.
   * @param given as in a checkpoint, possibly partial, but for `encoder`'s sizes
   */
  complete(given: Json, what: string, train: T['corpus'], tokenizer: Tokenizer): T['model']['config'];

  /** Reads a corpus of any format, from a file's text or from files by name. Errors: InputError, one line that names file, row and field. */
  read(content: string | Files, file: string, options?: ReadOptions): T['corpus'];
  /** The plain texts of a corpus. */
  texts(corpus: T['corpus']): string[];
  /**
   * @param use `scored`: what of the gold the model has no label for counts as missed
   * @throws InputError naming file and row, where a corpus does not fit the model
   */
  check(corpus: T['corpus'], config: T['model']['config'], use?: 'trained' | 'scored'): void;
  /** Errors: InputError naming the file, where nothing is annotated that the model could learn, or be scored by. */
  checkGold(
    corpus: T['corpus'],
    model: { config: T['model']['config']; extra: T['extra'] },
    use: 'trained' | 'scored',
  ): void;

  readonly recipe: RecipeTable<T['recipe']>;
  /** What of the recipe is other on a pretrained encoder; `dev`: there is a dev corpus. */
  pretrainedRecipe(dev: boolean): Partial<T['recipe']>;
  /** Errors: InputError for a recipe that does not go with how a new model starts. Returns notes. */
  checkStart?(recipe: T['recipe'], start: { pretrained: boolean; dev: boolean }): string[];
  /** The names of the losses' parts, and of what is counted of the samples, in the log's order. */
  readonly parts: readonly string[];
  readonly counted: readonly string[];
  /** Errors: InputError, before the first step, for data or a recipe that the model cannot be trained with. */
  epochs(input: TrainingInput<T>): Epochs<T['batch']>;
  /** Runs the model, under the tape where one records. */
  losses(model: T['model'], batch: T['batch']): Losses | Promise<Losses>;
  /**
   * Logits of a batch of pieces, for export; absent for a model whose pass depends on what it finds on the way. A model of
   * words takes every piece between the first and the last of a row for one.
   */
  forward?(this: void, model: T['model'], batch: PieceBatch): Readonly<Record<string, Tensor>>;
  /** One batch of all rows of a file's text, without sampling and dropout (`spanwise trace`). */
  traceBatch(loaded: Loaded<T>, text: string, file: string): T['batch'];

  /** Keys of an evaluation's scores, and what they are called. */
  readonly scores: Readonly<Record<string, string>>;
  /** Those that training shows, where not all. */
  readonly shown?: readonly string[];
  /** The options that `evaluate` and `extract` take beside those of every model; `commands`: which have a flag, all when absent. */
  readonly options: Readonly<Record<string, Option & { commands?: readonly string[] }>>;
  /**
   * Before the model is used, on the command line before anything is read or loaded: InputError for what it cannot do, or not
   * with the other models of its kind among the options.
   * @returns notes on what it can do and hardly should
   */
  checkOptions?(
    opened: Pick<Opened<T>, 'config' | 'what'>,
    models: Readonly<Record<string, Pick<Opened, 'config' | 'what'>>>,
    command: 'eval' | 'extract',
  ): readonly string[];
  /** Scores the model on a corpus, from its texts alone. */
  evaluate(loaded: Loaded<T>, corpus: T['corpus'], options?: T['options']): Promise<T['evaluation']>;
  /** What "best" means: higher is better. */
  best(evaluation: T['evaluation'], config: T['model']['config']): number;
  /** Options for the evaluations of a training, where a barely trained model needs some. */
  devOptions?(dev: T['corpus'], extra: T['extra']): T['options'];
  /** The score from which on something that a model finds counts, which a corpus can choose. */
  readonly threshold: ThresholdTuning<T>;
  /** What extraction took and what it left out, a line each: of the sums of `Extracted.effort`. */
  effortLines?(effort: Readonly<Record<string, number>>): string[];
  /** Lines below the table of scores. */
  remarks(evaluation: T['evaluation']): string[];
  /** Errors: InputError for a text that the model cannot take. */
  attention?(loaded: Loaded<T>, input: { text: string; prompt: string }): Promise<Attention>;
  /** What its extractions hold beside entities and relations, for help. */
  readonly extracted?: string;
  /** What a text is asked where nothing else is said. */
  prompt?(extra: T['extra']): string;
  readonly demo?: Demo<T>;
  /**
   * Entities and relations of every text, with offsets in UTF-16 code units, or in words where it comes in words.
   * @param what names text i in errors
   */
  extract(
    loaded: Loaded<T>,
    asked: readonly Asked[],
    what: (i: number) => string,
    options?: T['options'],
  ): Promise<Extracted>;
}
