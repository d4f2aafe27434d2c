/**
 * doccano's JSONL exports: of sequence labelling, `label` [start, end, type] (doccano.github.io/doccano/tutorial), and with
 * relations, `entities` and `relations` by id (github.com/doccano/doccano, pull request 1703). Offsets are Python's.
 */
import { isObject, type Json } from '../../../io/json.ts';
import { quote, type Relation, type RowReader } from '../../dataset.ts';
import { CODE_POINTS, codePointsOf } from '../offsets.ts';
import type { FoundEntity } from '../row.ts';
import { idOf, jsonLines, type JsonFormat } from './format.ts';
import { listEntity } from './list-entity.ts';

const LABELS = ['label', 'labels'];

const isOffsetEntity = (value: unknown): boolean => isObject(value) && value.start_offset !== undefined;

/** `label` of a row: a list, of lists where it is of spans. */
const labelsOf = (fields: Json): string | undefined => LABELS.find((key) => Array.isArray(fields[key]));

/** Entities and relations that name each other by `id`. */
function identified(fields: Json, row: RowReader): { entities: FoundEntity[]; relations: Relation[] } {
  const byId = new Map<unknown, number>();
  const entities = (row.optionalList(fields, 'entities') ?? []).map((value, i): FoundEntity => {
    const where = `entities[${i}]`;
    const entity = row.fields(value, where);
    const { id } = entity;
    if (byId.has(id)) row.fail(`${where}.id`, `is ${quote(id)}, as that of entities[${byId.get(id)}]`);
    if (id !== undefined && id !== null) byId.set(id, i);
    const [start, end] = ['start_offset', 'end_offset'].map((key) => row.integer(entity, where, key));
    return { type: row.type(entity, where, 'label'), start, end, where };
  });
  const relations = (row.optionalList(fields, 'relations') ?? []).map((value, i) => {
    const where = `relations[${i}]`;
    const relation = row.fields(value, where);
    const [head, tail] = ['from_id', 'to_id'].map((key) => {
      const id = relation[key];
      return byId.get(id) ?? row.fail(`${where}.${key}`, `is ${quote(id)}, the id of no entity`);
    });
    return row.pair(row.type(relation, where), [head, tail], where, entities.length);
  });
  return { entities, relations };
}

export const doccano: JsonFormat = {
  kind: 'json',
  name: 'doccano',
  title: 'doccano JSONL',
  holds: { unit: 'character', ids: true, overlaps: true, relations: true },
  counting: CODE_POINTS,
  is(record) {
    if (!isObject(record) || record.tokens !== undefined) return false;
    if (typeof record.text !== 'string' && typeof record.data !== 'string') return false;
    if (Array.isArray(record.entities))
      return record.entities.length > 0
        ? record.entities.some(isOffsetEntity)
        : record.Comments !== undefined;
    const key = labelsOf(record);
    return key !== undefined && !(record[key] as unknown[]).some(isObject);
  },
  read(record, row) {
    const fields = row.fields(record, '');
    const text = row.string(fields, typeof fields.text === 'string' ? 'text' : 'data');
    const found =
      fields.entities === undefined
        ? { entities: listed(fields, row), relations: [] }
        : identified(fields, row);
    return { place: row.place, text, ...found, ...row.id(fields) };
  },
  write(rows) {
    let next = 0;
    return jsonLines(
      rows.map((row) => {
        const codePoints = codePointsOf(row.text!);
        const first = next + 1;
        const entities = row.entities.map(({ type, start, end }) => ({
          id: ++next,
          label: type,
          start_offset: codePoints(start),
          end_offset: codePoints(end),
        }));
        const relations = row.relations.map(({ type, head, tail }) => ({
          id: ++next,
          from_id: first + head,
          to_id: first + tail,
          type,
        }));
        return { ...idOf(row), text: row.text, entities, relations, Comments: [] };
      }),
    );
  },
};

function listed(fields: Json, row: RowReader): FoundEntity[] {
  const key = labelsOf(fields);
  return key === undefined
    ? []
    : (fields[key] as unknown[]).map((value, i) => listEntity(value, `${key}[${i}]`, row));
}
