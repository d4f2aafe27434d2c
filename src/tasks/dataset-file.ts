/** Reading corpora from disk; everything else about them is in `dataset.ts` and works in a browser. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { readTextFile } from '../io/files.ts';
import { parsePromptedJson, type PromptedText } from './cerem/batch.ts';
import { parseSpertJson, type Sentence } from './dataset.ts';

/** Reads a file of prompted texts; see `parsePromptedJson`, and `readTextFile` for what can go wrong before it. */
export function readPromptedFile(path: string): PromptedText[] {
  return parsePromptedJson(readTextFile(path, 'prompted texts'), path);
}

/** Reads a SpERT-style corpus file; see `parseSpertJson`, and `readTextFile` for what can go wrong before it. */
export function readSpertFile(path: string): Sentence[] {
  return parseSpertJson(readTextFile(path, 'corpus'), path);
}

/** A split of a corpus and the file that it was read from. */
export interface Split {
  sentences: Sentence[];
  file: string;
}

export interface Splits {
  train: Split;
  /** Absent where the folder has none. */
  dev?: Split;
  test?: Split;
}

/** The file of the split of that name: `train.json`, or `anything_train.json`. Errors: several such files. */
export function splitFile(folder: string, name: string): string | undefined {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new InputError(`${folder}: no such folder`);
  const files = readdirSync(folder).filter(
    (file) => file === `${name}.json` || file.endsWith(`_${name}.json`),
  );
  if (files.length > 1)
    throw new InputError(`${folder}: several files end in ${name}.json: ${files.join(', ')}`);
  return files.length === 0 ? undefined : join(folder, files[0]);
}

/** The file of a split that cannot be done without. Errors: InputError where there is none, or several. */
export function neededSplitFile(folder: string, name: string): string {
  const file = splitFile(folder, name);
  if (file === undefined) throw new InputError(`${folder}: no file is named ${name}.json or *_${name}.json`);
  return file;
}

/**
 * Reads a corpus folder in the SpERT style.
 * @throws InputError for no such folder, a split that `needed` names and that is not there, several files of a split,
 *   and what the reader refuses
 */
export function readSplits<K extends keyof Splits>(
  folder: string,
  needed: readonly K[],
): Splits & Required<Pick<Splits, K>> {
  const splits: Partial<Splits> = {};
  for (const name of ['train', 'dev', 'test'] as const) {
    const isNeeded = (needed as readonly string[]).includes(name);
    const file = isNeeded ? neededSplitFile(folder, name) : splitFile(folder, name);
    if (file !== undefined) splits[name] = { sentences: readSpertFile(file), file };
  }
  return splits as Splits & Required<Pick<Splits, K>>;
}
