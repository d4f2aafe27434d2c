/** Spanwise's own JSON of texts: what `extract` and `eval --out` write. */
import { isObject } from '../../../io/json.ts';
import type { RowReader } from '../../dataset.ts';
import { UTF16 } from '../offsets.ts';
import type { FoundEntity } from '../row.ts';
import { idOf, jsonLines, type JsonFormat } from './format.ts';
import { entityList } from './spert.ts';

/** {`type`, which some call `label`, `start`, `end`} and perhaps the `text` that it covers. */
function foundEntity(value: unknown, where: string, row: RowReader): FoundEntity {
  const { label, text, ...fields } = row.fields(value, where);
  const entity = row.typedSpan(label === undefined ? fields : { type: label, ...fields }, where);
  return typeof text === 'string' ? { ...entity, said: text, where } : { ...entity, where };
}

/** {`text`, `entities` {`type`, `start`, `end`, `text`?}, `relations` {`type`, `head`, `tail`}, `id`}. */
export const text: JsonFormat = {
  kind: 'json',
  name: 'text',
  title: 'JSON of texts',
  holds: { unit: 'character', ids: true, overlaps: true, relations: true },
  counting: UTF16,
  is: (record) => isObject(record) && typeof record.text === 'string' && record.entities !== undefined,
  read(record, row, reading) {
    const fields = row.fields(record, '');
    const content = row.string(fields, 'text');
    const entities = entityList(fields, row, reading).map((entity, i) =>
      foundEntity(entity, `entities[${i}]`, row),
    );
    const relations = row.relations(fields, entities.length);
    return { place: row.place, text: content, entities, relations, ...row.id(fields) };
  },
  write: (rows) =>
    jsonLines(
      rows.map((row) => ({
        text: row.text,
        entities: row.entities.map((e) => ({ ...e, text: row.text!.slice(e.start, e.end) })),
        relations: row.relations,
        ...idOf(row),
      })),
    ),
};
