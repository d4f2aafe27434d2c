import { readFileSync } from 'node:fs';
import test from 'tape';
import { InputError } from '../../../kernels/errors.ts';
import { askedSchema } from '../../../src/tasks/prompts/training.ts';
import { parseObject } from '../../../src/io/json.ts';
import {
  inferSchema,
  isArgument,
  parseSchema,
  relationPrompt,
  schemaJson,
  type Schema,
} from '../../../src/tasks/prompts/schema.ts';
import { readCorpus } from '../../../src/tasks/corpus-file.ts';
import { cerem } from '../../../src/tasks/prompts/cerem.ts';
import type { Document } from '../../../src/tasks/document.ts';
import { own, published, type TestFile } from '../data.ts';

/** The message of the InputError that `run` gives; '' where it gives none. */
function complaint(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof InputError ? error.message : `not an InputError: ${String(error)}`;
  }
  return '';
}

const full = {
  entities: { 病害: '病害', 作物: '农作物' },
  relations: {
    病害: { 危害作物: { name: '危害', object: '作物' }, 防治: '防治方法', 别名: {} },
    爆发: { 导致: { object: '减产' } },
  },
  events: {
    爆发: { prompt: '爆发事件', arguments: { 时间: '时间', 对象: { name: '对象', object: '病害' } } },
    减产: {},
  },
  templates: { relation: '{relation}（{subject}）' },
};

test('every short form of a schema', (t) => {
  const schema = parseSchema(full, 'schema.json');
  t.deepEqual(schema, {
    entities: [
      {
        type: '病害',
        prompt: '病害',
        relations: [
          { type: '危害作物', name: '危害', object: '作物' },
          { type: '防治', name: '防治方法' },
          { type: '别名', name: '别名' },
        ],
        event: false,
      },
      { type: '作物', prompt: '农作物', relations: [], event: false },
      {
        type: '爆发',
        prompt: '爆发事件',
        relations: [
          { type: '时间', name: '时间' },
          { type: '对象', name: '对象', object: '病害' },
          { type: '导致', name: '导致', object: '减产' },
        ],
        event: true,
      },
      { type: '减产', prompt: '减产', relations: [], event: true },
    ],
    relationTemplate: '{relation}（{subject}）',
  });
  const [disease, , outbreak] = schema.entities;
  t.deepEqual(
    outbreak.relations.map((relation) => isArgument(schema, outbreak, relation)),
    [true, true, false],
    'a relation between events is no argument',
  );
  t.notOk(isArgument(schema, disease, disease.relations[0]));
  t.deepEqual(parseSchema(schemaJson(schema), 'again'), schema, 'written and read');
  const templateOf = (entities: Record<string, string>, relation?: string) =>
    parseSchema({ entities, ...(relation && { relations: { A: { r: relation } } }) }, 's').relationTemplate;
  t.deepEqual(
    [
      templateOf({ A: 'plant' }, 'grown in'),
      templateOf({ A: 'plant' }, '产地'),
      templateOf({ A: '作物' }),
      templateOf({ A: '農作物の名' }),
      templateOf({ A: '작물' }),
    ],
    [
      '{relation} of {subject}',
      '{subject}的{relation}',
      '{subject}的{relation}',
      '{subject}の{relation}',
      '{subject}의 {relation}',
    ],
    'a template follows the language of the schema',
  );
  const said = { entities: { A: 'a' }, templates: { relation: '{subject}的{relation}' } };
  t.equal(parseSchema(said, 's').relationTemplate, said.templates.relation, 'unless it is said');
  const model = { extra: { ...schema, relationTemplate: '{subject}: {relation}' }, what: 'model' };
  t.deepEqual(
    [{ entities: { A: 'a' } }, said].map(
      (json) => askedSchema(model, parseSchema(json, 's')).relationTemplate,
    ),
    ['{subject}: {relation}', '{subject}的{relation}'],
    'a model is asked as it was trained to be',
  );
  t.end();
});

test('a prompt is filled in literally', (t) => {
  const schema = { entities: [], relationTemplate: '{subject}的{relation}' };
  t.equal(relationPrompt(schema, { type: 'r', name: '作者' }, '长夜'), '长夜的作者');
  t.equal(
    relationPrompt(schema, { type: 'r', name: '{subject}' }, "{relation}$&$'𠮷"),
    "{relation}$&$'𠮷的{subject}",
  );
  t.end();
});

test('the example of docs/schemas.md is a schema', (t) => {
  const [, json] = /```json\n([^]*?)```/.exec(readFileSync('docs/schemas.md', 'utf8'))!;
  const schema = parseSchema(parseObject(json, 'docs'), 'docs');
  const [pest] = schema.entities;
  t.equal(relationPrompt(schema, pest.relations[0], 'vine weevil'), 'crop it harms of vine weevil');
  t.end();
});

test('every mistake in a schema is one line that names the key', (t) => {
  const entities = { A: 'a', B: 'b' };
  const cases: [json: Record<string, unknown>, message: string][] = [
    [{}, 'the schema asks for nothing: it has no "entities" and no "events"'],
    [{ entities: {} }, 'the schema asks for nothing: it has no "entities" and no "events"'],
    [
      { entity: entities },
      'the schema has the unknown key "entity" (known: entities, relations, events, templates)',
    ],
    [{ entities: ['A'] }, 'entities is ["A"], not an object'],
    [{ entities: { A: ' ' } }, 'entities.A is " ", not a text'],
    [{ entities: { '': 'a' } }, 'entities has an empty name'],
    [{ entities: { A: 'a', B: 'a' } }, 'the schema has the prompt "a" twice'],
    [{ entities, events: { A: { prompt: 'x' } } }, 'the schema has the type "A" twice'],
    [{ entities, events: { E: { prompt: 'a' } } }, 'the schema has the prompt "a" twice'],
    [{ entities, events: { E: 'x' } }, 'events.E is "x", not an object'],
    [
      { entities, events: { E: { roles: {} } } },
      'events.E has the unknown key "roles" (known: prompt, arguments)',
    ],
    [
      { entities, relations: { C: {} } },
      'relations.C is of a type that is neither among "entities" nor "events"',
    ],
    [{ entities, relations: { A: { r: 3 } } }, 'relations.A.r is 3, not an object'],
    [
      { entities, relations: { A: { r: { tail: 'B' } } } },
      'relations.A.r has the unknown key "tail" (known: name, object)',
    ],
    [{ entities, relations: { A: { r: { object: 1 } } } }, 'relations.A.r.object is 1, not a text'],
    [{ entities, relations: { A: { r: 'x', s: 'x' } } }, 'relations.A has relations with the name "x" twice'],
    [
      { events: { E: { arguments: { r: {} } } }, relations: { E: { r: { object: 'E' } } } },
      'events.E has the relation "r" twice',
    ],
    [
      { events: { E: {} }, relations: { E: { r: {} } } },
      'relations.E.r needs an event type as "object"; arguments belong under "events"',
    ],
    [
      { events: { E: { arguments: { r: { object: 'E' } } } } },
      'events.E.arguments.r has an event as object: list it under "relations"',
    ],
    [{ entities, templates: { relation: '{relation}' } }, 'templates.relation lacks {subject}'],
    [{ entities, templates: { relation: '{subject}的' } }, 'templates.relation lacks {relation}'],
    [{ entities, templates: { entity: '' } }, 'templates has the unknown key "entity" (known: relation)'],
  ];
  for (const [json, message] of cases)
    t.equal(
      complaint(() => parseSchema(json, 's.json')),
      `s.json: ${message}`,
      message,
    );
  t.end();
});

test('the schema of a corpus', (t) => {
  const document: Document = {
    text: '甲乙丙丁',
    entities: ['词', '事', '人', '人'].map((type, i) => ({ type, start: i, end: i + 1 })),
    relations: [
      { type: '谁', head: 1, tail: 2 },
      { type: '后', head: 1, tail: 3 },
      { type: '后', head: 1, tail: 0 },
      { type: '亲', head: 2, tail: 3 },
    ],
  };
  const relations = [
    { type: '后', name: '后' },
    { type: '谁', name: '谁', object: '人' },
  ];
  const person = {
    type: '人',
    prompt: '人',
    relations: [{ type: '亲', name: '亲', object: '人' }],
    event: false,
  };
  const happening = { type: '事', prompt: '事', relations, event: false };
  const word = { type: '词', prompt: '词', relations: [], event: false };
  t.deepEqual(inferSchema([document]).entities, [happening, person, word], 'object only where it is unique');
  t.deepEqual(inferSchema([document], { events: ['事'] }).entities, [
    person,
    word,
    { ...happening, event: true },
  ]);
  const numbered: Document = {
    text: '甲乙',
    entities: ['10', '9'].map((type, i) => ({ type, start: i, end: i + 1 })),
    relations: ['30', '4'].map((type) => ({ type, head: 0, tail: 1 })),
  };
  const inferred = inferSchema([numbered]);
  const again = parseSchema(parseObject(JSON.stringify(schemaJson(inferred)), 's'), 's');
  t.deepEqual(again, inferred, 'types that are numbers, whose order JSON changes');
  t.equal(
    complaint(() => inferSchema([])),
    'no schema: the documents have no entities',
  );
  t.equal(
    complaint(() => inferSchema([document], { events: ['事', '物'] })),
    'no schema: no entity is of the event type "物"',
  );
  t.end();
});

/** The schema of a corpus, which must come back from its JSON. */
function inferred(t: test.Test, { name, path }: TestFile, events: string[] = []): Schema {
  const schema = inferSchema(readCorpus(cerem, path).documents, { events });
  t.deepEqual(parseSchema(schemaJson(schema), name), schema, `${name}: written and read`);
  return schema;
}

/** Types with their relations and the type of each one's object. */
const relationsOf = (schema: Schema) =>
  Object.fromEntries(
    schema.entities.map(({ type, relations }) => [type, relations.map((r) => `${r.type} ${r.object}`)]),
  );

/** The event type of the last prompt has these roles, and a relation to itself. */
function hasEvents(t: test.Test, schema: Schema): void {
  const trigger = schema.entities.at(-1)!;
  t.equal(trigger.type, 'Denoter');
  const roles = trigger.relations.filter((relation) => isArgument(schema, trigger, relation));
  t.deepEqual(
    roles.map(({ type }) => type),
    ['Location', 'Means', 'Object', 'Participant', 'Time'],
  );
  t.ok(trigger.relations.some(({ type, object }) => type === 'Causal' && object === 'Denoter'));
}

test('schemas of our own corpora', (t) => {
  t.deepEqual(relationsOf(inferred(t, own('faults.json'))), {
    部件: ['组成 部件', '部件故障 故障'],
    故障: [],
    工具: ['检测 性能'],
    性能: ['性能故障 故障'],
  });
  hasEvents(t, inferred(t, own('events.json'), ['Denoter']));
  t.deepEqual(relationsOf(inferred(t, own('triples.jsonl'))), relationsOf(inferred(t, own('triples.json'))));
  t.equal(inferred(t, own('tags.char.bmes')).entities.length, 4);
  t.end();
});

const fault = published('bdci2022_fault/bdci_train.json');
test('schemas of the published corpora', { skip: fault.skip }, (t) => {
  t.deepEqual(relationsOf(inferred(t, fault)), {
    故障状态: [],
    部件单元: ['组成 部件单元', '部件故障 故障状态'],
    性能表征: ['性能故障 故障状态'],
    检测工具: ['检测工具 性能表征'],
  });
  hasEvents(t, inferred(t, published('cec_events/cec_docs_train.json'), ['Denoter']));
  inferred(t, published('duie_sample/duie_train.json'));
  t.equal(inferred(t, published('resume_ner/resume_train.json')).entities.length, 8);
  t.end();
});
