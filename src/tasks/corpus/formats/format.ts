/** What a format of annotated texts brings: how it is recognised, read and written. */
import { InputError } from '../../../../kernels/errors.ts';
import type { RowReader } from '../../dataset.ts';
import type { Counting } from '../offsets.ts';
import type { Reading } from '../reading.ts';
import type { Counts, Files, FoundRow, Row } from '../row.ts';
import type { Scheme } from '../tags.ts';

/** What a format can hold of a row; the rest is lost when it is written, and counted. */
export interface Holds {
  /** What its offsets count. */
  unit: 'token' | 'character';
  /** Of a format with tokens: the text as well. */
  text?: boolean;
  ids: boolean;
  /** Entities that share a token or a character. */
  overlaps: boolean;
  relations: boolean;
}

export interface WriteOptions {
  /** Tags of formats that have some; BIO when absent. */
  tags?: Scheme;
}

interface Described {
  /** As `convert` takes it. */
  readonly name: string;
  /** As notes call it. */
  readonly title: string;
  /** What a corpus is in where nothing else is said: no note tells of it. */
  readonly usual?: true;
  readonly holds: Holds;
  /**
   * @param rows reduced to what the format holds (see `reduceRows`)
   * @param losses receives what is lost all the same
   * @returns the text of a file, or several files by name
   */
  write(rows: readonly Row[], losses: Counts, options: WriteOptions): string | Files;
}

/** How a note counts what an annotator gave no answer to, or none that counts: it is no text without entities. */
export const PASSED_OVER = 'rows that were rejected, skipped or not annotated, left out';

/** A JSON array, or an object a line. */
export interface JsonFormat extends Described {
  readonly kind: 'json';
  /** How offsets of rows without tokens count; UTF-16 code units when absent. */
  readonly counting?: Counting;
  /** Tokens are words, single characters too, and stand between spaces; a text beside them must be theirs. */
  readonly wordsAlways?: true;
  is(record: unknown): boolean;
  /**
   * The rows of one record.
   * @throws InputError naming the field
   */
  read(record: unknown, row: RowReader, reading: Reading): FoundRow | FoundRow[];
  /** Puts rows together whose records are of one document, of a format that spreads it over several. */
  join?(rows: readonly FoundRow[], reading: Reading): FoundRow[];
}

/** Lines of text. */
export interface LineFormat extends Described {
  readonly kind: 'lines';
  is(content: string): boolean;
  /** Bad rows go to `reading`. `about`: what the note says of this file. */
  read(content: string, reading: Reading): { rows: FoundRow[]; about: string };
}

/** Several files. */
export interface FolderFormat extends Described {
  readonly kind: 'folder';
  readonly counting: Counting;
  read(files: Files, reading: Reading): FoundRow[];
}

export type Format = JsonFormat | LineFormat | FolderFormat;

/** Most characters of what is written: no string is longer. */
const MOST = 2 ** 29 - 2 ** 10;

/** The JSON of records. Errors: InputError where they are more than a text holds, of a format that repeats a row's words. */
function jsonOf(records: readonly unknown[]): string[] {
  let length = 0;
  return records.map((record) => {
    const text = JSON.stringify(record);
    length += text.length + 2;
    if (length > MOST)
      throw new InputError(
        `what is written is over ${MOST} characters long: the format repeats a text with each annotation; part long texts first`,
      );
    return text;
  });
}

/** A JSON array with a row a line. Errors: as `jsonLines`. */
export const jsonArray = (records: readonly unknown[]): string =>
  `[${jsonOf(records)
    .map((text) => `\n${text}`)
    .join(',')}\n]\n`;

/** An object a line. Errors: InputError where that is more than a text holds. */
export const jsonLines = (records: readonly unknown[]): string =>
  jsonOf(records)
    .map((text) => `${text}\n`)
    .join('');

/** A row's id where there is one, for an object that is written. */
export const idOf = ({ id }: Row): { id?: string | number } => (id === undefined ? {} : { id });

/** Counts the ids that a format of plain text gives back as text. */
export function countNumbers(rows: readonly Row[], losses: Counts): void {
  losses.add(
    'ids that are numbers, which become text',
    rows.filter(({ id }) => typeof id === 'number').length,
  );
}

/** An identifier of a row for formats that need one: its id, else its place among the rows. */
export const keyOf = ({ id }: Row, i: number): string => (id === undefined ? `row-${i + 1}` : String(id));
