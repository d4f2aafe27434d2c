/**
 * Documents in sentences, as SciERC (Luan et al. 2018), DyGIE++ (Wadden et al. 2019; doc/data.md of
 * github.com/dwadden/dygiepp) and PURE (Zhong and Chen 2021) read them. Offsets count the document's tokens, end
 * inclusive. A sentence becomes a row; those of a document of several are numbered in their ids (`doc#0`, `doc#1`).
 */
import { isObject, type Json } from '../../../io/json.ts';
import type { Entity, Relation, RowReader } from '../../dataset.ts';
import type { Reading } from '../reading.ts';
import type { Counts, FoundRow, Row } from '../row.ts';
import { jsonLines, keyOf, type JsonFormat } from './format.ts';

const isSentences = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.every((sentence) => Array.isArray(sentence)) &&
  typeof value[0]?.[0] !== 'number';

/** A list of every sentence, such as `ner`; empty lists where it is missing. */
function perSentence(fields: Json, field: string, sentences: number, row: RowReader): unknown[][] {
  const lists = row.optionalList(fields, field);
  if (lists && lists.length !== sentences)
    row.fail(field, `has ${lists.length} lists for ${sentences} sentences`);
  return Array.from({ length: sentences }, (_, i) =>
    lists?.[i] === undefined || lists[i] === null ? [] : row.asList(lists[i], `${field}[${i}]`),
  );
}

/** The tokens of a span from `first` to `last` of the document, in the sentence that begins at `begin`. */
function spanAt(row: RowReader, list: unknown[], at: number, begin: number, where: string): [number, number] {
  return [
    row.asInteger(list[at], `${where}[${at}]`) - begin,
    row.asInteger(list[at + 1], `${where}[${at + 1}]`) - begin,
  ];
}

function relationAt(
  value: unknown,
  entities: readonly Entity[],
  begin: number,
  where: string,
  row: RowReader,
  reading: Reading,
): Relation[] {
  const list = row.asList(value, where);
  const ends = [0, 2].map((at) => {
    const [first, last] = spanAt(row, list, at, begin, where);
    return entities.findIndex(({ start, end }) => start === first && end === last + 1);
  });
  const type = row.asName(list[4], `${where}[4]`);
  if (ends.some((end) => end < 0)) {
    reading.counts.add('relations between spans that are no entities of their sentence, left out');
    return [];
  }
  return [row.pair(type, [ends[0], ends[1]], where, entities.length)];
}

/** The rows of a document, by its id. */
interface Numbered {
  key: string | number;
  rows: Row[];
}

/** Rows by document: those that are numbered in their ids from 0 on, else each by itself. */
function documents(rows: readonly Row[]): Numbered[] {
  const found: (Numbered & { numbered: boolean })[] = [];
  rows.forEach((row, i) => {
    const [, key, number] = /^(.*)#(\d+)$/s.exec(String(row.id ?? '')) ?? [];
    const last = found.at(-1);
    if (last?.numbered && last.key === key && Number(number) === last.rows.length) last.rows.push(row);
    else
      found.push({
        key: number === '0' ? key : (row.id ?? keyOf(row, i)),
        rows: [row],
        numbered: number === '0',
      });
  });
  return found.map((one) => (one.rows.length > 1 ? one : { ...one, key: one.rows[0].id ?? one.key }));
}

function documentJson({ key, rows }: Numbered, losses: Counts): Json {
  let begin = 0;
  const ner: unknown[] = [];
  const relations: unknown[] = [];
  for (const { tokens, entities, relations: own } of rows) {
    const base = begin;
    const span = ({ start, end }: Entity): number[] => [base + start, base + end - 1];
    const spanKey = (i: number): string => span(entities[i]).join();
    ner.push(entities.map((entity) => [...span(entity), entity.type]));
    const kept = own.filter(({ head, tail }) => spanKey(head) !== spanKey(tail));
    losses.add('relations whose ends are one span', own.length - kept.length);
    const firsts = new Map(entities.map((_, i): [string, number] => [spanKey(i), i]).reverse());
    const first = (i: number): boolean => firsts.get(spanKey(i)) === i;
    losses.add(
      'relations of the second type on a span, which become relations of the first',
      kept.filter(({ head, tail }) => !first(head) || !first(tail)).length,
    );
    relations.push(
      kept.map(({ type, head, tail }) => [...span(entities[head]), ...span(entities[tail]), type]),
    );
    begin += tokens!.length;
  }
  return { doc_key: key, sentences: rows.map(({ tokens }) => tokens), ner, relations };
}

export const dygie: JsonFormat = {
  kind: 'json',
  name: 'dygie',
  title: 'DyGIE++ / SciERC JSON',
  holds: { unit: 'token', ids: true, overlaps: true, relations: true },
  is: (record) =>
    isObject(record) &&
    isSentences(record.sentences) &&
    record.tokens === undefined &&
    record.text === undefined,
  read(record, row, reading) {
    const fields = row.fields(record, '');
    const sentences = row
      .list(fields, 'sentences')
      .map((sentence, i) => row.strings(row.asList(sentence, `sentences[${i}]`), `sentences[${i}]`));
    const ner = perSentence(fields, 'ner', sentences.length, row);
    const relations = perSentence(fields, 'relations', sentences.length, row);
    for (const [field, what] of [
      ['clusters', 'clusters of coreferent spans'],
      ['events', 'lists of events'],
    ] as const) {
      const filled = (row.optionalList(fields, field) ?? []).filter(
        (list) => !Array.isArray(list) || list.length > 0,
      );
      reading.counts.add(`${what}, left out`, filled.length);
    }
    const key = fields.doc_key ?? fields.doc_id;
    let begin = 0;
    return sentences.map((tokens, i): FoundRow => {
      const entities = ner[i].map((value, j) => {
        const where = `ner[${i}][${j}]`;
        const list = row.asList(value, where);
        const span = spanAt(row, list, 0, begin, where);
        return row.inclusiveEntity(row.asName(list[2], `${where}[2]`), span, where, tokens.length);
      });
      const own = relations[i].flatMap((value, j) =>
        relationAt(value, entities, begin, `relations[${i}][${j}]`, row, reading),
      );
      begin += tokens.length;
      const place = sentences.length > 1 ? `${row.place}, sentence ${i + 1}` : row.place;
      const id =
        typeof key !== 'string' && typeof key !== 'number'
          ? {}
          : { id: sentences.length > 1 ? `${key}#${i}` : key };
      return { place, tokens, entities, relations: own, ...id };
    });
  },
  write: (rows, losses) => jsonLines(documents(rows).map((document) => documentJson(document, losses))),
};
