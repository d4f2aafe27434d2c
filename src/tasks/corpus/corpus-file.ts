/** Reading corpora of documents from disk (Node only); the formats are in `parse.ts` and work in a browser. */
import { readTextFile } from '../../io/files.ts';
import { parseDocuments, type Corpus } from './parse.ts';

/** Reads a corpus file; see `parseDocuments`, and `readTextFile` for what can go wrong before it. */
export const readDocumentsFile = (path: string): Corpus => parseDocuments(readTextFile(path, 'corpus'), path);
