import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../../../kernels/errors.ts';
import { CONFIG_FILE, DEFINITION_FILE, VOCAB_FILE, tokenizerFromFiles } from './from-files.ts';
import type { Tokenizer } from './tokenizer.ts';
import { decodeUtf8 } from './utf8.ts';

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
    Object.fromEntries(present.map((file) => [file, readText(pathOf(file))])),
    pathOf,
  );
}

function readText(path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new InputError(`${path}: cannot be read (${code})`, { cause: error });
  }
  return decodeUtf8(bytes, path);
}
