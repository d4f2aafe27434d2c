/**
 * Where a training run stands: the folder `last/` of its checkpoint, which holds the model, the optimizer's moments and
 * `trainer.json`. Everything read back is checked, so that a run continues bit for bit or not at all. Node only.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../../kernels/errors.ts';
import { readSafetensorsFile, recoverFolder, writeCheckpointFolder } from '../../io/files.ts';
import { serializeSafetensorsPieces, type HostTensor } from '../../io/safetensors.ts';
import { Fields, type Json } from '../../models/config.ts';
import { FileSource, type Parameters } from '../../nn/parameters.ts';
import type { AdamW } from '../../optim/index.ts';
import { readJsonFile, WEIGHTS } from '../checkpoint.ts';
import type { TrainingRecipe } from './recipe.ts';
import type { Fingerprint, Losses, StateFormat, Task } from './task.ts';

export const LAST = 'last';
const TRAINER = 'trainer.json';
const OPTIMIZER = 'optimizer.safetensors';

/** What `trainer.json` holds. */
export interface TrainingState<R extends TrainingRecipe, L extends string, C extends string> {
  recipe: R;
  data: Fingerprint;
  /** Epochs done, and batches done of the one that follows. */
  epoch: number;
  batch: number;
  /** Score and number of the best epoch so far: −1 and 0 before the first. */
  best: number;
  bestEpoch: number;
  /** Length of `log.jsonl` at that moment. */
  logBytes: number;
  /** Sums over the batches done of the unfinished epoch. */
  sums: Losses<L>;
  counts: Record<C, number>;
}

const zeros = <K extends string>(keys: readonly K[]): Record<K, number> =>
  Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;

const lossNames = <L extends string>(parts: readonly L[]) => ['loss', ...parts, 'gradNorm'] as const;

export const noLosses = <L extends string>(parts: readonly L[]): Losses<L> => zeros(lossNames(parts));

export const noCounts = zeros;

/** SHA-256 of a value's JSON. */
export const hashOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex');

/** The state of a run that has not made a step. */
export const freshState = <R extends TrainingRecipe, L extends string, C extends string>({
  recipe,
  data,
  parts,
  counted,
}: Pick<Task<R, L, C, unknown>, 'recipe' | 'data' | 'parts' | 'counted'>): TrainingState<R, L, C> => ({
  recipe,
  data,
  epoch: 0,
  batch: 0,
  best: -1,
  bestEpoch: 0,
  logBytes: 0,
  sums: noLosses(parts),
  counts: noCounts(counted),
});

function parseNumbers<K extends string>(
  json: Json,
  what: string,
  keys: readonly K[],
  read: (fields: Fields, key: K) => number,
): Record<K, number> {
  const fields = new Fields(json, what);
  const numbers = Object.fromEntries(keys.map((key) => [key, read(fields, key)])) as Record<K, number>;
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

/** Reads a state's fields. Errors: InputError naming `what` and the key that is missing, unknown or out of range. */
function parseState<R extends TrainingRecipe, L extends string, C extends string>(
  json: Json,
  what: string,
  { parseRecipe, parts, counted }: StateFormat<R, L, C>,
): TrainingState<R, L, C> {
  const fields = new Fields(json, what);
  const state: TrainingState<R, L, C> = {
    recipe: parseRecipe(fields.object('recipe'), `${what}: recipe`),
    data: parseFingerprint(fields.object('data'), `${what}: data`),
    epoch: fields.integer('epoch', undefined, 0),
    batch: fields.integer('batch', undefined, 0),
    best: fields.number('best', undefined, -1),
    bestEpoch: fields.integer('bestEpoch', undefined, 0),
    logBytes: fields.integer('logBytes', undefined, 0),
    sums: parseNumbers(fields.object('sums'), `${what}: sums`, lossNames(parts), (sums, key) =>
      sums.number(key),
    ),
    counts: parseNumbers(fields.object('counts'), `${what}: counts`, counted, (counts, key) =>
      counts.integer(key, undefined, 0),
    ),
  };
  fields.rejectUnknown();
  if (state.epoch > state.recipe.epochs)
    throw fields.error('epoch', `must be at most the recipe's ${state.recipe.epochs}`, state.epoch);
  if (state.bestEpoch > state.epoch)
    throw fields.error('bestEpoch', `must be at most "epoch", ${state.epoch}`, state.bestEpoch);
  return state;
}

/** Whether the folder holds a training run that can be resumed. */
export function canResume(out: string): boolean {
  recoverFolder(join(out, LAST));
  return existsSync(join(out, LAST, TRAINER));
}

/** The state of the run in `out`. Errors: InputError when there is none, or it is not a whole one. */
export function readState<R extends TrainingRecipe, L extends string, C extends string>(
  out: string,
  format: StateFormat<R, L, C>,
): TrainingState<R, L, C> {
  if (!canResume(out))
    throw new InputError(`${out}: holds no training run to resume (no ${LAST}/${TRAINER})`);
  const path = join(out, LAST, TRAINER);
  return parseState(readJsonFile(path, 'training state'), path, format);
}

/** Writes `out/last`, whole or not at all. */
export async function writeState<R extends TrainingRecipe, L extends string, C extends string>(
  out: string,
  state: TrainingState<R, L, C>,
  { files }: Pick<Task<R, L, C, unknown>, 'files'>,
  optimizer: AdamW,
): Promise<void> {
  writeCheckpointFolder(join(out, LAST), {
    ...(await files()),
    [OPTIMIZER]: serializeSafetensorsPieces(await optimizer.read()),
    [TRAINER]: `${JSON.stringify(state)}\n`,
  });
}

/**
 * Continues from `out/last`: puts the model's weights and the optimizer's moments back to where they were.
 * @param task the run that is asked for
 * @returns the saved state
 * @throws InputError when the saved run is another one, or a file is not whole; nothing has changed then
 */
export async function restoreState<R extends TrainingRecipe, L extends string, C extends string, E>(
  out: string,
  task: Task<R, L, C, E>,
  optimizer: AdamW,
): Promise<TrainingState<R, L, C>> {
  const saved = readState(out, task);
  const path = join(out, LAST, TRAINER);
  for (const [key, what] of [
    ['train', 'other training data'],
    ['dev', 'other dev data'],
    ['model', 'another model configuration or tokenizer'],
  ] as const)
    if (saved.data[key] !== task.data[key]) throw new InputError(`${path}: the run was started with ${what}`);
  if (JSON.stringify(saved.recipe) !== JSON.stringify(task.recipe))
    throw new InputError(`${path}: the run was started with another recipe: ${JSON.stringify(saved.recipe)}`);
  if (saved.batch > 0 && (saved.batch >= task.batches || saved.epoch === saved.recipe.epochs))
    throw new InputError(`${path}: "batch" is ${saved.batch}, past the epoch's ${task.batches} batches`);

  const { parameters } = task.model;
  const weights = readWeights(join(out, LAST, WEIGHTS), parameters);
  const moments = readMoments(join(out, LAST, OPTIMIZER), parameters);
  for (const [name, { tensor }] of parameters.all)
    await parameters.runtime.write(tensor, weights.get(name) as Float32Array);
  optimizer.load(moments);
  return saved;
}

/** Values of every parameter by name. Errors: InputError listing all that do not fit. */
function readWeights(path: string, parameters: Parameters): Map<string, Float32Array> {
  const source = new FileSource(readSafetensorsFile(path).tensors, path);
  const values = new Map(
    [...parameters.all].map(([name, { tensor }]) => [name, source.values(name, tensor.shape)]),
  );
  source.finish();
  return values;
}

/** AdamW's moments: all three of m, v and step for a parameter, or none where it has had no gradient yet. */
function readMoments(path: string, parameters: Parameters): Map<string, HostTensor> {
  const { tensors } = readSafetensorsFile(path);
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
