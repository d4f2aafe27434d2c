/** The corpus of a benchmark: a folder with a file for each split. */
import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { InputError } from '../kernels/errors.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import { readSpertFile } from '../src/tasks/dataset-file.ts';
import type { Corpus } from '../src/tasks/stsn/train.ts';

export interface Splits {
  train: Corpus;
  /** Absent where the folder has none. */
  dev?: Corpus;
  test?: Corpus;
}

/** The corpus that comes with Spanwise. */
const shipped = (): string => join(packageRoot(), 'corpora', 'expeditions');

/** The split of that name: `train.json`, or `anything_train.json`. Errors: several such files. */
function split(folder: string, name: string): Corpus | undefined {
  const files = readdirSync(folder).filter(
    (file) => file === `${name}.json` || file.endsWith(`_${name}.json`),
  );
  if (files.length > 1)
    throw new InputError(`${folder}: several files end in ${name}.json: ${files.join(', ')}`);
  if (files.length === 0) return undefined;
  const file = join(folder, files[0]);
  return { sentences: readSpertFile(file), file };
}

/**
 * Reads a corpus folder in the SpERT style, the shipped one without `folder`.
 * Errors: InputError for no such folder, no training split, and what the reader refuses.
 */
export function readSplits(folder = shipped()): Splits {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new InputError(`${folder}: no such folder`);
  const train = split(folder, 'train');
  if (!train) throw new InputError(`${folder}: no file is named train.json or *_train.json`);
  return { train, dev: split(folder, 'dev'), test: split(folder, 'test') };
}

/** What a document says of a split: its file, below the package's folder where it is there, and its contents' hash. */
export function describeCorpus({ sentences, file }: Corpus): {
  file: string;
  sentences: number;
  sha256: string;
} {
  const below = relative(packageRoot(), file);
  return {
    file: below.startsWith('..') ? file : below,
    sentences: sentences.length,
    sha256: createHash('sha256').update(JSON.stringify(sentences)).digest('hex'),
  };
}
