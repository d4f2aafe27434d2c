/** The corpus of a benchmark: a folder with a file for each split. */
import { createHash } from 'node:crypto';
import { join, relative } from 'node:path';
import { packageRoot } from '../src/cli/package-root.ts';
import { readSplits as readFolder, type Splits as SplitsOf } from '../src/tasks/corpus-file.ts';
import type { SpanCorpus } from '../src/tasks/spans/model.ts';
import { stsn } from '../src/tasks/spans/stsn.ts';

export type Splits = SplitsOf<SpanCorpus> & { train: SpanCorpus };

/** The corpus that comes with Spanwise. */
const shipped = (): string => join(packageRoot(), 'corpora', 'expeditions');

/** Reads a corpus folder, the shipped one without `folder`. Errors: as the reader's, and no training split. */
export const readSplits = (folder = shipped()): Splits => readFolder(stsn, folder, ['train']);

/** What a document says of a split: its file, below the package's folder where it is there, and its contents' hash. */
export function describeCorpus({ sentences, file }: SpanCorpus): {
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
