/**
 * Where a training run stands: the part `last/` of its storage, which holds the model, the optimizer's moments and
 * `trainer.json`. Everything read back is checked, so that a run continues bit for bit or not at all.
 */
import { InputError } from '../../../kernels/errors.ts';
import { parseObject } from '../../io/json.ts';
import { serializeSafetensorsPieces, type HostTensor } from '../../io/safetensors.ts';
import { tensorsOf } from '../../io/source.ts';
import { decodeUtf8 } from '../../io/utf8.ts';
import { Fields, type Json } from '../../models/config.ts';
import { FileSource, type Parameters, type Precision } from '../../nn/parameters.ts';
import type { AdamW, ScalerState } from '../../optim/index.ts';
import { checkpointFiles, WEIGHTS } from '../checkpoint.ts';
import type { Definition, TrainingInput, Types } from '../definition.ts';
import { tokenizerFiles } from '../text/tokenizer.ts';
import { parseRecipe, type TrainingRecipe } from './recipe.ts';
import { LAST, storedFile, type Storage } from './storage.ts';

const TRAINER = 'trainer.json';
const OPTIMIZER = 'optimizer.safetensors';

/** Loss parts by name, `loss` their sum, and `gradNorm` before clipping: sums, of one step, or means over steps. */
export type LossValues = Record<string, number>;

/** SHA-256 of what a resumed run must share with the one it continues. */
export interface Fingerprint {
  train: string;
  dev: string;
  /** Configuration and tokenizer. */
  model: string;
}

/** What `trainer.json` holds. */
export interface TrainingState<R extends TrainingRecipe = TrainingRecipe> {
  recipe: R;
  data: Fingerprint;
  /** Epochs done, and batches done of the one that follows. */
  epoch: number;
  batch: number;
  /** Score and number of the best epoch so far: −1 and 0 before the first. */
  best: number;
  bestEpoch: number;
  /** The first epoch of that score, or the last one so far where it is 0: `patience` counts from it. */
  risenEpoch: number;
  /** Length of the log at that moment. */
  logBytes: number;
  /** Sums over the batches done of the unfinished epoch. */
  sums: LossValues;
  counts: Record<string, number>;
  /** In mixed precision: whether a run has it says what it is. */
  scaler?: ScalerState;
  /** Where all batches of the epoch are done and the dev corpus is not scored yet: the names of its losses. */
  unscored?: string[];
}

const zeros = (keys: readonly string[]): Record<string, number> =>
  Object.fromEntries(keys.map((key) => [key, 0]));

const lossNames = (parts: readonly string[]): string[] => ['loss', ...parts, 'gradNorm'];

export const noLosses = (parts: readonly string[]): LossValues => zeros(lossNames(parts));

export const noCounts = zeros;

/** What configurations have said for some time only, where it is as it always was: runs from before that go on. */
const added: Readonly<Record<string, unknown>> = { positionOffset: 0 };

/** SHA-256 of a value's JSON, in hexadecimal. */
async function hashOf(value: unknown): Promise<string> {
  const json = JSON.stringify(value, (key, part: unknown) =>
    Object.hasOwn(added, key) && part === added[key] ? undefined : part,
  );
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(json));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What names a run's data and model. */
export const fingerprint = async <T extends Types>(
  { model, tokenizer }: TrainingInput<T>,
  identity: { train: unknown; dev: unknown },
): Promise<Fingerprint> => ({
  train: await hashOf(identity.train),
  dev: await hashOf(identity.dev ?? null),
  model: await hashOf([model.config, tokenizerFiles(tokenizer)]),
});

/** The state of a run that has not made a step. */
export const freshState = <T extends Types>(
  { parts, counted }: Definition<T>,
  recipe: T['recipe'],
  data: Fingerprint,
  scaler?: ScalerState,
): TrainingState<T['recipe']> => ({
  ...{ recipe, data },
  epoch: 0,
  batch: 0,
  best: -1,
  bestEpoch: 0,
  risenEpoch: 0,
  logBytes: 0,
  sums: noLosses(parts),
  counts: noCounts(counted),
  ...(scaler && { scaler }),
});

function parseNumbers(
  json: Json,
  what: string,
  keys: readonly string[],
  read: (fields: Fields, key: string) => number,
): Record<string, number> {
  const fields = new Fields(json, what);
  const numbers = Object.fromEntries(keys.map((key) => [key, read(fields, key)]));
  fields.rejectUnknown();
  return numbers;
}

function parseFingerprint(json: Json, what: string): Fingerprint {
  const part = (key: keyof Fingerprint): string => {
    const value = json[key];
    if (typeof value !== 'string' || !/^[0-9a-f]{64}$/.test(value))
      throw new InputError(`${what}: "${key}" must be a SHA-256 in hexadecimal`);
    return value;
  };
  return { train: part('train'), dev: part('dev'), model: part('model') };
}

/** Errors: a scale that a loss is not multiplied with. */
function parseScale(fields: Fields): number {
  const scale = fields.number('scale', undefined, 1);
  if (scale > 2 ** 126 || !Number.isInteger(Math.log2(scale)))
    throw fields.error('scale', 'must be a power of two from 1 to 2^126', scale);
  return scale;
}

function parseScaler(json: Json, what: string): ScalerState {
  const fields = new Fields(json, what);
  const state: ScalerState = {
    scale: parseScale(fields),
    good: fields.integer('good', undefined, 0, Infinity),
    skipped: fields.integer('skipped', undefined, 0, Infinity),
  };
  if (fields.has('last')) {
    const last = new Fields(fields.object('last'), `${what}: last`);
    state.last = { scale: parseScale(last), skipped: last.strings('skipped') };
    last.rejectUnknown();
  }
  fields.rejectUnknown();
  return state;
}

/** Reads a state's fields. Errors: InputError naming `what` and the key that is missing, unknown or out of range. */
function parseState<T extends Types>(
  json: Json,
  what: string,
  { recipe: table, parts, counted }: Definition<T>,
): TrainingState<T['recipe']> {
  const fields = new Fields(json, what);
  const state: TrainingState<T['recipe']> = {
    recipe: parseRecipe(table, fields.object('recipe'), `${what}: recipe`),
    data: parseFingerprint(fields.object('data'), `${what}: data`),
    epoch: fields.integer('epoch', undefined, 0, Infinity),
    batch: fields.integer('batch', undefined, 0, Infinity),
    best: fields.number('best', undefined, -1),
    bestEpoch: fields.integer('bestEpoch', undefined, 0, Infinity),
    // Runs from before it was kept count from their best epoch.
    risenEpoch: fields.integer('risenEpoch', Number(json.bestEpoch), 0, Infinity),
    logBytes: fields.integer('logBytes', undefined, 0, Infinity),
    sums: parseNumbers(fields.object('sums'), `${what}: sums`, lossNames(parts), (sums, key) =>
      sums.number(key),
    ),
    counts: parseNumbers(fields.object('counts'), `${what}: counts`, counted, (counts, key) =>
      counts.integer(key, undefined, 0, Infinity),
    ),
    ...(fields.has('scaler') && { scaler: parseScaler(fields.object('scaler'), `${what}: scaler`) }),
    ...(fields.has('unscored') && { unscored: fields.strings('unscored', []) }),
  };
  fields.rejectUnknown();
  const strange = state.unscored?.find((name) => !(name in state.sums));
  if (strange !== undefined) throw fields.error('unscored', 'must name losses', strange);
  if (state.epoch > state.recipe.epochs)
    throw fields.error('epoch', `must be at most the recipe's ${state.recipe.epochs}`, state.epoch);
  if (state.bestEpoch > state.epoch)
    throw fields.error('bestEpoch', `must be at most "epoch", ${state.epoch}`, state.bestEpoch);
  if (state.risenEpoch > state.bestEpoch)
    throw fields.error('risenEpoch', `must be at most "bestEpoch", ${state.bestEpoch}`, state.risenEpoch);
  return state;
}

const trainerJson = async (storage: Storage): Promise<Uint8Array | undefined> =>
  storedFile(storage, `${LAST}/${TRAINER}`);

/** Whether a storage holds a training run that can be resumed. */
export const canResume = async (storage: Storage): Promise<boolean> =>
  (await trainerJson(storage)) !== undefined;

/** The file of the run in a storage. Errors: InputError when there is none. */
export async function runFile(storage: Storage): Promise<Uint8Array> {
  const bytes = await trainerJson(storage);
  if (bytes) return bytes;
  throw new InputError(`${storage.name}: holds no training run to resume (no ${LAST}/${TRAINER})`);
}

/** The state of the run in a storage. Errors: InputError when there is none, or it is not a whole one. */
export async function readState<T extends Types>(
  definition: Definition<T>,
  storage: Storage,
): Promise<TrainingState<T['recipe']>> {
  const bytes = await runFile(storage);
  const path = `${storage.name}/${LAST}/${TRAINER}`;
  return parseState(parseObject(decodeUtf8(bytes, path), path), path, definition);
}

/** Writes all that is needed to continue, whole or not at all. */
export async function writeState<T extends Types>(
  definition: Definition<T>,
  storage: Storage,
  state: TrainingState<T['recipe']>,
  input: TrainingInput<T>,
  optimizer: AdamW,
): Promise<void> {
  await storage.write(LAST, {
    ...(await checkpointFiles(definition, input)),
    [OPTIMIZER]: serializeSafetensorsPieces(await optimizer.read()),
    [TRAINER]: `${JSON.stringify(state)}\n`,
  });
}

/**
 * Continues a run: puts the model's weights and the optimizer's moments back to where they were.
 * @param input the run that is asked for
 * @param fresh its state before the first step
 * @param batches of every epoch
 * @returns the saved state, whose recipe may have fewer epochs than the one asked for
 * @throws InputError when the saved run is another one, or a file is not whole; nothing has changed then
 */
export async function restoreState<T extends Types>(
  definition: Definition<T>,
  storage: Storage,
  { model, recipe }: TrainingInput<T>,
  fresh: TrainingState<T['recipe']>,
  batches: number,
  optimizer: AdamW,
): Promise<TrainingState<T['recipe']>> {
  const saved = await readState(definition, storage);
  const last = `${storage.name}/${LAST}`;
  const path = `${last}/${TRAINER}`;
  for (const [key, what] of [
    ['train', 'other training data'],
    ['dev', 'other dev data'],
    ['model', 'another model configuration or tokenizer'],
  ] as const)
    if (saved.data[key] !== fresh.data[key])
      throw new InputError(`${path}: the run was started with ${what}`);
  const precisionOf = ({ scaler }: TrainingState<T['recipe']>): Precision => (scaler ? 'f16' : 'f32');
  if (precisionOf(saved) !== precisionOf(fresh))
    throw new InputError(`${path}: the run was started with precision ${precisionOf(saved)}`);
  const { epochs } = recipe;
  if (JSON.stringify({ ...saved.recipe, epochs }) !== JSON.stringify(recipe))
    throw new InputError(`${path}: the run was started with another recipe: ${JSON.stringify(saved.recipe)}`);
  if (epochs < saved.recipe.epochs)
    throw new InputError(
      `${path}: the run is of ${saved.recipe.epochs} epochs: it can be made longer, not shorter, since its rate has been ` +
        'falling as slowly as so many need',
    );
  const most = saved.unscored ? batches : batches - 1;
  if (saved.batch > 0 && (saved.batch > most || saved.epoch === saved.recipe.epochs))
    throw new InputError(`${path}: "batch" is ${saved.batch}, past the epoch's ${batches} batches`);

  const tensors = (name: string) => tensorsOf(storage.source, `${LAST}/${name}`, `${last}/${name}`);
  const { parameters } = model;
  const weights = readWeights(await tensors(WEIGHTS), `${last}/${WEIGHTS}`, parameters);
  const moments = readMoments(await tensors(OPTIMIZER), `${last}/${OPTIMIZER}`, parameters);
  const stranger = saved.scaler?.last?.skipped.find((name) => !moments.has(`step.${name}`));
  if (stranger !== undefined)
    throw new InputError(
      `${path}: scaler: last: "skipped" names ${JSON.stringify(stranger)}, which has had no step`,
    );
  for (const [name, values] of weights) await parameters.write(name, values);
  optimizer.load(moments);
  return saved;
}

/** Values of every parameter by name. Errors: InputError listing all that do not fit. */
function readWeights(
  tensors: ReadonlyMap<string, HostTensor>,
  path: string,
  parameters: Parameters,
): Map<string, Float32Array> {
  const source = new FileSource(tensors, path);
  const values = new Map(
    [...parameters.all].map(([name, { tensor }]) => [name, source.values(name, tensor.shape)]),
  );
  source.finish();
  return values;
}

/** AdamW's moments: all three of m, v and step for a parameter, or none where it has had no gradient yet. */
function readMoments(
  tensors: ReadonlyMap<string, HostTensor>,
  path: string,
  parameters: Parameters,
): ReadonlyMap<string, HostTensor> {
  const source = new FileSource(tensors, path);
  for (const [name, { tensor }] of parameters.all) {
    if (!['m', 'v', 'step'].some((part) => source.has(`${part}.${name}`))) continue;
    source.values(`m.${name}`, tensor.shape);
    source.values(`v.${name}`, tensor.shape);
    const step = tensors.get(`step.${name}`);
    if (step?.dtype !== 'i32' || step.data.length !== 1 || step.data[0] < 1)
      throw new InputError(`${path}: step.${name} must be one positive integer`);
    source.ignore(`step.${name}`);
  }
  source.finish();
  return tensors;
}
