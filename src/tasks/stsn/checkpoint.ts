/** STSN models from checkpoint folders, from an encoder's folder, or random. Node only. */
import type { Runtime } from '../../gpu/runtime.ts';
import type { FileContent } from '../../io/files.ts';
import { parseStsnConfig, Stsn, stsnConfigJson, type StsnConfig } from '../../models/stsn.ts';
import { Parameters, randomSource } from '../../nn/parameters.ts';
import {
  filesOf,
  fromEncoder,
  loadCheckpoint,
  readCheckpointConfig,
  type Build,
  type Loaded,
  type PretrainedEncoder,
} from '../checkpoint.ts';
import type { Tokenizer } from '../text/tokenizer.ts';

export type LoadedStsn = Loaded<Stsn>;

const builder =
  (config: StsnConfig): Build<Stsn> =>
  (parameters, pooler) =>
    new Stsn(parameters, config, pooler);

/** Loads a checkpoint folder. Errors: InputError naming the file and what is wrong with it. */
export function loadStsn(runtime: Runtime, dir: string): LoadedStsn {
  const { json, path } = readCheckpointConfig(dir);
  return loadCheckpoint(runtime, dir, builder(parseStsnConfig(json, path)));
}

/** A model with random weights. */
export function randomStsn(runtime: Runtime, config: StsnConfig, seed: number): Stsn {
  return new Stsn(new Parameters(runtime, randomSource(seed)), config);
}

/** A model whose encoder comes from a file and whose other weights are random. */
export function stsnFromEncoder(
  runtime: Runtime,
  config: StsnConfig,
  encoder: PretrainedEncoder,
  seed: number,
): Stsn {
  return fromEncoder(runtime, encoder, seed, builder(config));
}

/** The files of a checkpoint, by name. */
export const checkpointFiles = (model: Stsn, tokenizer: Tokenizer): Promise<Record<string, FileContent>> =>
  filesOf(stsnConfigJson(model.config), model.parameters, tokenizer);
