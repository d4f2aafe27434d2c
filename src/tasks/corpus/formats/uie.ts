/**
 * UIE's data (Lu et al. 2022; docs/DATASETS.md of github.com/universal-ie/UIE). Triggers of events become entities, and
 * their arguments relations from them.
 */
import { isObject, type Json } from '../../../io/json.ts';
import type { Entity, Relation, RowReader } from '../../dataset.ts';
import { range } from '../indices.ts';
import type { Reading } from '../reading.ts';
import type { Row } from '../row.ts';
import { idOf, jsonLines, type JsonFormat } from './format.ts';

/** The entities of a record, and the spans that its relations and events name. */
class Mentions {
  readonly entities: Entity[] = [];

  constructor(
    readonly tokens: readonly string[],
    readonly row: RowReader,
    readonly reading: Reading,
  ) {}

  /** {`type`, `offset` numbers of tokens}; undefined where it has a gap. */
  span(value: unknown, where: string): Entity | undefined {
    const { row, tokens } = this;
    const fields = row.fields(value, where);
    const span = range(row.list(fields, 'offset', where), `${where}.offset`, row);
    const type = row.type(fields, where);
    return span && row.inclusiveEntity(type, span, where, tokens.length);
  }

  add(value: unknown, where: string): number {
    const entity = this.span(value, where);
    if (entity) return this.entities.push(entity) - 1;
    this.reading.counts.add('entities with a gap, left out');
    return -1;
  }

  /** The entity on a span: of its type, else of any; −1 where there is none. */
  at(span: Entity | undefined, typed: boolean): number {
    const here = ({ start, end }: Entity): boolean => span?.start === start && span.end === end;
    const same = this.entities.findIndex((entity) => typed && here(entity) && entity.type === span?.type);
    return same >= 0 ? same : this.entities.findIndex(here);
  }

  relation(type: string, head: number, tail: number, where: string): Relation[] {
    if (head >= 0 && tail >= 0) return [this.row.pair(type, [head, tail], where, this.entities.length)];
    this.reading.counts.add('relations of which an end is no entity, left out');
    return [];
  }
}

const listAt = (fields: Json, field: string, row: RowReader): unknown[] =>
  row.optionalList(fields, field) ?? [];

/** One span's line of the structured extraction language. */
const spotText = (type: string, span: string, asoc: readonly [string, string][]): string =>
  `<extra_id_0> ${type} <extra_id_5> ${span}${asoc
    .map(([relation, object]) => ` <extra_id_0> ${relation} <extra_id_5> ${object} <extra_id_1>`)
    .join('')} <extra_id_1>`;

function recordOf(row: Row): Json {
  const { tokens = [], entities, relations } = row;
  const said = ({ start, end }: Entity): string => tokens.slice(start, end).join(' ');
  const mention = (entity: Entity): Json => ({
    type: entity.type,
    offset: Array.from({ length: entity.end - entity.start }, (_, i) => entity.start + i),
    text: said(entity),
  });
  const spots = entities.map((entity, i) => ({
    span: said(entity),
    label: entity.type,
    asoc: relations
      .filter(({ head }) => head === i)
      .map(({ type, tail }): [string, string] => [type, said(entities[tail])]),
  }));
  const distinct = (types: string[]): string[] => [...new Set(types)].sort();
  const record = spots.map(({ span, label, asoc }) => spotText(label, span, asoc));
  return {
    text: row.text ?? tokens.join(' '),
    tokens,
    record: ['<extra_id_0>', ...record, '<extra_id_1>'].join(' '),
    entity: entities.map(mention),
    relation: relations.map(({ type, head, tail }) => ({
      type,
      args: [mention(entities[head]), mention(entities[tail])],
    })),
    event: [],
    spot: distinct(entities.map(({ type }) => type)),
    asoc: distinct(relations.map(({ type }) => type)),
    spot_asoc: spots,
    ...idOf(row),
  };
}

/** {`text`, `tokens`, `entity`, `relation` {`type`, `args`}, `event` {`type`, `offset`, `args`}}. */
export const uie: JsonFormat = {
  kind: 'json',
  name: 'uie',
  title: 'UIE JSON',
  holds: { unit: 'token', text: true, ids: true, overlaps: true, relations: true },
  is: (record) =>
    isObject(record) &&
    Array.isArray(record.tokens) &&
    Array.isArray(record.entity) &&
    record.entities === undefined,
  read(record, row, reading) {
    const fields = row.fields(record, '');
    const tokens = row.strings(row.list(fields, 'tokens'), 'tokens');
    const mentions = new Mentions(tokens, row, reading);
    listAt(fields, 'entity', row).forEach((value, i) => mentions.add(value, `entity[${i}]`));
    const relations = listAt(fields, 'relation', row).flatMap((value, i) => {
      const where = `relation[${i}]`;
      const relation = row.fields(value, where);
      const args = row.list(relation, 'args', where);
      const [head, tail] = [0, 1].map((a) =>
        mentions.at(mentions.span(args[a], `${where}.args[${a}]`), true),
      );
      return mentions.relation(row.type(relation, where), head, tail, where);
    });
    const events = listAt(fields, 'event', row).flatMap((value, i) => {
      const where = `event[${i}]`;
      const trigger = mentions.add(value, where);
      return (row.optionalList(row.fields(value, where), 'args', where) ?? []).flatMap((arg, a) => {
        const at = `${where}.args[${a}]`;
        // An argument's type is its role; the entity there has a type of its own.
        const tail = mentions.at(mentions.span(arg, at), false);
        return mentions.relation(row.type(row.fields(arg, at), at), trigger, tail, where);
      });
    });
    const text =
      typeof fields.text === 'string' && fields.text !== tokens.join(' ') ? { text: fields.text } : {};
    const { entities } = mentions;
    return {
      place: row.place,
      ...text,
      tokens,
      entities,
      relations: [...relations, ...events],
      ...row.id(fields),
    };
  },
  write: (rows) => jsonLines(rows.map(recordOf)),
};
