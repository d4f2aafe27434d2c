/** A folder with the splits of a corpus, and perhaps a schema. Node only. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonFile } from '../checkpoint.ts';
import { readDocumentsFile } from '../corpus/corpus-file.ts';
import { neededSplitFile } from '../dataset-file.ts';
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
 * @throws InputError for a split that is not there and what the readers refuse
 */
export function readCorpusFolder(folder: string): CorpusFolder {
  const read = (name: string): DocumentCorpus => {
    const file = neededSplitFile(folder, name);
    return { documents: readDocumentsFile(file).documents, file };
  };
  const [train, dev, test] = ['train', 'dev', 'test'].map(read);
  const file = join(folder, 'schema.json');
  const schema = existsSync(file)
    ? parseSchema(readJsonFile(file, 'schema'), file)
    : inferSchema(train.documents);
  return { train, dev, test, schema };
}
