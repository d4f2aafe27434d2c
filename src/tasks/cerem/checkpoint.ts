/** CEREM models from checkpoint folders, from an encoder's folder, or random. Node only. */
import { join } from 'node:path';
import type { Runtime } from '../../gpu/runtime.ts';
import type { FileContent } from '../../io/files.ts';
import { Cerem, ceremConfigJson, parseCeremConfig, type CeremConfig } from '../../models/cerem.ts';
import { Parameters, randomSource, type Init } from '../../nn/parameters.ts';
import {
  filesOf,
  fromEncoder,
  loadCheckpoint,
  readCheckpointConfig,
  readJsonFile,
  type Build,
  type Loaded,
  type PretrainedEncoder,
} from '../checkpoint.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { parseSchema, schemaJson, type Schema } from './schema.ts';

/** The schema in a checkpoint folder. */
export const SCHEMA = 'schema.json';

export type LoadedCerem = Loaded<Cerem>;

const builder =
  (config: CeremConfig, mixInit?: Init): Build<Cerem> =>
  (parameters, pooler) =>
    new Cerem(parameters, config, { pooler, mixInit });

/** Loads a checkpoint folder. Errors: InputError naming the file and what is wrong with it. */
export function loadCerem(runtime: Runtime, dir: string): LoadedCerem {
  const { json, path } = readCheckpointConfig(dir);
  return loadCheckpoint(runtime, dir, builder(parseCeremConfig(json, path)));
}

/** A model with random weights; `mixInit` as in `CeremOptions`. */
export function randomCerem(runtime: Runtime, config: CeremConfig, seed: number, mixInit?: Init): Cerem {
  return builder(config, mixInit)(new Parameters(runtime, randomSource(seed)), false);
}

/** A model whose encoder comes from a file and whose other weights are random; `mixInit` as in `CeremOptions`. */
export function ceremFromEncoder(
  runtime: Runtime,
  config: CeremConfig,
  encoder: PretrainedEncoder,
  seed: number,
  mixInit?: Init,
): Cerem {
  return fromEncoder(runtime, encoder, seed, builder(config, mixInit));
}

/** The files of a checkpoint, by name; with the schema that the model was trained with, where there is one. */
export const checkpointFiles = async (
  model: Cerem,
  tokenizer: Tokenizer,
  schema?: Schema,
): Promise<Record<string, FileContent>> => ({
  ...(await filesOf(ceremConfigJson(model.config), model.parameters, tokenizer)),
  ...(schema && { [SCHEMA]: `${JSON.stringify(schemaJson(schema), null, 2)}\n` }),
});

/** The schema that the model of a checkpoint folder was trained with. Errors: InputError naming the file, none included. */
export function readSchema(dir: string): Schema {
  const path = join(dir, SCHEMA);
  return parseSchema(readJsonFile(path, 'schema'), path);
}
