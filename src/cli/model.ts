/** What the commands that use a trained model share. */
import { parseStsnConfig, type StsnConfig } from '../models/stsn.ts';
import { readCheckpointConfig } from '../tasks/checkpoint.ts';
import { checkLabels, type Sentence } from '../tasks/dataset.ts';
import { readSpertFile } from '../tasks/dataset-file.ts';
import type { Option } from './command.ts';

export const modelOption: Option = { value: 'DIR', doc: 'checkpoint folder', required: true };

/** The config of a checkpoint folder, without its weights. Errors: InputError naming the file and key. */
export function readModelConfig(dir: string): StsnConfig {
  const { json, path } = readCheckpointConfig(dir);
  return parseStsnConfig(json, path);
}

/** A corpus whose labels the model knows. Errors: InputError naming file, row and field. */
export function readLabelled(path: string, config: StsnConfig): Sentence[] {
  const sentences = readSpertFile(path);
  checkLabels(sentences, config, path);
  return sentences;
}
