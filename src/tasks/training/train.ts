/** A training from data to model, from anywhere: what is new is planned, what was begun is continued. */
import { InputError } from '../../../kernels/errors.ts';
import { DeviceLostError } from '../../gpu/errors.ts';
import type { Runtime } from '../../gpu/runtime.ts';
import type { Select } from '../../io/safetensors.ts';
import type { Source } from '../../io/source.ts';
import { Fields, type Json } from '../../models/config.ts';
import { parseWordRule, type WordRule } from '../../models/word-rule.ts';
import {
  precisions,
  type Precision,
  type Source as ValueSource,
  type StoredPrecision,
} from '../../nn/parameters.ts';
import { CONFIG, newModel, openCheckpoint, type PretrainedEncoder } from '../checkpoint.ts';
import type { Definition, Loaded, Types } from '../definition.ts';
import { smallEncoder } from '../small-encoder.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { unknownNotes } from '../text/unknown.ts';
import { checkKeys, parseRecipe, recipeOf } from './recipe.ts';
import { trainModel, type RunOptions, type TrainingReport } from './run.ts';
import { canResume, readState, runFile } from './state.ts';
import { LAST, storedFile, type Storage } from './storage.ts';

/** A corpus, or what reads it: its plain text is then parted into words by the model's own rule. */
export type Given<C> = C | ((words: WordRule | undefined) => C);

const readBy = <C>(given: Given<C>, words: WordRule | undefined): C =>
  typeof given === 'function' ? (given as (words: WordRule | undefined) => C)(words) : given;

/** What a training learns from, and how a new model starts. */
export interface Start<T extends Types = Types> {
  train: Given<T['corpus']>;
  /** Without it there is no best model: every epoch's replaces the last. */
  dev?: Given<T['corpus']>;
  /** The configuration as in a checkpoint, possibly partial; a small model's when absent. */
  config?: Json;
  /** Keys that override those of the configuration, whichever that is. */
  overrides?: Json;
  /** Names it in errors. */
  configName?: string;
  /** Absent for random weights. */
  encoder?: PretrainedEncoder;
  /** The encoder's, else one of the training data's words, when absent. */
  tokenizer?: Tokenizer;
  extra?: T['extra'];
  /** Overrides the definition's defaults. */
  recipe?: { readonly [K in keyof T['recipe']]?: number };
  /**
   * `f16`: weights of linear layers and embeddings are computed with as f16, and learn as f32 (mixed precision, with loss
   * scaling); what is saved is f32. `f32` when absent, or what the run has that is resumed.
   */
  precision?: Precision;
}

/** How parameters are stored that are trained in a precision. Errors: InputError for one that there is not. */
function storedFor(precision: Precision = 'f32'): StoredPrecision {
  if (!precisions.includes(precision))
    throw new InputError(
      `option "precision" must be one of ${precisions.join(', ')}, got ${JSON.stringify(precision)}`,
    );
  return precision === 'f16' ? 'mixed' : precision;
}

/** A training whose every input is checked: no device was needed for it. */
export interface Planned<T extends Types = Types> {
  definition: Definition<T>;
  train: T['corpus'];
  dev?: T['corpus'];
  config: T['model']['config'];
  recipe: T['recipe'];
  precision: Precision;
  notes: string[];
  resume: boolean;
  /** No weight of the model has learnt anything yet. */
  random: boolean;
  /** Makes or loads the model; `random` gives what is random of a new one, in place of the recipe's seed. */
  model(runtime: Runtime, random?: ValueSource): Promise<Loaded<T>>;
}

/** Plans the training of a new model. Errors: InputError naming what does not fit: configuration, data, recipe. */
export function planTraining<T extends Types>(definition: Definition<T>, start: Start<T>): Planned<T> {
  const { encoder, config: given, precision = 'f32' } = start;
  const stored = storedFor(precision);
  const what = start.configName ?? 'config';
  if (encoder && given?.encoder !== undefined)
    throw new InputError(`${what}: "encoder" does not go with a pretrained encoder, whose own config counts`);
  const defaults: Json = encoder
    ? { ...definition.pretrained, encoder: encoder.json }
    : { ...(given === undefined ? definition.small : {}), encoder: smallEncoder };
  const asked = { ...defaults, ...given, ...start.overrides };
  const rule = asked.words === undefined ? undefined : parseWordRule(new Fields(asked, what));
  const first = readBy(start.train, rule);
  const extra = start.extra ?? definition.extra?.start(first);
  const tokenizer = start.tokenizer ?? encoder?.tokenizer ?? definition.vocabulary(first, extra, asked, what);
  const config = definition.complete(asked, what, first, tokenizer);
  // Its rule may keep words whole that were parted before it was known.
  const train = config.words ? readBy(start.train, config.words) : first;
  const dev = start.dev && readBy(start.dev, config.words);
  const state = { pretrained: encoder !== undefined, dev: dev !== undefined };
  const base = encoder ? definition.pretrainedRecipe(state.dev) : {};
  checkKeys(definition.recipe, start.recipe);
  const chosen = recipeOf<T['recipe']>(definition.recipe, (key) => start.recipe?.[key], base);
  const recipe = parseRecipe<T['recipe']>(definition.recipe, { ...(chosen as object) }, 'recipe');
  const notes = definition.checkStart?.(recipe, state) ?? [];
  definition.check(train, config);
  definition.checkGold(train, { config, extra }, 'trained');
  if (dev) {
    definition.check(dev, config, 'scored');
    definition.checkGold(dev, { config, extra }, 'scored');
  }
  return {
    ...{ definition, train, dev, config, recipe, precision, resume: false, random: !encoder },
    notes: [
      ...(encoder?.notes ?? []),
      ...(encoder || start.tokenizer
        ? [
            `vocabulary of ${tokenizer.vocabSize} entries${tableText(tokenizer.vocabSize, config)}: ${tokenizer.casing}`,
          ]
        : []),
      ...notes,
    ],
    model: (runtime, random) =>
      Promise.resolve({
        model: newModel(runtime, definition, config, recipe, encoder, random, stored),
        ...{ tokenizer, extra, what },
      }),
  };
}

/** What is told of a table of words of another size than the vocabulary: it may have rows to spare, but not too few. */
function tableText(entries: number, { encoder: { vocabSize } }: { encoder: { vocabSize: number } }): string {
  if (entries === vocabSize) return '';
  const odd = entries > vocabSize ? ", which cannot be all of it: is it the encoder's own" : '';
  return ` (the encoder's table has ${vocabSize}${odd})`;
}

/**
 * Plans to go on with the run that a storage holds.
 * @param start `recipe` and `precision` must be the run's; what else says how a model starts is the run's own
 * @throws InputError where there is no run, or not a whole one
 */
export async function planResume<T extends Types>(
  definition: Definition<T>,
  storage: Storage,
  { recipe: given, ...start }: Pick<Start<T>, 'train' | 'dev' | 'recipe' | 'precision'>,
): Promise<Planned<T>> {
  await runFile(storage);
  const last: Source = Object.assign((name: string) => storage.source(`${LAST}/${name}`), {
    ...(storage.source.tensors && {
      tensors: (name: string, select?: Select) => storage.source.tensors!(`${LAST}/${name}`, select),
    }),
  });
  const opened = await openCheckpoint(last, `${storage.name}/${LAST}`, definition);
  checkKeys(definition.recipe, given);
  const { recipe: saved, scaler } = await readState(definition, storage);
  const { precision = scaler ? 'f16' : 'f32' } = start;
  const stored = storedFor(precision);
  const recipe = recipeOf<T['recipe']>(definition.recipe, (key) => given?.[key], saved);
  const { words } = opened.config;
  const [train, dev] = [readBy(start.train, words), start.dev && readBy(start.dev, words)];
  return {
    ...{ definition, train, dev, config: opened.config, recipe, precision },
    ...{ notes: [], resume: true, random: false },
    model: (runtime) => opened.load(runtime, { precision: stored }),
  };
}

/** Errors: InputError where a storage holds a model or a run, which a new one would write over. */
export async function refuseModel(storage: Storage, advice: string): Promise<void> {
  if ((await canResume(storage)) || (await storedFile(storage, CONFIG)))
    throw new InputError(`${storage.name}: already holds a model; ${advice}`);
}

/** A training that may survive the loss of its device. */
export interface RecoveryOptions<T extends Types = Types> extends RunOptions<T> {
  /**
   * Opens another runtime where the device is lost: the run goes on there from what was saved last, or from the start, to
   * the same bytes; once, a second loss ends it. Whoever opened a runtime closes it. Without it the first loss ends the run.
   */
  reopen?: () => Promise<Runtime>;
}

interface Trained<T extends Types> {
  report: TrainingReport<T['evaluation']>;
  /** How many the model has. */
  parameters: number;
}

/**
 * Trains what was planned. The model as it is after the last epoch is released; the best is in the storage.
 * @throws as `trainModel`; DeviceLostError where the device is lost and `reopen` is missing or has been called before
 */
export async function runTraining<T extends Types>(
  runtime: Runtime,
  planned: Planned<T>,
  options: RecoveryOptions<T>,
): Promise<Trained<T>> {
  const unlock = options.storage.lock?.();
  try {
    return await runUnlocked(runtime, planned, options).catch((error: unknown) => {
      if (error instanceof DeviceLostError && options.reopen)
        return recover(error, options.reopen, planned, options);
      throw error;
    });
  } finally {
    unlock?.();
  }
}

/** Goes on with a run whose device was lost. */
async function recover<T extends Types>(
  lost: DeviceLostError,
  reopen: () => Promise<Runtime>,
  planned: Planned<T>,
  options: RunOptions<T>,
): Promise<Trained<T>> {
  const { storage, onEvent } = options;
  const isSaved = await canResume(storage);
  const again = isSaved ? await planResume(planned.definition, storage, planned) : planned;
  const note = `${lost.message}; the run went on from ${isSaved ? 'what was saved last' : 'the start'} on a new device`;
  onEvent?.({ event: 'recover', note });
  try {
    const { report, parameters } = await runUnlocked(await reopen(), again, { ...options, forecast: false });
    return { report: { ...report, notes: [...report.notes, note] }, parameters };
  } catch (error) {
    if (!(error instanceof DeviceLostError)) throw error;
    const message = `${error.message}, for the second time; ${storage.name} keeps what was saved, and the run can be resumed`;
    throw new DeviceLostError(message, { cause: error });
  }
}

async function runUnlocked<T extends Types>(
  runtime: Runtime,
  planned: Planned<T>,
  options: RunOptions<T>,
): Promise<Trained<T>> {
  const { definition, train, dev, recipe } = planned;
  const loaded = await planned.model(runtime);
  const parameters = loaded.model.parameters.count();
  try {
    const report = await trainModel(
      definition,
      { ...loaded, train, dev, recipe },
      {
        ...options,
        resume: planned.resume,
        notes: [
          ...(options.notes ?? []),
          ...planned.notes,
          ...corpusNotes(planned),
          ...unknownWords(planned, loaded.tokenizer),
        ],
      },
    );
    return { report, parameters };
  } finally {
    loaded.model.parameters.release();
  }
}

/** What the readers of the corpora noticed, each with its file. */
const corpusNotes = ({ train, dev }: Pick<Planned, 'train' | 'dev'>): string[] =>
  [train, ...(dev ? [dev] : [])].flatMap(({ notes, file }) => notes.map((note) => `${file}: ${note}`));

/** What the vocabulary does not know of the corpora. */
const unknownWords = <T extends Types>(
  { definition, train, dev, config }: Planned<T>,
  tokenizer: Tokenizer,
): string[] =>
  [train, ...(dev ? [dev] : [])].flatMap((corpus) =>
    unknownNotes(tokenizer, definition.texts(corpus), { whose: corpus.file, rule: config.words }),
  );

/** Options of `train`. */
export interface TrainOptions<T extends Types = Types>
  extends Omit<Start<T>, 'train' | 'dev'>, RecoveryOptions<T> {
  runtime: Runtime;
  /** A corpus, or the text of one: the epoch that scores best on it is kept. */
  dev?: Start<T>['dev'] | string;
}

/** Every option of `train`. */
const known: readonly (keyof TrainOptions)[] = [
  ...(['runtime', 'storage', 'dev', 'recipe', 'config', 'overrides', 'configName', 'encoder'] as const),
  'precision',
  ...(['tokenizer', 'extra', 'resume', 'patience', 'saveSeconds', 'forecast', 'signal', 'onEvent'] as const),
  ...(['notes', 'evaluate', 'reopen'] as const),
];

/** Errors: InputError for what `train` is given in place of a definition, data, a runtime or a storage, and for other options. */
function checkCall(definition: unknown, data: unknown, options: Partial<TrainOptions>): void {
  const { runtime, storage } = options;
  const problem =
    typeof (definition as Partial<Definition> | undefined)?.losses !== 'function'
      ? 'the first argument must be a definition: `stsn`, or what `definitionNamed` gives'
      : typeof data !== 'string' && typeof (data as Partial<Types['corpus']> | undefined)?.file !== 'string'
        ? 'the data must be the text of a corpus, or a corpus as `readCorpus` gives it'
        : typeof runtime?.readAll !== 'function'
          ? 'option "runtime" must be a Runtime'
          : typeof storage?.write !== 'function'
            ? 'option "storage" must be a Storage: `memoryStorage()`, or `folderStorage` of a folder'
            : undefined;
  if (problem !== undefined) throw new InputError(`train: ${problem}`);
  const unknown = Object.entries(options).find(
    ([key, value]) => value !== undefined && !known.includes(key as keyof TrainOptions),
  );
  if (unknown)
    throw new InputError(`train: there is no option "${unknown[0]}" (there are: ${known.join(', ')})`);
}

/**
 * Trains a model of a definition on a corpus, into a storage; `resume` goes on with the run that it holds. In a browser
 * as in Node. Loaded models on the same runtime may be asked meanwhile: they and the training take turns, by request and
 * by step (or scoring of the dev corpus).
 * @param data a corpus, or the text of one
 * @returns the report; the best model is in the storage, for `loadModel(runtime, storage.source)`
 * @throws InputError, before the first step, for a recipe out of range, data that does not fit the model, a storage that
 *   holds another model, cannot be written or resumed; SpanwiseError when the loss stops being finite; DeviceLostError
 *   where the device is lost, a second time with `reopen`
 */
export async function train<T extends Types>(
  definition: Definition<T>,
  data: T['corpus'] | string,
  { runtime, dev, ...options }: TrainOptions<T>,
): Promise<TrainingReport<T['evaluation']>> {
  checkCall(definition, data, { runtime, ...options });
  const given = (corpus: Given<T['corpus']> | string, what: string): Given<T['corpus']> =>
    typeof corpus === 'string' ? (words) => definition.read(corpus, what, { words }) : corpus;
  const { storage, resume } = options;
  if (!resume) await refuseModel(storage, 'choose another storage, or set resume');
  const start = {
    ...options,
    train: given(data, 'training data'),
    dev: dev === undefined ? undefined : given(dev, 'dev data'),
  };
  const planned = resume ? await planResume(definition, storage, start) : planTraining(definition, start);
  return (await runTraining(runtime, planned, options)).report;
}
