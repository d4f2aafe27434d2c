/** Corpora of several formats as documents; the format is seen from the content. */
import { InputError } from '../../../kernels/errors.ts';
import type { Json } from '../../io/json.ts';
import { parseRecords, RowReader } from '../dataset.ts';
import type { Document } from '../document.ts';
import { isTaggedLine, parseTagged } from './tagged.ts';
import { fromTokens } from './tokens.ts';
import { fromTriples, tripleNotes, type TripleCounts } from './triples.ts';

/** A corpus, and what its reader noticed, a line each. */
export interface Corpus {
  documents: Document[];
  notes: string[];
}

/** A row of one of the JSON formats. */
function parseRow(fields: Json, row: RowReader, counts: TripleCounts): Document {
  if (fields.spo_list !== undefined) return fromTriples(fields, row, counts);
  if (fields.tokens !== undefined)
    return fromTokens(
      row.sentence(fields),
      fields.text === undefined ? undefined : row.string(fields, 'text'),
      row,
    );
  if (fields.text !== undefined && fields.entities !== undefined) {
    const text = row.string(fields, 'text');
    return { text, ...row.annotation(fields, text.length, 'character') };
  }
  return row.fail(
    '',
    'has neither "tokens" and "entities", nor "text" and "entities", nor "text" and "spo_list"',
  );
}

/**
 * Reads a corpus into documents, offsets in UTF-16 code units. The formats:
 * - SpERT-style JSON (see `parseSpertJson`), offsets in tokens; `text`, where there is one, is the tokens in order with
 *   at most white space between them, and without one the tokens are joined with spaces;
 * - the same without `tokens`: {`text`, `entities`, `relations`}, offsets in UTF-16 code units, as `documentsJson` and
 *   `spanwise extract` write them;
 * - DuIE's rows {`text`, `spo_list`}, see `fromTriples`;
 * - a character and its tag a line, see `parseTagged`.
 * The first three are a JSON array or JSON lines.
 * @param text the file's text; a leading byte order mark is skipped
 * @param file its name, for messages
 * @returns at least one document
 * @throws InputError, one line that names file, row (from 1) or line, and field
 */
export function parseDocuments(text: string, file: string): Corpus {
  const content = text.replace(/^\ufeff/, '');
  const firstLine = content
    .split('\n')
    .find((line) => line.trim() !== '')
    ?.replace(/\r$/, '');
  if (firstLine === undefined) throw new InputError(`${file}: holds no document`);
  if (isTaggedLine(firstLine)) return parseTagged(content, file);
  if (!/^\s*[[{]/.test(firstLine))
    throw new InputError(`${file}: neither JSON nor lines of a character and its tag, such as "x B-NAME"`);

  const records = parseRecords(content, file, 'documents');
  if (records.length === 0) throw new InputError(`${file}: holds no document`);
  const counts: TripleCounts = { triples: 0, ambiguous: 0, missing: 0 };
  const documents = records.map((record, i) => {
    const row = new RowReader(file, i + 1);
    return parseRow(row.fields(record, ''), row, counts);
  });
  return { documents, notes: tripleNotes(counts) };
}
