/** Checkpoint folders: `config.json`, `model.safetensors` and tokenizer files (SPEC section 3). Node only. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { readSafetensorsFile, readTextFile, recoverFolder, type FileContent } from '../io/files.ts';
import { parseObject } from '../io/json.ts';
import { serializeSafetensorsPieces, type HostTensor } from '../io/safetensors.ts';
import { hasPooler, mapBertNames, parseBertConfig } from '../models/bert.ts';
import type { Json } from '../models/config.ts';
import { FileSource, Parameters, randomSource, type Source } from '../nn/parameters.ts';
import { loadTokenizer } from './text/load.ts';
import { tokenizerFiles, type Tokenizer } from './text/tokenizer.ts';

export const CONFIG = 'config.json';
export const WEIGHTS = 'model.safetensors';
/** Prefix of the encoder's tensors in a checkpoint. */
const ENCODER = 'encoder.';

/** A model of any kind, with the parameters that it owns. */
export interface Model {
  readonly parameters: Parameters;
}

/** Makes a model of its parameters. `pooler`: the weights hold the encoder's pooler. */
export type Build<M extends Model> = (parameters: Parameters, pooler: boolean) => M;

export interface Loaded<M extends Model> {
  model: M;
  tokenizer: Tokenizer;
  /** What the file holds and the model does not need. */
  notes: string[];
}

/** A JSON object from a file. */
export function readJsonFile(path: string, what: string): Json {
  return parseObject(readTextFile(path, what), path);
}

/**
 * The config of a checkpoint folder and the path of its file. A folder whose saving was cut short is put right first.
 * Errors: InputError naming the folder or file.
 */
export function readCheckpointConfig(dir: string): { json: Json; path: string } {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory())
    throw new InputError(`${dir}: no such model folder`);
  recoverFolder(dir);
  const path = join(dir, CONFIG);
  return { json: readJsonFile(path, 'model config'), path };
}

/** Loads a checkpoint folder as `build` makes it. Errors: InputError naming the file and what is wrong with it. */
export function loadCheckpoint<M extends Model>(runtime: Runtime, dir: string, build: Build<M>): Loaded<M> {
  const path = join(dir, WEIGHTS);
  const tokenizer = loadTokenizer(dir);
  const { tensors, notes } = checkpointTensors(readSafetensorsFile(path).tensors);
  const source = new FileSource(tensors, path);
  const model = build(new Parameters(runtime, source), hasPooler(tensors, ENCODER));
  finish(source, model);
  return { model, tokenizer, notes };
}

/** A checkpoint's tensors with the encoder's names mapped as in a Hugging Face file (SPEC section 2). */
function checkpointTensors(all: ReadonlyMap<string, HostTensor>): ReturnType<typeof mapBertNames> {
  const encoder = new Map<string, HostTensor>();
  const rest = new Map<string, HostTensor>();
  for (const [name, tensor] of all)
    if (name.startsWith(ENCODER)) encoder.set(name.slice(ENCODER.length), tensor);
    else rest.set(name, tensor);
  const { tensors, notes } = mapBertNames(encoder, ENCODER);
  return { tensors: new Map([...tensors, ...rest]), notes };
}

/** Checks that the file's tensors are the model's; frees the model where they are not. */
function finish(source: FileSource, model: Model): void {
  try {
    source.finish();
  } catch (error) {
    model.parameters.release();
    throw error;
  }
}

/** The config, tokenizer and weights of a Hugging Face encoder folder. */
export interface PretrainedEncoder {
  json: Json;
  tokenizer: Tokenizer;
  tensors: Map<string, HostTensor>;
  notes: string[];
  path: string;
}

/** Reads an encoder folder (BERT or ALBERT). Errors: InputError naming the file. */
export function readEncoder(dir: string): PretrainedEncoder {
  const json = readJsonFile(join(dir, CONFIG), 'encoder config');
  parseBertConfig(json, join(dir, CONFIG));
  const path = join(dir, WEIGHTS);
  const { tensors, notes } = mapBertNames(readSafetensorsFile(path).tensors, ENCODER);
  return { json, tokenizer: loadTokenizer(dir), tensors, notes, path };
}

/** A model whose encoder comes from a file and whose other weights are random. */
export function fromEncoder<M extends Model>(
  runtime: Runtime,
  encoder: PretrainedEncoder,
  seed: number,
  build: Build<M>,
): M {
  const file = new FileSource(encoder.tensors, encoder.path);
  const random = randomSource(seed);
  const source: Source = {
    values: (name, shape, init, index) =>
      name.startsWith(ENCODER) ? file.values(name, shape) : random.values(name, shape, init, index),
  };
  const model = build(new Parameters(runtime, source), hasPooler(encoder.tensors, ENCODER));
  finish(file, model);
  return model;
}

/** The files of a checkpoint, by name. */
export async function filesOf(
  config: Json,
  parameters: Parameters,
  tokenizer: Tokenizer,
): Promise<Record<string, FileContent>> {
  return {
    [CONFIG]: `${JSON.stringify(config, null, 2)}\n`,
    [WEIGHTS]: serializeSafetensorsPieces(await parameters.read()),
    ...tokenizerFiles(tokenizer),
  };
}
