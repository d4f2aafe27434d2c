/** What the commands that use a trained model share. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { Fields } from '../models/config.ts';
import { parseStsnConfig, type StsnConfig } from '../models/stsn.ts';
import { readSchema, SCHEMA } from '../tasks/cerem/checkpoint.ts';
import { parseSchema, type Schema } from '../tasks/cerem/schema.ts';
import { readCheckpointConfig, readJsonFile } from '../tasks/checkpoint.ts';
import { checkLabels, type Sentence } from '../tasks/dataset.ts';
import { readSpertFile } from '../tasks/dataset-file.ts';
import type { Arguments, Option } from './command.ts';

export const modelOption: Option = { value: 'DIR', doc: 'checkpoint folder', required: true };

export const schemaOption: Option = {
  value: 'F',
  doc: `CEREM: what to look for (JSON; default: ${SCHEMA} of the checkpoint)`,
};
export const overlapOption: Option = {
  value: 'N',
  doc: 'CEREM: word pieces that the windows of a long text share (default 64)',
};
export const maxSubjectsOption: Option = {
  value: 'N',
  doc: 'CEREM: subjects of a document that relations are asked about, the best first (default 100)',
};
export const batchOption: Option = { value: 'N', doc: 'inputs at once (default 16)' };

/** The values of `batchOption`, `overlapOption` and `maxSubjectsOption`; undefined where they are not given. */
export function predictOptions(args: Arguments): {
  batchSize?: number;
  overlap?: number;
  maxSubjects?: number;
} {
  const count = (name: string, least: number): number | undefined =>
    args.optional(name) === undefined ? undefined : args.integer(name, least, least);
  return {
    batchSize: count('batch', 1),
    overlap: count('overlap', 0),
    maxSubjects: count('max-subjects', 0),
  };
}

/** Fails where an option is given that only another kind of model has. */
export function refuseOptions(args: Arguments, names: readonly string[], kind: string): void {
  for (const name of names)
    if (args.optional(name) !== undefined) args.fail(`--${name} goes with ${kind} models`);
}

/** The schema of `--schema`, else the checkpoint's. Errors: InputError naming the file, or that there is none. */
export function chosenSchema(args: Arguments, dir: string): Schema {
  const path = args.optional('schema');
  if (path !== undefined) return parseSchema(readJsonFile(path, 'schema'), path);
  if (!existsSync(join(dir, SCHEMA)))
    throw new InputError(`${dir}: holds no ${SCHEMA}; say with --schema what to look for`);
  return readSchema(dir);
}

/** Which model a checkpoint folder holds. Errors: InputError naming the folder, or the file and key. */
export function readModelKind(dir: string): 'stsn' | 'cerem' {
  const { json, path } = readCheckpointConfig(dir);
  return new Fields(json, path).oneOf('model', ['stsn', 'cerem']);
}

/** The config of a checkpoint folder with an STSN, without its weights. Errors: InputError naming the file and key. */
export function readStsnConfig(dir: string): StsnConfig {
  const { json, path } = readCheckpointConfig(dir);
  return parseStsnConfig(json, path);
}

/** A corpus whose labels the model knows. Errors: InputError naming file, row and field. */
export function readLabelled(path: string, config: StsnConfig): Sentence[] {
  const sentences = readSpertFile(path);
  checkLabels(sentences, config, path);
  return sentences;
}
