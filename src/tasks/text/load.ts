import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../../../kernels/errors.ts';
import { readTextFile } from '../../io/files.ts';
import { CONFIG_FILE, DEFINITION_FILE, VOCAB_FILE, tokenizerFromFiles } from './from-files.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * The tokenizer of a model folder, or of one vocabulary file (any name; `.json` for a tokenizer.json) with the
 * `tokenizer_config.json` beside it, read as `tokenizerFromFiles` says. Throws `InputError`, naming the file, for a
 * path that is absent or unreadable and for bytes that are not UTF-8.
 */
export function loadTokenizer(path: string): Tokenizer {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status) throw new InputError(`${path}: no such file or folder`);
  const given = status.isDirectory() ? undefined : path.endsWith('.json') ? DEFINITION_FILE : VOCAB_FILE;
  const folder = given ? dirname(path) : path;
  const pathOf = (file: string) => (file === given ? path : join(folder, file));
  const wanted = given ? [given, CONFIG_FILE] : [VOCAB_FILE, DEFINITION_FILE, CONFIG_FILE];
  const present = wanted.filter((file) => existsSync(pathOf(file)));
  return tokenizerFromFiles(
    Object.fromEntries(present.map((file) => [file, readTextFile(pathOf(file), 'tokenizer')])),
    pathOf,
  );
}
