/** Extraction from rows that come one after the other, however many: memory holds a group of them. */
import { InputError } from '../../kernels/errors.ts';
import type { Lines } from '../io/lines.ts';
import type { OnBad } from './bad-rows.ts';
import type { Definition, Loaded, Types } from './definition.ts';
import { extraction, type Asked, type Extraction } from './extraction.ts';

/**
 * Rows of a group at most: in batches of like length within it, hardly more of these is padding than in batches of all
 * rows.
 */
export const GROUP = 512;

/** Complaints that are kept; more would hide the first. */
const KEPT = 20;

/** What is asked, or why a row cannot be read. */
export interface Row {
  asked: Asked;
  error?: string;
}

/** Rows to come. */
export interface Rows {
  /** Up to `most` further rows, at least one of them: none at the end. Fewer where no more are there yet. */
  next(most: number): Promise<Row[]>;
  /** Passes over rows. Returns how many there were, `count` at most. */
  skip(count: number): Promise<number>;
}

/** Most characters of a text: two million take a hundred times their memory, in windows that are all there at once. */
const LONGEST = 2 ** 21;
/** Characters that are kept of one that is longer. */
const SHOWN = 80;

/**
 * Every line a text.
 * @param what names a row (from 1) in errors
 * @param onBad whether one that is too long stops the reading, or is a row with an error
 */
export function textRows(lines: Lines, what: (row: number) => string, onBad: OnBad = 'skip'): Rows {
  let read = 0;
  const row = (text: string): Row => {
    read++;
    if (text.length <= LONGEST) return { asked: text };
    const error = `${what(read)}: a text of ${text.length} characters; more than ${LONGEST} are not read as one`;
    if (onBad === 'stop') throw new InputError(error);
    return { asked: text.slice(0, SHOWN).replace(/[\ud800-\udbff]$/, ''), error };
  };
  return {
    next: async (most) => (await lines.next(most)).map(row),
    async skip(count) {
      const skipped = await lines.skip(count);
      read += skipped;
      return skipped;
    },
  };
}

/** What became of the rows. */
export interface Streamed {
  rows: number;
  /** Rows without a result, and why: of the first of them. */
  refused: number;
  complaints: string[];
  /** The sums of `Extracted.effort`. */
  effort: Readonly<Record<string, number>>;
}

export interface StreamOptions<T extends Types = Types> {
  options?: T['options'];
  /** Told of every group that is read, before anything is done with it. */
  onGroup?(asked: readonly Asked[]): void;
  /** The number of the first row (from 1): those before it are passed over. */
  from?: number;
  /** Rows of a group at most; `GROUP` when absent. */
  group?: number;
}

/**
 * Extracts from all rows in their order, a group at a time: of a group everything is written before the next is read, so
 * that a writer that is slow holds the reader up.
 * @param what names a row (from 1) in errors
 * @param write receives the results of a group
 * @throws InputError as the rows and the definition's `extract`, and whatever `write` rejects with
 */
export async function extractStream<T extends Types>(
  definition: Definition<T>,
  loaded: Loaded<T>,
  rows: Rows,
  what: (row: number) => string,
  write: (results: Extraction[]) => Promise<void>,
  { options, onGroup, from = 1, group = GROUP }: StreamOptions<T> = {},
): Promise<Streamed> {
  const effort: Record<string, number> = {};
  const told: Streamed = { rows: 0, refused: 0, complaints: [], effort };
  let first = 1 + (from > 1 ? await rows.skip(from - 1) : 0);
  for (let given = await rows.next(group); given.length > 0; given = await rows.next(group)) {
    const asked = given.map((row) => row.asked);
    onGroup?.(asked);
    const found = await definition.extract(loaded, asked, (i) => what(first + i), options);
    const results = found.results.map((result, i) => {
      const { error } = given[i];
      return error === undefined ? result : { ...extraction(asked[i], [], []), error };
    });
    for (const [key, count] of Object.entries(found.effort ?? {})) effort[key] = (effort[key] ?? 0) + count;
    for (const { error } of results) {
      if (error === undefined) continue;
      told.refused++;
      if (told.complaints.length < KEPT) told.complaints.push(error);
    }
    await write(results);
    first += given.length;
    told.rows += given.length;
  }
  return told;
}
