/** The corpus of a benchmark: a folder with a file for each split. */
import { createHash } from 'node:crypto';
import { join, relative } from 'node:path';
import { packageRoot } from '../src/cli/package-root.ts';
import { readSplits as readFolder, type Splits } from '../src/tasks/dataset-file.ts';
import type { Corpus } from '../src/tasks/stsn/train.ts';

export type { Splits };

/** The corpus that comes with Spanwise. */
const shipped = (): string => join(packageRoot(), 'corpora', 'expeditions');

/** Reads a corpus folder, the shipped one without `folder`. Errors: as the reader's, and no training split. */
export const readSplits = (folder = shipped()): Splits => readFolder(folder, ['train']);

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
