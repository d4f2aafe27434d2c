/** Corpora of every format as documents: texts with offsets in UTF-16 code units. */
import { RowReader } from '../dataset.ts';
import type { Document } from '../document.ts';
import { readRows } from './read.ts';
import type { ReadOptions } from './reading.ts';
import type { Files, Row } from './row.ts';
import { fromTokens } from './tokens.ts';

/** A corpus, and what its reader noticed, a line each. */
export interface Documents {
  documents: Document[];
  notes: string[];
  /** Where each document stands in its file: `row 3`. */
  places: string[];
}

/** A row as a document. Errors: InputError naming the token that does not come next in the row's text. */
export function documentOf({ place, text, tokens, entities, relations, id }: Row, file: string): Document {
  const rest = { relations, ...(id === undefined ? {} : { id }) };
  if (!tokens) return { text: text ?? '', entities, ...rest };
  return fromTokens({ tokens, entities, ...rest }, text, new RowReader(file, place));
}

/**
 * Reads a corpus of any format (docs/formats.md) into documents. `text`, where tokens have one, is these in order with at
 * most white space between them; without one they are joined with spaces, or, where all of a file are single characters
 * and it is not SpERT's JSON, with nothing.
 * @param content a file's text, a leading byte order mark skipped, or several files by name (brat)
 * @param file its name, for messages
 * @returns at least one document; those of nothing but white space are left out, which a note counts
 * @throws InputError, one line that names file, row (from 1) or line, and field
 */
export function parseDocuments(content: string | Files, file: string, options: ReadOptions = {}): Documents {
  const { items, ...rest } = readRows(content, file, options, 'document', (row, { counts }) => {
    const document = documentOf(row, file);
    if (document.text.trim() !== '' || document.entities.length > 0) return document;
    counts.add('sentences without a word, left out');
    return undefined;
  });
  return { documents: items, ...rest };
}
