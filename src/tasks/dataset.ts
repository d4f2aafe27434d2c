/** Annotated sentences (SpERT-style JSON): types, a parser that checks everything, and label sets. */
import { InputError } from '../../kernels/errors.ts';
import { BadRows } from './bad-rows.ts';
import { isObject, jsonErrorOffset, parseJson, type Json } from '../io/json.ts';

/** A typed span: token offsets, `end` exclusive. */
export interface Entity {
  type: string;
  start: number;
  end: number;
}

/** A typed, directed pair; `head` and `tail` index the entities it comes with. */
export interface Relation {
  type: string;
  head: number;
  tail: number;
}

/** Entities and the relations among them, gold or predicted. */
export interface Annotation {
  entities: Entity[];
  relations: Relation[];
}

/** One annotated sentence. Tokens are words, or single characters in the Chinese corpora. */
export interface Sentence extends Annotation {
  tokens: string[];
  id?: string | number;
  /** Types of gold that its words cannot express, since it is not made of whole ones: nothing finds it. */
  beyond?: { entities: string[]; relations: string[] };
}

/** The labels of a corpus or of a model. */
export interface LabelSets {
  entityTypes: string[];
  relationTypes: string[];
}

/** A value as an error message quotes it: JSON, on one line, cut where long. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/** Reads the fields of one row; every complaint names the file, the row (from 1, or a place of its own) and the field. */
export class RowReader {
  readonly place: string;

  constructor(
    private readonly file: string,
    row: number | string,
  ) {
    this.place = typeof row === 'number' ? `row ${row}` : row;
  }

  fail(field: string, complaint: string): never {
    throw new InputError(`${this.file}: ${this.place}: ${field ? `${field} ` : ''}${complaint}`);
  }

  /** The list `field` of `fields`, which stand at `where`; null is as good as nothing. */
  list(fields: Json, field: string, where = ''): unknown[] {
    return (
      this.optionalList(fields, field, where) ?? this.fail(where ? `${where}.${field}` : field, 'is missing')
    );
  }

  /** The same, undefined where it is missing. */
  optionalList(fields: Json, field: string, where = ''): unknown[] | undefined {
    const value = fields[field] ?? undefined;
    return value === undefined ? undefined : this.asList(value, where ? `${where}.${field}` : field);
  }

  asList(value: unknown, where: string): unknown[] {
    return Array.isArray(value) ? value : this.fail(where, `is ${quote(value)}, not a list`);
  }

  fields(value: unknown, field: string): Json {
    return isObject(value) ? value : this.fail(field, `is ${quote(value)}, not an object`);
  }

  string(fields: Json, field: string): string {
    const value = fields[field];
    if (typeof value === 'string') return value;
    return this.fail(field, value === undefined ? 'is missing' : `is ${quote(value)}, not a string`);
  }

  /** Strings, none of which need hold anything. */
  strings(values: unknown[], field: string): string[] {
    return values.map((value, i) =>
      typeof value === 'string' ? value : this.fail(`${field}[${i}]`, `is ${quote(value)}, not a string`),
    );
  }

  integer(fields: Json, where: string, name: string): number {
    return this.asInteger(fields[name], where ? `${where}.${name}` : name);
  }

  asInteger(value: unknown, where: string): number {
    if (typeof value === 'number' && Number.isInteger(value)) return value;
    return this.fail(where, value === undefined ? 'is missing' : `is ${quote(value)}, not an integer`);
  }

  type(fields: Json, where: string, key = 'type'): string {
    return this.asName(fields[key], where ? `${where}.${key}` : key);
  }

  asName(value: unknown, where: string): string {
    if (typeof value === 'string' && value !== '') return value;
    return this.fail(where, value === undefined ? 'is missing' : `is ${quote(value)}, not a name`);
  }

  /** Type and offsets of an entity, which are not checked against any length. */
  typedSpan(value: unknown, where: string): Entity {
    const fields = this.fields(value, where);
    const type = this.type(fields, where);
    return { type, start: this.integer(fields, where, 'start'), end: this.integer(fields, where, 'end') };
  }

  /** A span of a sentence's tokens. */
  entity(value: unknown, where: string, length: number): Entity {
    const { type, start, end } = this.typedSpan(value, where);
    if (start < 0) this.fail(`${where}.start`, `is ${start}, before the first token`);
    if (end > length) this.fail(`${where}.end`, `is ${end}, but the sentence has ${length} tokens`);
    if (end <= start) this.fail(where, `covers no token: start ${start}, end ${end}`);
    return { type, start, end };
  }

  /** A span from its first token to its last, as formats write it whose ends are inclusive. */
  inclusiveEntity(
    type: string,
    [first, last]: readonly [number, number],
    where: string,
    length: number,
  ): Entity {
    if (first >= 0 && first <= last && last < length) return { type, start: first, end: last + 1 };
    return this.fail(where, `goes from token ${first} to ${last}, but the sentence has ${length} tokens`);
  }

  /** A directed pair of the row's entities. */
  pair(type: string, ends: readonly [head: number, tail: number], where: string, entities: number): Relation {
    ends.forEach((index, i) => {
      if (index >= 0 && index < entities) return;
      this.fail(
        `${where}.${i === 0 ? 'head' : 'tail'}`,
        `is ${index}, but the sentence has ${entities} entities`,
      );
    });
    const [head, tail] = ends;
    if (head === tail) this.fail(where, `has entity ${head} as both head and tail`);
    return { type, head, tail };
  }

  relation(value: unknown, where: string, entities: number): Relation {
    const fields = this.fields(value, where);
    const type = this.type(fields, where);
    const [head, tail] = ['head', 'tail'].map((side) => this.integer(fields, where, side));
    return this.pair(type, [head, tail], where, entities);
  }

  sentence(value: unknown): Sentence {
    const fields = this.fields(value, '');
    const tokens = this.strings(this.list(fields, 'tokens'), 'tokens');
    if (tokens.length === 0) this.fail('tokens', 'is empty: a sentence needs at least one word');
    const entities = this.list(fields, 'entities').map((entity, i) =>
      this.entity(entity, `entities[${i}]`, tokens.length),
    );
    return { tokens, entities, relations: this.relations(fields, entities.length), ...this.id(fields) };
  }

  /** Entity-only corpora may leave `relations` out. */
  relations(fields: Json, entities: number): Relation[] {
    const listed = this.optionalList(fields, 'relations') ?? [];
    return listed.map((relation, i) => this.relation(relation, `relations[${i}]`, entities));
  }

  /** `id`, else `orig_id`, where it is a string or a number. */
  id(fields: Json): Pick<Sentence, 'id'> {
    const id = fields.id ?? fields.orig_id;
    return typeof id === 'string' || typeof id === 'number' ? { id } : {};
  }
}

/** The records of a JSON array, or of JSON lines: one object a line, blank lines skipped; `what` names them in errors. */
export function parseRecords(text: string, file: string, what: string): unknown[] {
  if (text.trim() === '') return [];
  const firstLine = text.trimStart().split('\n', 1)[0];
  const isLines = firstLine.startsWith('{') && jsonErrorOffset(firstLine) === -1;
  if (isLines) {
    return text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [parseJson(line, file, i + 1)]));
  }
  const document = parseJson(text, file);
  if (!Array.isArray(document))
    throw new InputError(`${file}: neither a JSON array of ${what} nor one object a line`);
  return document;
}

/**
 * Reads SpERT-style JSON: an array (or JSON lines) of {`tokens`: string[], `entities`: {type, start, end}[],
 * `relations`: {type, head, tail}[]}; token offsets, end exclusive. `relations` may be missing; `id`, else
 * `orig_id`, becomes the sentence's id; any other key is ignored. Nothing is dropped or merged.
 * @param text the file's text; a leading byte order mark is skipped
 * @param file its name, for messages
 * @returns at least one sentence, each of at least one token
 * @throws InputError, one line that names file, row (from 1) and field, or the line where the text is not JSON
 */
export function parseSpertJson(text: string, file: string): Sentence[] {
  const records = parseRecords(text.replace(/^\ufeff/, ''), file, 'sentences');
  if (records.length === 0) throw new InputError(`${file}: holds no sentence`);
  return records.map((record, i) => new RowReader(file, i + 1).sentence(record));
}

/** The types that occur, each list sorted by code unit (the same on every machine, whatever its locale). */
export function labelSets(sentences: readonly Annotation[]): LabelSets {
  const distinct = (types: string[]): string[] => [...new Set(types)].sort();
  return {
    entityTypes: distinct(sentences.flatMap((s) => s.entities.map((e) => e.type))),
    relationTypes: distinct(sentences.flatMap((s) => s.relations.map((r) => r.type))),
  };
}

/** A sentence whose gold is its entities alone. */
export const withoutRelations = ({ beyond, ...sentence }: Sentence): Sentence => ({
  ...sentence,
  relations: [],
  ...(beyond && { beyond: { ...beyond, relations: [] } }),
});

/** The first label of a sentence that is not among `labels`, as a complaint; undefined where all are. */
function strangeLabel({ entities, relations }: Annotation, labels: Partial<LabelSets>): string | undefined {
  for (const [field, kind, items, known] of [
    ['entities', 'entity', entities, labels.entityTypes],
    ['relations', 'relation', relations, labels.relationTypes],
  ] as const) {
    const i = items.findIndex(({ type }) => known && !known.includes(type));
    if (!known || i < 0) continue;
    const list = known.length === 0 ? 'it has none' : known.join(', ');
    return `${field}[${i}].type is ${quote(items[i].type)}, not among the model's ${kind} types (${list})`;
  }
  return undefined;
}

/**
 * Errors: InputError naming file, row and field of every sentence that has a label outside `labels`; one for a corpus
 * that holds no sentence.
 * @param corpus `places`: where each sentence stands in the file; row i + 1 when absent
 * @param labels of one kind where the model has nothing to do with the other
 * @param use `scored`: labels of any kind are taken, and count as missed
 */
export function checkLabels(
  { sentences, file, places }: { sentences: readonly Sentence[]; file: string; places?: readonly string[] },
  labels: Partial<LabelSets>,
  use: 'trained' | 'scored' = 'trained',
): void {
  if (sentences.length === 0) throw new InputError(`${file}: holds no sentence`);
  if (use === 'scored') return;
  const bad = new BadRows(file);
  sentences.forEach((sentence, s) => {
    const complaint = strangeLabel(sentence, labels);
    if (complaint !== undefined)
      bad.attempt(() => new RowReader(file, places?.[s] ?? s + 1).fail('', complaint));
  });
  bad.settle();
}

/** What of the gold a model has no label for, a line each: it counts as missed. Of one kind alone: see `checkLabels`. */
export function strangerNotes(sentences: readonly Annotation[], labels: Partial<LabelSets>): string[] {
  const note = (kind: 'entities' | 'relations', known?: readonly string[]): string[] => {
    if (!known) return [];
    const types = sentences.flatMap((sentence) => sentence[kind].map(({ type }) => type));
    const strange = types.filter((type) => !known.includes(type));
    if (strange.length === 0) return [];
    const names = [...new Set(strange)].sort().join(', ');
    return [`${kind} of types that the model does not have (${names}): ${strange.length}; counted as missed`];
  };
  return [...note('entities', labels.entityTypes), ...note('relations', labels.relationTypes)];
}
