/** Annotated sentences (SpERT-style JSON): types, a parser that checks everything, and label sets. */
import { InputError } from '../../kernels/errors.ts';
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

/** What offsets count, and what of: tokens of a sentence, UTF-16 code units of a text. */
type Unit = 'token' | 'character';
const WHOLE: Readonly<Record<Unit, string>> = { token: 'sentence', character: 'text' };

/** Reads the fields of one row; every complaint names the file, the row (from 1) and the field. */
export class RowReader {
  constructor(
    private readonly file: string,
    private readonly row: number,
  ) {}

  fail(field: string, complaint: string): never {
    throw new InputError(`${this.file}: row ${this.row}: ${field ? `${field} ` : ''}${complaint}`);
  }

  list(fields: Json, field: string): unknown[] {
    const value = fields[field];
    if (value === undefined) this.fail(field, 'is missing');
    return Array.isArray(value) ? value : this.fail(field, `is ${quote(value)}, not a list`);
  }

  fields(value: unknown, field: string): Json {
    return isObject(value) ? value : this.fail(field, `is ${quote(value)}, not an object`);
  }

  string(fields: Json, field: string): string {
    const value = fields[field];
    if (typeof value === 'string') return value;
    return this.fail(field, value === undefined ? 'is missing' : `is ${quote(value)}, not a string`);
  }

  integer(fields: Json, where: string, name: string): number {
    const value = fields[name];
    if (typeof value === 'number' && Number.isInteger(value)) return value;
    return this.fail(
      `${where}.${name}`,
      value === undefined ? 'is missing' : `is ${quote(value)}, not an integer`,
    );
  }

  type(fields: Json, where: string): string {
    const value = fields.type;
    if (typeof value === 'string' && value !== '') return value;
    return this.fail(`${where}.type`, value === undefined ? 'is missing' : `is ${quote(value)}, not a name`);
  }

  /** A span of a sentence's tokens, or of a text's characters. */
  entity(value: unknown, where: string, length: number, unit: Unit = 'token'): Entity {
    const fields = this.fields(value, where);
    const type = this.type(fields, where);
    const start = this.integer(fields, where, 'start');
    const end = this.integer(fields, where, 'end');
    if (start < 0) this.fail(`${where}.start`, `is ${start}, before the first ${unit}`);
    if (end > length) this.fail(`${where}.end`, `is ${end}, but the ${WHOLE[unit]} has ${length} ${unit}s`);
    if (end <= start) this.fail(where, `covers no ${unit}: start ${start}, end ${end}`);
    return { type, start, end };
  }

  relation(value: unknown, where: string, entities: number): Relation {
    const fields = this.fields(value, where);
    const type = this.type(fields, where);
    const [head, tail] = ['head', 'tail'].map((side) => {
      const index = this.integer(fields, where, side);
      if (index >= 0 && index < entities) return index;
      return this.fail(`${where}.${side}`, `is ${index}, but the sentence has ${entities} entities`);
    });
    if (head === tail) this.fail(where, `has entity ${head} as both head and tail`);
    return { type, head, tail };
  }

  sentence(value: unknown): Sentence {
    const fields = this.fields(value, '');
    const tokens = this.list(fields, 'tokens').map((token, i) =>
      typeof token === 'string' ? token : this.fail(`tokens[${i}]`, `is ${quote(token)}, not a string`),
    );
    if (tokens.length === 0) this.fail('tokens', 'is empty: a sentence needs at least one word');
    return { tokens, ...this.annotation(fields, tokens.length) };
  }

  /** Entities, relations and id of a row of `length` units; `id`, else `orig_id`, where it is a string or a number. */
  annotation(fields: Json, length: number, unit: Unit = 'token'): Annotation & Pick<Sentence, 'id'> {
    const entities = this.list(fields, 'entities').map((entity, i) =>
      this.entity(entity, `entities[${i}]`, length, unit),
    );
    // Entity-only corpora may leave `relations` out.
    const listed = fields.relations === undefined ? [] : this.list(fields, 'relations');
    const relations = listed.map((relation, i) =>
      this.relation(relation, `relations[${i}]`, entities.length),
    );
    return { entities, relations, ...this.id(fields) };
  }

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

/** Throws an InputError naming file, row (from 1) and field where a sentence has a label outside `labels`, or there is none. */
export function checkLabels(sentences: readonly Sentence[], labels: LabelSets, file: string): void {
  if (sentences.length === 0) throw new InputError(`${file}: holds no sentence`);
  const check = (items: readonly { type: string }[], known: Set<string>, row: number, field: string): void =>
    items.forEach(({ type }, i) => {
      if (known.has(type)) return;
      const kind = field === 'entities' ? 'entity' : 'relation';
      const list = known.size === 0 ? 'it has none' : [...known].join(', ');
      new RowReader(file, row).fail(
        `${field}[${i}].type`,
        `is ${quote(type)}, not among the model's ${kind} types (${list})`,
      );
    });
  const entityTypes = new Set(labels.entityTypes);
  const relationTypes = new Set(labels.relationTypes);
  sentences.forEach((sentence, s) => {
    check(sentence.entities, entityTypes, s + 1, 'entities');
    check(sentence.relations, relationTypes, s + 1, 'relations');
  });
}
