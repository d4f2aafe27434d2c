/** Corpora on disk: files, and folders with the splits of one. Node only. */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { namesIn, readTextFile, statsOf } from '../io/files.ts';
import type { ReadOptions } from './corpus/reading.ts';
import type { Files } from './corpus/row.ts';
import type { Definition, Types } from './definition.ts';
import { readJsonFile } from './folder.ts';

/** A `.ann` file with its `.txt`, by name; of a text that is not there nothing. */
function annotated(folder: string, name: string): [string, string][] {
  return [name, name.replace(/\.ann$/, '.txt')]
    .filter((file) => existsSync(join(folder, file)))
    .map((file) => [file, readTextFile(join(folder, file), 'corpus')]);
}

/**
 * The text of a corpus file; of a folder of brat's `.ann` and `.txt` files, and of one such `.ann`, the files by name.
 * @throws InputError naming what is missing or not UTF-8
 */
export function corpusContent(path: string): string | Files {
  if (path.endsWith('.ann') && existsSync(path))
    return Object.fromEntries(annotated(dirname(path), basename(path)));
  const isFolder = statsOf(path)?.isDirectory() === true;
  const names = isFolder ? namesIn(path).filter((name) => name.endsWith('.ann')) : [];
  if (names.length === 0) return readTextFile(path, 'corpus');
  return Object.fromEntries(names.flatMap((name) => annotated(path, name)));
}

/** Reads a corpus of any format as a definition does. Errors: those of `corpusContent` and of the definition. */
export const readCorpus = <T extends Types>(
  definition: Definition<T>,
  path: string,
  options?: ReadOptions,
): T['corpus'] => definition.read(corpusContent(path), path, options);

export interface Splits<C> {
  train: C;
  /** Absent where the folder has none. */
  dev?: C;
  test?: C;
}

/** The file of the split of that name: `train.json`, or `anything_train.json`. Errors: several such files. */
function splitFile(folder: string, name: string): string | undefined {
  if (!statsOf(folder)?.isDirectory()) throw new InputError(`${folder}: no such folder`);
  const files = namesIn(folder).filter((file) => file === `${name}.json` || file.endsWith(`_${name}.json`));
  if (files.length > 1)
    throw new InputError(`${folder}: several files end in ${name}.json: ${files.join(', ')}`);
  return files.length === 0 ? undefined : join(folder, files[0]);
}

/** The file of a split that cannot be done without. Errors: InputError where there is none, or several. */
function neededSplitFile(folder: string, name: string): string {
  const file = splitFile(folder, name);
  if (file === undefined) throw new InputError(`${folder}: no file is named ${name}.json or *_${name}.json`);
  return file;
}

/**
 * Reads the splits of a corpus folder.
 * @throws InputError for no such folder, a split that `needed` names and that is not there, several files of a split,
 *   and what the reader refuses
 */
export function readSplits<T extends Types, K extends keyof Splits<T['corpus']>>(
  definition: Definition<T>,
  folder: string,
  needed: readonly K[],
): Splits<T['corpus']> & Required<Pick<Splits<T['corpus']>, K>> {
  const splits: Partial<Splits<T['corpus']>> = {};
  for (const name of ['train', 'dev', 'test'] as const) {
    const isNeeded = (needed as readonly string[]).includes(name);
    const file = isNeeded ? neededSplitFile(folder, name) : splitFile(folder, name);
    if (file !== undefined) splits[name] = readCorpus(definition, file);
  }
  return splits as Splits<T['corpus']> & Required<Pick<Splits<T['corpus']>, K>>;
}

/** What a model has beside its corpus: the file of it in the corpus's folder, else what the training data give. */
export function corpusExtra<T extends Types>(
  { extra }: Definition<T>,
  folder: string,
  train: T['corpus'],
): T['extra'] {
  const file = extra && join(folder, extra.file);
  return file && existsSync(file) ? extra.parse(readJsonFile(file, extra.option), file) : extra?.start(train);
}
