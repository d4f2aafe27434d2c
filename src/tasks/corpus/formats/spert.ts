/** SpERT's JSON (Eberts and Ulges 2020; github.com/lavis-nlp/spert), and with `text` beside the tokens. */
import { isObject, type Json } from '../../../io/json.ts';
import type { RowReader } from '../../dataset.ts';
import type { Reading } from '../reading.ts';
import { jsonArray, type JsonFormat } from './format.ts';

/** `entities` of a row; null, as tables without an entry are exported, is an empty list. */
export function entityList(fields: Json, row: RowReader, reading: Reading): unknown[] {
  if (fields.entities === undefined)
    row.fail('entities', 'is missing: rows without annotations are for extract --tokens');
  if (fields.entities !== null) return row.list(fields, 'entities');
  reading.counts.add('rows whose entities are null, read as none');
  return [];
}

/** {`tokens`, `entities` {`type`, `start`, `end`}, `relations` {`type`, `head`, `tail`}, `orig_id`}, `end` exclusive. */
export const spert: JsonFormat = {
  kind: 'json',
  name: 'spert',
  title: 'SpERT JSON',
  usual: true,
  wordsAlways: true,
  holds: { unit: 'token', text: true, ids: true, overlaps: true, relations: true },
  is: (record) => isObject(record) && record.tokens !== undefined,
  read(record, row, reading) {
    const fields = row.fields(record, '');
    const tokens = row.strings(row.list(fields, 'tokens'), 'tokens');
    const entities = entityList(fields, row, reading).map((entity, i) =>
      row.entity(entity, `entities[${i}]`, tokens.length),
    );
    const text =
      fields.text === undefined || fields.text === null ? {} : { text: row.string(fields, 'text') };
    const relations = row.relations(fields, entities.length);
    return { place: row.place, ...text, tokens, entities, relations, ...row.id(fields) };
  },
  write: (rows) =>
    jsonArray(
      rows.map(({ tokens, text, entities, relations, id }) => ({
        tokens,
        text,
        entities,
        relations,
        orig_id: id,
      })),
    ),
};
