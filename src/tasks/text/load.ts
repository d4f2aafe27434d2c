import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../../../kernels/errors.ts';
import { readFileChecked, statsOf } from '../../io/files.ts';
import {
  CONFIG_FILE,
  DEFINITION_FILE,
  SENTENCEPIECE_FILE,
  VOCAB_FILE,
  XLM_FILE,
  tokenizerFromSource,
} from './from-files.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * The tokenizer of a model folder, or of one vocabulary file (any name; `.json` for a tokenizer.json, `.model` for a
 * SentencePiece model) with the `tokenizer_config.json` beside it: see `tokenizerFromSource`. Errors: InputError, naming
 * the file, for a path that is absent or unreadable and for bytes that are not UTF-8.
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  const status = statsOf(path);
  if (!status) throw new InputError(`${path}: no such file or folder`);
  const given = status.isDirectory() ? undefined : kindOf(path);
  const folder = given ? dirname(path) : path;
  const pathOf = (file: string) => (file === given ? path : join(folder, file));
  const wanted = (file: string) => given === undefined || file === given || file === CONFIG_FILE;
  return tokenizerFromSource(
    (file) =>
      Promise.resolve(
        wanted(file) && existsSync(pathOf(file)) ? readFileChecked(pathOf(file), 'tokenizer') : undefined,
      ),
    pathOf,
  );
}

/** What a vocabulary file of any name holds, by the end of its name. */
function kindOf(path: string): string {
  if (path.endsWith('.json')) return DEFINITION_FILE;
  if (path.endsWith('.bpe.model')) return XLM_FILE;
  return path.endsWith('.model') ? SENTENCEPIECE_FILE : VOCAB_FILE;
}
