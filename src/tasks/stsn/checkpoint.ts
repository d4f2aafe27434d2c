/** STSN checkpoints: `config.json`, `model.safetensors` and tokenizer files in one folder (SPEC section 3). Node only. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../../kernels/errors.ts';
import type { Runtime } from '../../gpu/runtime.ts';
import { readFileChecked, readSafetensorsFile, recoverFolder, type FileContent } from '../../io/files.ts';
import { serializeSafetensorsPieces, type HostTensor } from '../../io/safetensors.ts';
import { mapBertNames, parseBertConfig } from '../../models/bert.ts';
import { parseObject, type Json } from '../../models/config.ts';
import { parseStsnConfig, Stsn, stsnConfigJson, type StsnConfig } from '../../models/stsn.ts';
import { FileSource, Parameters, randomSource, type Source } from '../../nn/parameters.ts';
import { loadTokenizer } from '../text/load.ts';
import { tokenizerFiles, type Tokenizer } from '../text/tokenizer.ts';
import { decodeUtf8 } from '../text/utf8.ts';

export const CONFIG = 'config.json';
export const WEIGHTS = 'model.safetensors';
const POOLER = 'pooler.dense.weight';

export interface LoadedStsn {
  model: Stsn;
  tokenizer: Tokenizer;
}

/** A JSON object from a file. */
export function readJsonFile(path: string, what: string): Json {
  return parseObject(decodeUtf8(readFileChecked(path, what), path), path);
}

/** Loads a checkpoint folder. Errors: InputError naming the file and what is wrong with it. */
export function loadStsn(runtime: Runtime, dir: string): LoadedStsn {
  if (!existsSync(dir)) throw new InputError(`${dir}: no such model folder`);
  recoverFolder(dir);
  const config = parseStsnConfig(readJsonFile(join(dir, CONFIG), 'model config'), join(dir, CONFIG));
  const path = join(dir, WEIGHTS);
  const tokenizer = loadTokenizer(dir);
  const source = new FileSource(readSafetensorsFile(path).tensors, path);
  const model = new Stsn(new Parameters(runtime, source), config, source.has(`encoder.${POOLER}`));
  finish(source, model);
  return { model, tokenizer };
}

/** Checks that the file's tensors are the model's; frees the model where they are not. */
function finish(source: FileSource, model: Stsn): void {
  try {
    source.finish();
  } catch (error) {
    model.parameters.release();
    throw error;
  }
}

/** A model with random weights. */
export function randomStsn(runtime: Runtime, config: StsnConfig, seed: number): Stsn {
  return new Stsn(new Parameters(runtime, randomSource(seed)), config);
}

/** The config, tokenizer and weights of a Hugging Face encoder folder. */
export interface PretrainedEncoder {
  json: Json;
  tokenizer: Tokenizer;
  tensors: Map<string, HostTensor>;
  notes: string[];
  path: string;
}

/** Reads an encoder folder (BERT). Errors: InputError naming the file. */
export function readEncoder(dir: string): PretrainedEncoder {
  const json = readJsonFile(join(dir, CONFIG), 'encoder config');
  parseBertConfig(json, join(dir, CONFIG));
  const path = join(dir, WEIGHTS);
  const { tensors, notes } = mapBertNames(readSafetensorsFile(path).tensors, 'encoder.');
  return { json, tokenizer: loadTokenizer(dir), tensors, notes, path };
}

/** A model whose encoder comes from a file and whose other weights are random. */
export function stsnFromEncoder(
  runtime: Runtime,
  config: StsnConfig,
  encoder: PretrainedEncoder,
  seed: number,
): Stsn {
  const file = new FileSource(encoder.tensors, encoder.path);
  const random = randomSource(seed);
  const source: Source = {
    values: (name, shape, init, index) =>
      name.startsWith('encoder.') ? file.values(name, shape) : random.values(name, shape, init, index),
  };
  const model = new Stsn(new Parameters(runtime, source), config, file.has(`encoder.${POOLER}`));
  finish(file, model);
  return model;
}

/** The files of a checkpoint, by name. */
export async function checkpointFiles(
  model: Stsn,
  tokenizer: Tokenizer,
): Promise<Record<string, FileContent>> {
  return {
    [CONFIG]: `${JSON.stringify(stsnConfigJson(model.config), null, 2)}\n`,
    [WEIGHTS]: serializeSafetensorsPieces(await model.parameters.read()),
    ...tokenizerFiles(tokenizer),
  };
}
