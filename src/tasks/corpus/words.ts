/** Rows of words without annotations, to predict on. */
import { parseRecords, quote, RowReader } from '../dataset.ts';
import type { Words } from '../extraction.ts';

/**
 * Reads a JSON array, or JSON lines, of {`tokens`: string[]}; `id`, else `orig_id`, is kept, any other key ignored, so that
 * an annotated corpus is one too. A row may have no words.
 * @param file its name, for messages
 * @throws InputError, one line that names file, row (from 1) and field, or the line where the text is not JSON
 */
export function parseWords(text: string, file: string): Words[] {
  return parseRecords(text.replace(/^\ufeff/, ''), file, 'objects with tokens').map((record, i) => {
    const row = new RowReader(file, i + 1);
    const fields = row.fields(record, '');
    const tokens = row
      .list(fields, 'tokens')
      .map((token, t) =>
        typeof token === 'string' ? token : row.fail(`tokens[${t}]`, `is ${quote(token)}, not a string`),
      );
    return { tokens, ...row.id(fields) };
  });
}
