/**
 * Where a training run stands: the folder `last/` of its checkpoint, which holds the model, the optimizer's moments and
 * `trainer.json`. Everything read back is checked, so that a run continues bit for bit or not at all. Node only.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../../kernels/errors.ts';
import { readSafetensorsFile, recoverFolder, writeCheckpointFolder } from '../../io/files.ts';
import { serializeSafetensorsPieces, type HostTensor } from '../../io/safetensors.ts';
import { Fields, type Json } from '../../models/config.ts';
import type { Stsn } from '../../models/stsn.ts';
import { FileSource, type Parameters } from '../../nn/parameters.ts';
import type { AdamW } from '../../optim/index.ts';
import type { SampleCounts } from '../sampling.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { readJsonFile, WEIGHTS } from '../checkpoint.ts';
import { checkpointFiles } from './checkpoint.ts';
import { parseRecipe, type Recipe } from './recipe.ts';

export const LAST = 'last';
const TRAINER = 'trainer.json';
const OPTIMIZER = 'optimizer.safetensors';

/** Loss parts and the gradient norm before clipping; of one step, or means over steps. */
export interface Losses {
  loss: number;
  tag: number;
  span: number;
  relation: number;
  gradNorm: number;
}

/** SHA-256 of what a resumed run must share with the one it continues. */
export interface Fingerprint {
  train: string;
  dev: string;
  /** Configuration and tokenizer. */
  model: string;
}

/** What `trainer.json` holds. */
export interface TrainingState {
  recipe: Recipe;
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
  sums: Losses;
  counts: SampleCounts;
}

export const noLosses = (): Losses => ({ loss: 0, tag: 0, span: 0, relation: 0, gradNorm: 0 });

export const noCounts = (): SampleCounts => ({
  positiveSpans: 0,
  negativeSpans: 0,
  positivePairs: 0,
  negativePairs: 0,
});

function parseLosses(json: Json, what: string): Losses {
  const fields = new Fields(json, what);
  const losses: Losses = {
    loss: fields.number('loss'),
    tag: fields.number('tag'),
    span: fields.number('span'),
    relation: fields.number('relation'),
    gradNorm: fields.number('gradNorm'),
  };
  fields.rejectUnknown();
  return losses;
}

function parseCounts(json: Json, what: string): SampleCounts {
  const fields = new Fields(json, what);
  const counts: SampleCounts = {
    positiveSpans: fields.integer('positiveSpans', undefined, 0),
    negativeSpans: fields.integer('negativeSpans', undefined, 0),
    positivePairs: fields.integer('positivePairs', undefined, 0),
    negativePairs: fields.integer('negativePairs', undefined, 0),
  };
  fields.rejectUnknown();
  return counts;
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
export function parseState(json: Json, what: string): TrainingState {
  const fields = new Fields(json, what);
  const state: TrainingState = {
    recipe: parseRecipe(fields.object('recipe'), `${what}: recipe`),
    data: parseFingerprint(fields.object('data'), `${what}: data`),
    epoch: fields.integer('epoch', undefined, 0),
    batch: fields.integer('batch', undefined, 0),
    best: fields.number('best', undefined, -1),
    bestEpoch: fields.integer('bestEpoch', undefined, 0),
    logBytes: fields.integer('logBytes', undefined, 0),
    sums: parseLosses(fields.object('sums'), `${what}: sums`),
    counts: parseCounts(fields.object('counts'), `${what}: counts`),
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
export function readState(out: string): TrainingState {
  if (!canResume(out))
    throw new InputError(`${out}: holds no training run to resume (no ${LAST}/${TRAINER})`);
  const path = join(out, LAST, TRAINER);
  return parseState(readJsonFile(path, 'training state'), path);
}

/** The recipe of the run in `out`. Errors: as `readState`. */
export const savedRecipe = (out: string): Recipe => readState(out).recipe;

/** Writes `out/last`, whole or not at all. */
export async function writeState(
  out: string,
  state: TrainingState,
  model: Stsn,
  tokenizer: Tokenizer,
  optimizer: AdamW,
): Promise<void> {
  writeCheckpointFolder(join(out, LAST), {
    ...(await checkpointFiles(model, tokenizer)),
    [OPTIMIZER]: serializeSafetensorsPieces(await optimizer.read()),
    [TRAINER]: `${JSON.stringify(state)}\n`,
  });
}

/**
 * Continues from `out/last`: puts the model's weights and the optimizer's moments back to where they were.
 * @param fresh the state at the start of the run that is asked for
 * @returns the saved state
 * @throws InputError when the saved run is another one, or a file is not whole; nothing has changed then
 */
export async function restoreState(
  out: string,
  fresh: TrainingState,
  batches: number,
  model: Stsn,
  optimizer: AdamW,
): Promise<TrainingState> {
  const saved = readState(out);
  const path = join(out, LAST, TRAINER);
  for (const [key, what] of [
    ['train', 'other training data'],
    ['dev', 'other dev data'],
    ['model', 'another model configuration or tokenizer'],
  ] as const)
    if (saved.data[key] !== fresh.data[key])
      throw new InputError(`${path}: the run was started with ${what}`);
  if (JSON.stringify(saved.recipe) !== JSON.stringify(fresh.recipe))
    throw new InputError(`${path}: the run was started with another recipe: ${JSON.stringify(saved.recipe)}`);
  if (saved.batch > 0 && (saved.batch >= batches || saved.epoch === saved.recipe.epochs))
    throw new InputError(`${path}: "batch" is ${saved.batch}, past the epoch's ${batches} batches`);

  const { parameters } = model;
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
