/** A folder with the splits of a corpus, and perhaps a schema. Node only. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonFile } from '../checkpoint.ts';
import { readDocumentsFile } from '../corpus/corpus-file.ts';
import { neededSplitFile, splitFile } from '../dataset-file.ts';
import { inferSchema, parseSchema, type Schema } from './schema.ts';
import type { DocumentCorpus } from './train.ts';

export interface CorpusFolder {
  train: DocumentCorpus;
  dev: DocumentCorpus;
  test: DocumentCorpus;
  schema: Schema;
}

/**
 * Reads the three splits of a folder, and its `schema.json`; where it has none, the types of the training split are asked.
 * A folder without a test split gives every second document of its dev split as one.
 * @throws InputError for no training or dev split and what the readers refuse
 */
export function readCorpusFolder(folder: string): CorpusFolder {
  const read = (file: string): DocumentCorpus => ({ documents: readDocumentsFile(file).documents, file });
  const train = read(neededSplitFile(folder, 'train'));
  let dev = read(neededSplitFile(folder, 'dev'));
  const testFile = splitFile(folder, 'test');
  const half = (odd: number): DocumentCorpus => ({
    file: dev.file,
    documents: dev.documents.filter((_, i) => i % 2 === odd),
  });
  const test = testFile === undefined ? half(1) : read(testFile);
  if (testFile === undefined) dev = half(0);
  const file = join(folder, 'schema.json');
  const schema = existsSync(file)
    ? parseSchema(readJsonFile(file, 'schema'), file)
    : inferSchema(train.documents);
  return { train, dev, test, schema };
}
