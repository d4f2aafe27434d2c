/**
 * Label Studio's JSON export of tasks (labelstud.io/guide/task_format): regions with their text and relations between
 * them by id; and its JSON-MIN, a list of regions under the name of the labels.
 */
import { isObject, type Json } from '../../../io/json.ts';
import { quote, type Relation, type RowReader } from '../../dataset.ts';
import { UTF16 } from '../offsets.ts';
import type { Reading } from '../reading.ts';
import type { FoundEntity, FoundRow } from '../row.ts';
import { jsonArray, PASSED_OVER, type JsonFormat } from './format.ts';

/** A task as a tool exports it; "completions" are what older versions call annotations. */
const resultsOf = (record: Json): unknown => record.annotations ?? record.completions;

const isRegion = (value: unknown): boolean =>
  isObject(value) && value.start !== undefined && Array.isArray(value.labels);
const isMinimal = (record: Json): boolean =>
  typeof record.text === 'string' &&
  Object.values(record).some((value) => Array.isArray(value) && value.some(isRegion));

/** The regions of a task: a label each is an entity. */
class Regions {
  readonly entities: FoundEntity[] = [];
  readonly relations: Relation[] = [];
  /** By the id of a region, the first of its entities. */
  readonly #first = new Map<unknown, number>();

  constructor(
    readonly row: RowReader,
    readonly reading: Reading,
  ) {}

  add(value: Json, where: string, id?: unknown): void {
    const { row } = this;
    const [start, end] = ['start', 'end'].map((key) => row.integer(value, where, key));
    const said = typeof value.text === 'string' ? { said: value.text } : {};
    const labels = row.strings(row.list(value, 'labels', where), `${where}.labels`);
    if (labels.length === 0) this.reading.counts.add('regions without a label, left out');
    else if (id !== undefined && id !== null) this.#name(id, { start, end, where });
    for (const label of labels)
      this.entities.push({ type: row.asName(label, `${where}.labels`), start, end, where, ...said });
  }

  /** A region that has labels of several sets comes as several results, all with its id. */
  #name(id: unknown, { start, end, where }: Omit<FoundEntity, 'type'>): void {
    const first = this.#first.get(id);
    if (first === undefined) this.#first.set(id, this.entities.length);
    else if (this.entities[first].start !== start || this.entities[first].end !== end)
      this.row.fail(
        where ?? '',
        `has the id ${quote(id)}, as ${this.entities[first].where}, which is another span`,
      );
  }

  relate(relation: Json, where: string): void {
    const { row } = this;
    const types = row.strings(row.optionalList(relation, 'labels', where) ?? [], `${where}.labels`);
    const ends = [relation.from_id, relation.to_id].map((id) => this.#first.get(id));
    if (types.length === 0 || ends.includes(undefined)) {
      this.reading.counts.add('relations without a label or of a region without one, left out');
      return;
    }
    const [from, to] = ends as number[];
    for (const type of types) {
      if (relation.direction !== 'left')
        this.relations.push(row.pair(type, [from, to], where, this.entities.length));
      if (relation.direction === 'left' || relation.direction === 'bi')
        this.relations.push(row.pair(type, [to, from], where, this.entities.length));
    }
  }
}

/** What a task's first annotation that was not cancelled says; undefined where there is none. */
function annotated(task: Json, row: RowReader, reading: Reading): Regions | undefined {
  const key = task.annotations === undefined || task.annotations === null ? 'completions' : 'annotations';
  const all = (row.optionalList(task, key) ?? []).map((value, i) => row.fields(value, `${key}[${i}]`));
  const kept = all.filter(({ was_cancelled: cancelled }) => cancelled !== true);
  reading.counts.add('further annotations of a task, left out', Math.max(0, kept.length - 1));
  if (kept.length === 0) return undefined;
  const regions = new Regions(row, reading);
  const at = `${key}[${all.indexOf(kept[0])}].result`;
  const results = (row.optionalList(kept[0], 'result', key) ?? []).map((value, i) =>
    row.fields(value, `${at}[${i}]`),
  );
  results.forEach((result, i) => {
    const value = result.value;
    if (result.type === 'relation') return;
    if (isObject(value) && Array.isArray(value.labels) && value.start !== undefined)
      regions.add(value, `${at}[${i}].value`, result.id);
    else reading.counts.add('results that are neither labelled spans nor relations, left out');
  });
  results.forEach((result, i) => {
    if (result.type === 'relation') regions.relate(result, `${at}[${i}]`);
  });
  return regions;
}

/** The text of a task: `text`, else its only string. */
function textOf(data: Json, row: RowReader): string {
  if (typeof data.text === 'string') return data.text;
  const strings = Object.entries(data).filter(([key, value]) => key !== 'id' && typeof value === 'string');
  return strings.length === 1 ? (strings[0][1] as string) : row.fail('data.text', 'is missing');
}

export const labelStudio: JsonFormat = {
  kind: 'json',
  name: 'label-studio',
  title: 'Label Studio JSON',
  holds: { unit: 'character', ids: true, overlaps: true, relations: true },
  counting: UTF16,
  is: (record) =>
    isObject(record) && ((isObject(record.data) && Array.isArray(resultsOf(record))) || isMinimal(record)),
  read(record, row, reading): FoundRow | [] {
    const fields = row.fields(record, '');
    if (!isObject(fields.data)) {
      const regions = new Regions(row, reading);
      for (const [key, value] of Object.entries(fields))
        if (Array.isArray(value) && value.some(isRegion))
          value.forEach((region, i) => regions.add(row.fields(region, `${key}[${i}]`), `${key}[${i}]`));
      const { entities, relations } = regions;
      return { place: row.place, text: row.string(fields, 'text'), entities, relations, ...row.id(fields) };
    }
    const regions = annotated(fields, row, reading);
    if (!regions) {
      reading.counts.add(PASSED_OVER);
      return [];
    }
    const { entities, relations } = regions;
    const id = fields.data.id ?? fields.id;
    const text = textOf(fields.data, row);
    return { place: row.place, text, entities, relations, ...row.id({ id }) };
  },
  write: (rows) =>
    jsonArray(
      rows.map(({ text, id, entities, relations }, i) => {
        const names = { from_name: 'label', to_name: 'text' };
        const regions = entities.map(({ type, start, end }, e) => ({
          ...{ id: `e${e}`, ...names, type: 'labels' },
          value: { start, end, text: text!.slice(start, end), labels: [type] },
        }));
        const arrows = relations.map(({ type, head, tail }) => ({
          ...{ type: 'relation', from_id: `e${head}`, to_id: `e${tail}` },
          ...{ direction: 'right', labels: [type] },
        }));
        const data = id === undefined ? { text } : { text, id };
        return { id: i + 1, data, annotations: [{ result: [...regions, ...arrows] }] };
      }),
    ),
};
