/** Corpora of every format as rows: what a file is, is seen from its content. */
import { InputError } from '../../../kernels/errors.ts';
import { isObject, jsonErrorOffset, parseJson, type Json } from '../../io/json.ts';
import { quote, RowReader } from '../dataset.ts';
import { brat, conll, formatNamed, jsonFormats } from './formats/index.ts';
import { PASSED_OVER, type Format, type JsonFormat } from './formats/format.ts';
import { CODE_POINTS, settleOffsets, UTF16 } from './offsets.ts';
import { Reading, type ReadOptions } from './reading.ts';
import type { Files, FoundRow, Row } from './row.ts';
import { joinedText, tokenOffsets } from './tokens.ts';

interface Found {
  format: Format;
  rows: FoundRow[];
  /** What the note says beside the format's name. */
  about?: string;
}

/** The list that a whole JSON document holds, undefined for what is no record of it; undefined where it holds none. */
function listIn(
  document: unknown,
  { counts }: Reading,
  isRecord: (record: unknown) => boolean,
): unknown[] | undefined {
  if (Array.isArray(document)) return document;
  // Annotation tools put spaCy's pairs under "annotations", with null for a text that was passed over.
  if (isObject(document) && Array.isArray(document.annotations) && Array.isArray(document.classes)) {
    const entries: unknown[] = document.annotations;
    counts.add(PASSED_OVER, entries.filter((entry) => entry === null).length);
    return entries.map((entry) => entry ?? undefined);
  }
  return isRecord(document) ? [document] : undefined;
}

/** The records of a JSON array, or of JSON lines: one a line, blank lines skipped. A line that is not JSON is a bad row. */
function recordsOf(content: string, reading: Reading, isRecord: (record: unknown) => boolean): unknown[] {
  const { file, bad } = reading;
  const whole = content.trim();
  const firstLine = whole.split('\n', 1)[0];
  const isOneLine = firstLine.length === whole.length;
  if (!isOneLine && /^[{[]/.test(firstLine) && jsonErrorOffset(firstLine) === -1)
    return content.split('\n').flatMap((line, i) => {
      if (line.trim() === '') return [];
      return [bad.attempt(() => ({ record: parseJson(line, file, i + 1) }))?.record];
    });
  const document = parseJson(content, file);
  const list = listIn(document, reading, (record) => isRecord(record) || (isOneLine && isObject(record)));
  if (list) return list;
  throw new InputError(`${file}: neither a JSON array of documents nor one object a line`);
}

const keysOf = (record: Json): string => {
  const keys = Object.keys(record);
  return keys.length === 0 ? 'no keys' : `the keys ${quote(keys.join(', ')).slice(1, -1)}`;
};

/** A record's rows, by the format that it is of. */
function readRecord(record: unknown, i: number, reading: Reading, forced?: JsonFormat): Found | undefined {
  if (record === undefined) return undefined;
  return reading.bad.attempt(() => {
    const row = new RowReader(reading.file, i + 1);
    const format = forced ?? jsonFormats.find((one) => one.is(record));
    if (!format)
      return row.fail('', `is of no known format (see docs/formats.md): ${keysOf(row.fields(record, ''))}`);
    const rows = format.read(record, row, reading);
    return { format, rows: Array.isArray(rows) ? rows : [rows] };
  });
}

/** What JSON records hold, records of one format that follow one another together. */
function readJson(content: string, reading: Reading, forced?: JsonFormat): Found[] {
  const isRecord = (record: unknown): boolean =>
    forced !== undefined || jsonFormats.some((one) => one.is(record));
  const runs: Found[] = [];
  recordsOf(content, reading, isRecord).forEach((record, i) => {
    const found = readRecord(record, i, reading, forced);
    if (!found) return;
    const last = runs.at(-1);
    if (last?.format === found.format) last.rows.push(...found.rows);
    else runs.push(found);
  });
  return runs.map(({ format, rows }) => ({
    format,
    rows: (format as JsonFormat).join?.(rows, reading) ?? rows,
  }));
}

/** Rows whose text, if their format gives one, is their tokens; single characters that have none stand side by side. */
function withText({ format, rows }: Found, { counts }: Reading): FoundRow[] {
  if (format.kind === 'json' && format.wordsAlways) return rows;
  const all = rows.flatMap(({ tokens = [] }) => tokens);
  const characters = all.length > 0 && all.every((token) => [...token].length === 1);
  return rows.map(({ text, ...row }) => {
    if (!row.tokens) return { ...row, text };
    const agrees = text === undefined || typeof tokenOffsets(row.tokens, text) !== 'number';
    counts.add('texts that are not their tokens, left aside', agrees ? 0 : 1);
    if (agrees && text !== undefined) return { ...row, text };
    return characters ? { ...row, text: joinedText(row.tokens, true) } : row;
  });
}

function readText(content: string, reading: Reading): Found[] {
  const text = content.replace(/^\ufeff/, '');
  const { format: name } = reading.options;
  const forced = name === undefined ? undefined : formatNamed(name);
  if (forced?.kind === 'folder')
    throw new InputError(`${reading.file}: ${forced.title} is a folder of .txt and .ann files`);
  if (text.trim() === '') return [];
  if (forced ? forced.kind === 'lines' : conll.is(text))
    return [{ format: conll, ...conll.read(text, reading) }];
  if (!/^\s*[[{]/.test(text))
    throw new InputError(
      `${reading.file}: neither JSON nor lines of a word and its tag, such as "Ada B-Person": it begins with ` +
        `${quote(text.trimStart().split('\n', 1)[0].trimEnd())}; docs/formats.md lists what is read`,
    );
  return readJson(text, reading, forced as JsonFormat | undefined);
}

/** A note on types that are written in several ways: as good as always one type. */
function spellingNotes(rows: readonly Row[]): string[] {
  const spellings = new Map<string, Set<string>>();
  const add = (kind: string, type: string): void => {
    const plain = `${kind} ${type.trim().toLowerCase()}`;
    spellings.set(plain, (spellings.get(plain) ?? new Set()).add(type));
  };
  for (const { entities, relations } of rows) {
    for (const { type } of entities) add('entity', type);
    for (const { type } of relations) add('relation', type);
  }
  const several = [...spellings.values()].filter(({ size }) => size > 1);
  if (several.length === 0) return [];
  const told = several.map((ones) => [...ones].map((one) => quote(one)).join(' and ')).join('; ');
  return [`types that differ in capitals or blanks alone, taken for different ones: ${told}`];
}

/** Rows with their offsets settled; `undefined` for a bad one. */
function settled({ format, rows }: Found, { options, bad, counts }: Reading): (Row | undefined)[] {
  const texts = rows.filter(({ tokens }) => tokens === undefined);
  const native = format.kind === 'lines' ? CODE_POINTS : (format.counting ?? UTF16);
  const found = settleOffsets(texts, native, options.offsets, bad, counts);
  let next = 0;
  return rows.map((row) => (row.tokens === undefined ? found[next++] : (row as Row)));
}

export interface ReadRows<T> {
  items: T[];
  /** Where each item stands in the file: `row 3`. */
  places: string[];
  notes: string[];
}

/**
 * Reads a corpus of any format (docs/formats.md).
 * @param content a file's text, a leading byte order mark skipped, or several files by name (brat)
 * @param file its name, for messages
 * @param what it holds, for messages: `document`
 * @param convert makes of a row what is wanted; undefined leaves it out, an InputError makes it a bad row
 * @returns at least one item
 * @throws InputError, one line that names file, row (from 1) or line, and field: of every bad row, where these stop it
 */
export function readRows<T>(
  content: string | Files,
  file: string,
  options: ReadOptions,
  what: string,
  convert: (row: Row, reading: Reading) => T | undefined,
): ReadRows<T> {
  if (typeof content !== 'string' && (typeof content !== 'object' || content === null))
    throw new InputError(`${file}: must be a text, or files by name`);
  const reading = new Reading(file, options);
  const { bad, counts } = reading;
  const found: Found[] =
    typeof content === 'string'
      ? readText(content, reading)
      : [{ format: brat, rows: brat.read(content, reading) }];
  const told = found.filter(({ format }) => !format.usual);
  const names = told.map(({ format, about }) => `read as ${format.title}${about ? `: ${about}` : ''}`);
  const items: T[] = [];
  const places: string[] = [];
  const kept: Row[] = [];
  for (const run of found)
    for (const row of settled({ ...run, rows: withText(run, reading) }, reading)) {
      const item = row && bad.attempt(() => convert(row, reading));
      if (!row || item === undefined) continue;
      items.push(item);
      kept.push(row);
      places.push(row.place);
    }
  const notes = [
    ...new Set(names),
    ...reading.notes,
    ...(items.length === 0 && bad.count > 0 ? bad.refuse() : bad.settle()),
    ...counts.notes(),
    ...spellingNotes(kept),
  ];
  if (items.length === 0) {
    const why = counts.notes().join('; ');
    throw new InputError(`${file}: holds no ${what}${why && ` (${why})`}`);
  }
  return { items, places, notes };
}
