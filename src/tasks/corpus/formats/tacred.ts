/**
 * TACRED's JSON (Zhang et al. 2017; nlp.stanford.edu/projects/tacred): an example is one pair of spans of a sentence, so
 * the examples of a sentence, one after another, make a row.
 */
import { isObject } from '../../../io/json.ts';
import type { Entity } from '../../dataset.ts';
import type { Counts, FoundRow, Row } from '../row.ts';
import { jsonArray, keyOf, type JsonFormat } from './format.ts';

const NONE = 'no_relation';

/** Adds the entities and relations of `next`, an example of the same sentence. */
function merge(row: FoundRow, next: FoundRow): void {
  const index = next.entities.map((entity) => {
    const { type, start, end } = entity;
    const known = row.entities.findIndex((e) => e.type === type && e.start === start && e.end === end);
    return known >= 0 ? known : row.entities.push(entity) - 1;
  });
  for (const { type, head: from, tail: to } of next.relations) {
    const [head, tail] = [index[from], index[to]];
    if (!row.relations.some((r) => r.type === type && r.head === head && r.tail === tail))
      row.relations.push({ type, head, tail });
  }
}

/** The first of items of one key each, and the place among them of every item. */
function distinct<T>(items: readonly T[], keyOf: (item: T) => string): { first: T[]; index: number[] } {
  const places = new Map<string, number>();
  const first: T[] = [];
  const index = items.map((item) => {
    const key = keyOf(item);
    if (!places.has(key)) places.set(key, first.push(item) - 1);
    return places.get(key)!;
  });
  return { first, index };
}

/** What of a row a reader finds again: each thing once, and nothing that says that it is not there. */
function findable(row: Row, losses: Counts): Row {
  const { first: entities, index } = distinct(
    row.entities,
    ({ type, start, end }) => `${start} ${end} ${type}`,
  );
  const moved = row.relations.map(({ type, head, tail }) => ({ type, head: index[head], tail: index[tail] }));
  const typed = moved.filter(({ type }) => type !== NONE);
  const apart = typed.filter(({ head, tail }) => head !== tail);
  const { first: relations } = distinct(apart, ({ type, head, tail }) => `${head} ${tail} ${type}`);
  losses.add('entities that are there twice', row.entities.length - entities.length);
  losses.add(`relations of the type ${NONE}, which says that there is none`, moved.length - typed.length);
  losses.add('relations between the two of an entity that is there twice', typed.length - apart.length);
  losses.add('relations that are there twice', apart.length - relations.length);
  return { ...row, entities, relations };
}

/** The pairs of a row that are written: its relations, and one of each entity that has none. */
function pairs({ entities, relations }: Row, losses: Counts): Row['relations'] {
  const related = new Set(relations.flatMap(({ head, tail }) => [head, tail]));
  const others = entities.flatMap((_, i) => (related.has(i) ? [] : [i]));
  if (entities.length === 1) {
    losses.add('entities without another in their sentence');
    return [];
  }
  return [...relations, ...others.map((i) => ({ type: NONE, head: i, tail: i === 0 ? 1 : 0 }))];
}

/** {`token`, `subj_start`, `subj_end`, `subj_type`, `obj_…`, `relation`, `docid`}: tokens, end inclusive. */
export const tacred: JsonFormat = {
  kind: 'json',
  name: 'tacred',
  title: 'TACRED JSON',
  holds: { unit: 'token', ids: true, overlaps: true, relations: true },
  is: (record) => isObject(record) && Array.isArray(record.token) && record.subj_start !== undefined,
  read(record, row) {
    const fields = row.fields(record, '');
    const tokens = row.strings(row.list(fields, 'token'), 'token');
    const entity = (side: 'subj' | 'obj'): Entity => {
      const [first, last] = ['start', 'end'].map((at) => row.integer(fields, '', `${side}_${at}`));
      return row.inclusiveEntity(row.type(fields, '', `${side}_type`), [first, last], side, tokens.length);
    };
    const entities = [entity('subj'), entity('obj')];
    const type = row.type(fields, '', 'relation');
    const [one, other] = entities.map(({ type: t, start, end }) => `${t} ${start} ${end}`);
    if (one === other) row.fail('subj', 'is the object too');
    const relations = type === NONE ? [] : [row.pair(type, [0, 1], 'relation', 2)];
    return {
      place: row.place,
      tokens,
      entities,
      relations,
      ...row.id({ id: fields.docid }),
    };
  },
  join(rows) {
    const joined: FoundRow[] = [];
    let sentence = '';
    for (const row of rows) {
      const key = JSON.stringify([row.id, row.tokens]);
      if (key === sentence) merge(joined[joined.length - 1], row);
      else joined.push({ ...row, entities: [...row.entities], relations: [...row.relations] });
      sentence = key;
    }
    return joined;
  },
  write: (rows, losses) =>
    jsonArray(
      rows.flatMap((whole, i) => {
        const row = findable(whole, losses);
        const written = pairs(row, losses);
        if (written.length === 0) losses.add('sentences without a pair of entities');
        return written.map(({ type, head, tail }, pair) => {
          const side = (name: string, { start, end, type: of }: Entity) => ({
            [`${name}_start`]: start,
            [`${name}_end`]: end - 1,
            [`${name}_type`]: of,
          });
          return {
            id: `${keyOf(row, i)}-${pair}`,
            docid: row.id ?? keyOf(row, i),
            relation: type,
            token: row.tokens,
            ...side('subj', row.entities[head]),
            ...side('obj', row.entities[tail]),
          };
        });
      }),
    ),
};
