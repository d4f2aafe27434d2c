/** What the commands that use a trained model share. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { recoverFolder } from '../io/files.ts';
import { parseStsnConfig, type StsnConfig } from '../models/stsn.ts';
import { checkLabels, type Sentence } from '../tasks/dataset.ts';
import { readSpertFile } from '../tasks/dataset-file.ts';
import { CONFIG, readJsonFile } from '../tasks/stsn/checkpoint.ts';
import type { Option } from './command.ts';

export const modelOption: Option = { value: 'DIR', doc: 'checkpoint folder', required: true };

/** The config of a checkpoint folder, without its weights. Errors: InputError naming the file and key. */
export function readModelConfig(dir: string): StsnConfig {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory())
    throw new InputError(`${dir}: no such model folder`);
  recoverFolder(dir);
  const path = join(dir, CONFIG);
  return parseStsnConfig(readJsonFile(path, 'model config'), path);
}

/** A corpus whose labels the model knows. Errors: InputError naming file, row and field. */
export function readLabelled(path: string, config: StsnConfig): Sentence[] {
  const sentences = readSpertFile(path);
  checkLabels(sentences, config, path);
  return sentences;
}
