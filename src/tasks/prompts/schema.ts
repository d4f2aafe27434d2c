/** What to look for in a text, as data: entity types, relation types by subject type, events, and how to ask. */
import { InputError } from '../../../kernels/errors.ts';
import { isObject, type Json } from '../../io/json.ts';
import { labelSets, quote } from '../dataset.ts';
import type { Document } from '../document.ts';

/** A relation from entities of one type: the answer to a prompt about each of them. */
export interface RelationQuestion {
  type: string;
  /** What the prompt calls it. */
  name: string;
  /** The entity type of the answers, where the schema says so. */
  object?: string;
}

/** An entity type, or the triggers of an event type: the answers to one prompt. */
export interface EntityQuestion {
  type: string;
  prompt: string;
  /** What is asked about each answer: relations, or the arguments (roles) of an event. */
  relations: RelationQuestion[];
  /** Answers are triggers of events, and `relations` their arguments: they are scored apart. */
  event: boolean;
}

export interface Schema {
  entities: EntityQuestion[];
  /**
   * Template of a relation's prompt: `{subject}` and `{relation}` are filled in (docs/spec.md#cerem:
   * `{subject}的{relation}` in Chinese).
   */
  relationTemplate: string;
  /** Nobody has said it: it follows the language of the schema. */
  templateIsDefault?: true;
}

/** What a language puts between the two, told by the script of the schema's words; Han alone is Chinese. */
const templates: readonly [script: RegExp, template: string][] = [
  [/[\p{Script=Hiragana}\p{Script=Katakana}]/u, '{subject}の{relation}'],
  [/\p{Script=Hangul}/u, '{subject}의 {relation}'],
  [/\p{Script=Han}/u, '{subject}的{relation}'],
];
const OTHER_TEMPLATE = '{relation} of {subject}';

/** The template of a schema that has none. */
function defaultTemplate(questions: readonly EntityQuestion[]): string {
  const words = questions.flatMap(({ prompt, relations }) => [prompt, ...relations.map(({ name }) => name)]);
  return templates.find(([script]) => words.some((word) => script.test(word)))?.[1] ?? OTHER_TEMPLATE;
}

const PLACEHOLDERS = ['{subject}', '{relation}'];

/**
 * True where `relation` of `question` is an argument of an event. Relations of triggers whose answers are triggers
 * themselves (causes, say) hold between events.
 */
export function isArgument(schema: Schema, question: EntityQuestion, relation: RelationQuestion): boolean {
  return question.event && !schema.entities.some(({ type, event }) => event && type === relation.object);
}

/** The prompt about one subject: the schema's template, filled in. */
export function relationPrompt(schema: Schema, { name }: RelationQuestion, subject: string): string {
  return schema.relationTemplate.replace(/\{(subject|relation)\}/g, (_, part: string) =>
    part === 'subject' ? subject : name,
  );
}

/** Checks and converts one schema; `where` is a path of keys such as `relations.Disease`. */
class SchemaReader {
  constructor(private readonly what: string) {}

  fail(where: string, complaint: string): never {
    throw new InputError(`${this.what}: ${where} ${complaint}`);
  }

  /** The object at `where`; {} where it is missing. Errors: keys outside `known`, an empty key where any is allowed. */
  object(value: unknown, where: string, known?: readonly string[]): Json {
    if (value === undefined) return {};
    if (!isObject(value)) return this.fail(where, `is ${quote(value)}, not an object`);
    for (const key of Object.keys(value)) {
      if (key === '') this.fail(where, 'has an empty name');
      if (known && !known.includes(key))
        this.fail(where, `has the unknown key ${JSON.stringify(key)} (known: ${known.join(', ')})`);
    }
    return value;
  }

  text(value: unknown, where: string): string {
    if (typeof value === 'string' && value.trim() !== '') return value;
    return this.fail(where, value === undefined ? 'is missing' : `is ${quote(value)}, not a text`);
  }

  /** The relations of one subject type: {type: {name, object}}, {type: name} or {type: {}}. */
  relations(value: unknown, where: string): RelationQuestion[] {
    return Object.entries(this.object(value, where)).map(([type, said]) => {
      const at = `${where}.${type}`;
      if (typeof said === 'string') return { type, name: this.text(said, at) };
      const { name = type, object } = this.object(said, at, ['name', 'object']);
      const question = { type, name: this.text(name, `${at}.name`) };
      return object === undefined ? question : { ...question, object: this.text(object, `${at}.object`) };
    });
  }

  events(value: unknown): EntityQuestion[] {
    return Object.entries(this.object(value, 'events')).map(([type, said]) => {
      const at = `events.${type}`;
      const { prompt = type, arguments: roles } = this.object(said, at, ['prompt', 'arguments']);
      return {
        type,
        prompt: this.text(prompt, `${at}.prompt`),
        relations: this.relations(roles, `${at}.arguments`),
        event: true,
      };
    });
  }

  /** Adds the relations among entities and among events to the questions about their subjects. */
  addRelations(questions: EntityQuestion[], value: unknown): void {
    const eventTypes = new Set(questions.flatMap(({ type, event }) => (event ? [type] : [])));
    const ofEvents = (object?: string) => object !== undefined && eventTypes.has(object);
    for (const { type, relations } of questions)
      for (const role of relations)
        if (ofEvents(role.object))
          this.fail(
            `events.${type}.arguments.${role.type}`,
            `has an event as object: list it under "relations"`,
          );

    for (const [subject, said] of Object.entries(this.object(value, 'relations'))) {
      const at = `relations.${subject}`;
      const question = questions.find(({ type }) => type === subject);
      if (!question) this.fail(at, 'is of a type that is neither among "entities" nor "events"');
      const relations = this.relations(said, at);
      if (question.event)
        for (const { type, object } of relations)
          if (!ofEvents(object))
            this.fail(`${at}.${type}`, 'needs an event type as "object"; arguments belong under "events"');
      question.relations.push(...relations);
    }
  }

  /** Errors: two `items` with one value of `key`; `where` names the list. */
  distinct<T>(items: readonly T[], key: (item: T) => string, where: string, complaint: string): void {
    const seen = new Set<string>();
    for (const item of items) {
      if (seen.has(key(item))) this.fail(where, `${complaint} ${JSON.stringify(key(item))} twice`);
      seen.add(key(item));
    }
  }

  schema(json: Json): Schema {
    this.object(json, 'the schema', ['entities', 'relations', 'events', 'templates']);
    const questions: EntityQuestion[] = Object.entries(this.object(json.entities, 'entities')).map(
      ([type, prompt]) => ({
        type,
        prompt: this.text(prompt, `entities.${type}`),
        relations: [],
        event: false,
      }),
    );
    questions.push(...this.events(json.events));
    if (questions.length === 0)
      this.fail('the schema', 'asks for nothing: it has no "entities" and no "events"');
    this.distinct(questions, ({ type }) => type, 'the schema', 'has the type');
    this.distinct(questions, ({ prompt }) => prompt, 'the schema', 'has the prompt');
    this.addRelations(questions, json.relations);
    for (const { type, event, relations } of questions) {
      const where = event ? `events.${type}` : `relations.${type}`;
      this.distinct(relations, (relation) => relation.type, where, 'has the relation');
      this.distinct(relations, ({ name }) => name, where, 'has relations with the name');
    }

    const { relation } = this.object(json.templates, 'templates', ['relation']);
    if (relation === undefined)
      return { entities: questions, relationTemplate: defaultTemplate(questions), templateIsDefault: true };
    const relationTemplate = this.text(relation, 'templates.relation');
    for (const part of PLACEHOLDERS)
      if (!relationTemplate.includes(part)) this.fail('templates.relation', `lacks ${part}`);
    return { entities: questions, relationTemplate };
  }
}

/**
 * Reads a schema: {"entities": {type: prompt}, "relations": {subject type: {type: {"name", "object"} | name | {}}},
 * "events": {type: {"prompt", "arguments": as relations}}, "templates": {"relation"}}; a name or prompt left out is
 * the type's own. The relations of an event type hold between events, so their "object" is an event type.
 * @param what the schema's source, for errors
 * @throws InputError, one line that names `what` and the key: nothing to ask for, unknown keys, duplicate types, prompts
 *   or relations, relations of an unknown type, a template without `{subject}` or `{relation}`
 */
export const parseSchema = (json: Json, what: string): Schema => new SchemaReader(what).schema(json);

/** The JSON form that `parseSchema` reads back as the same schema. */
export function schemaJson(schema: Schema): Json {
  const relationsJson = (relations: readonly RelationQuestion[]): Json =>
    Object.fromEntries(relations.map(({ type, ...said }) => [type, said]));
  const plain = schema.entities.filter(({ event }) => !event);
  const events = schema.entities.filter(({ event }) => event);
  const among = schema.entities.flatMap((question): [string, Json][] => {
    const relations = question.relations.filter((relation) => !isArgument(schema, question, relation));
    return relations.length > 0 ? [[question.type, relationsJson(relations)]] : [];
  });
  return {
    entities: Object.fromEntries(plain.map(({ type, prompt }) => [type, prompt])),
    ...(among.length > 0 ? { relations: Object.fromEntries(among) } : {}),
    ...(events.length > 0
      ? {
          events: Object.fromEntries(
            events.map((question) => {
              const roles = question.relations.filter((relation) => isArgument(schema, question, relation));
              return [question.type, { prompt: question.prompt, arguments: relationsJson(roles) }];
            }),
          ),
        }
      : {}),
    templates: { relation: schema.relationTemplate },
  };
}

/**
 * The schema of a corpus: its entity types and, by subject type, the relations that occur, each with its object type
 * where that is always the same; sorted by code unit (but whole numbers first, as JSON keeps them), events and relations
 * among them last. Prompts and names are the types themselves.
 * @param options.events the entity types that are triggers of events
 * @param options.what the documents' source, for errors
 * @throws InputError for documents without entities, a type among `events` that none of them has, and a type that is
 *   white space
 */
export function inferSchema(
  documents: readonly Document[],
  options: { events?: readonly string[]; what?: string } = {},
): Schema {
  const { entityTypes } = labelSets(documents);
  const { events = [], what = 'no schema' } = options;
  if (entityTypes.length === 0) throw new InputError(`${what}: the documents have no entities`);
  const unknown = events.find((type) => !entityTypes.includes(type));
  if (unknown !== undefined)
    throw new InputError(`${what}: no entity is of the event type ${JSON.stringify(unknown)}`);

  // Subject type → relation type → object types.
  const found = new Map(entityTypes.map((type) => [type, new Map<string, Set<string>>()]));
  for (const { entities, relations } of documents)
    for (const { type, head, tail } of relations) {
      const ofSubject = found.get(entities[head].type)!;
      const objects = ofSubject.get(type) ?? new Set();
      ofSubject.set(type, objects.add(entities[tail].type));
    }
  const questions = [...found].map(([type, relations]) => ({
    type,
    prompt: type,
    relations: [...relations.keys()].sort().map((relation): RelationQuestion => {
      const [object, ...others] = relations.get(relation)!;
      return { type: relation, name: relation, ...(others.length === 0 ? { object } : {}) };
    }),
    event: events.includes(type),
  }));
  // Through the JSON form, so that the schema has the same order when written and read.
  return parseSchema(schemaJson({ entities: questions, relationTemplate: defaultTemplate(questions) }), what);
}
