import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../../../kernels/errors.ts';
import { readFileChecked, readTextFile } from '../../io/files.ts';
import {
  CONFIG_FILE,
  DEFINITION_FILE,
  SENTENCEPIECE_FILE,
  VOCAB_FILE,
  definitionOfSentencePiece,
  tokenizerFromFiles,
} from './from-files.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * The tokenizer of a model folder, or of one vocabulary file (any name; `.json` for a tokenizer.json, `.model` for a
 * SentencePiece model) with the `tokenizer_config.json` beside it, read as `tokenizerFromFiles` says. A folder's
 * `spiece.model` is read where it has no other vocabulary. Throws `InputError`, naming the file, for a
 * path that is absent or unreadable and for bytes that are not UTF-8.
 */
export function loadTokenizer(path: string): Tokenizer {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status) throw new InputError(`${path}: no such file or folder`);
  const given = status.isDirectory() ? undefined : kindOf(path);
  const folder = given ? dirname(path) : path;
  const pathOf = (file: string) => (file === given ? path : join(folder, file));
  const texts = [VOCAB_FILE, DEFINITION_FILE, CONFIG_FILE];
  const wanted = given ? [given, CONFIG_FILE] : [...texts, SENTENCEPIECE_FILE];
  const present = wanted.filter((file) => existsSync(pathOf(file)));
  const files = Object.fromEntries(
    present
      .filter((file) => texts.includes(file))
      .map((file) => [file, readTextFile(pathOf(file), 'tokenizer')]),
  );
  if (VOCAB_FILE in files || DEFINITION_FILE in files || !present.includes(SENTENCEPIECE_FILE))
    return tokenizerFromFiles(files, pathOf);
  const model = readFileChecked(pathOf(SENTENCEPIECE_FILE), 'tokenizer');
  files[DEFINITION_FILE] = definitionOfSentencePiece(model, files[CONFIG_FILE], pathOf);
  return tokenizerFromFiles(files, (file) => pathOf(file === DEFINITION_FILE ? SENTENCEPIECE_FILE : file));
}

/** What a vocabulary file of any name holds, by the end of its name. */
function kindOf(path: string): string {
  if (path.endsWith('.json')) return DEFINITION_FILE;
  return path.endsWith('.model') ? SENTENCEPIECE_FILE : VOCAB_FILE;
}
