/** Two-stage extraction by a model that follows a rule: subjects, objects, events, what is not asked. */
import test from 'tape';
import {
  effortText,
  extractDocuments,
  type PredictedDocument,
  type ExtractOptions,
} from '../../../src/tasks/prompts/extract.ts';
import { parseSchema, type Schema } from '../../../src/tasks/prompts/schema.ts';
import { sampleNotes } from '../../../src/tasks/prompts/samples.ts';
import { scoreDocuments } from '../../../src/tasks/prompts/scores.ts';
import type { Document } from '../../../src/tasks/document.ts';
import type { Json } from '../../../src/models/config.ts';
import { follow, inputError, placesOf, tinyModel, tokenizerOf, type Rule } from './oracle.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

const texts = ['小林在北岸修船，公司在青岛港。小林去看海。', '', '地震后小林救了她。'];
const tokenizer = tokenizerOf([...texts, '人物地点公司的住处伤者事件时间原因x又来；边']);

/** Words to find, by prompt. */
const rule =
  (answers: Record<string, string[]>): Rule =>
  (prompt, text) =>
    placesOf(text, ...(answers[prompt] ?? []));

async function extract(
  schema: Schema,
  answers: Rule,
  options: ExtractOptions = {},
  given: Json = {},
  of = texts,
) {
  const model = tinyModel(runtime, tokenizer, given);
  const seen = follow(model, tokenizer, answers);
  const result = await extractDocuments(
    model,
    tokenizer,
    of.map((text, id) => ({ text, id })),
    schema,
    (i) => `line ${i + 1}`,
    options,
  ).finally(() => model.parameters.release());
  return { ...result, asked: seen.flat() };
}

const entitiesOf = ({ text, entities }: PredictedDocument): string[] =>
  entities.map((e) => `${e.type} ${text.slice(e.start, e.end)} ${e.start}${e.objectOnly ? ' only' : ''}`);
const relationsOf = ({ entities, relations }: PredictedDocument): string[] =>
  relations.map(({ type, head, tail }) => `${entities[head].start} ${type} ${entities[tail].start}`);

test('entities, then the relations of each subject', async (t) => {
  const schema = parseSchema(
    {
      entities: { PER: '人物', LOC: '地点', ORG: '公司' },
      relations: { PER: { lives: { name: '住处', object: 'LOC' } }, ORG: { seat: { name: '地点' } } },
    },
    'schema',
  );
  const answers = {
    人物: ['小林'],
    地点: ['北岸'],
    公司: ['公司'],
    小林的住处: ['北岸', '海'],
    公司的地点: ['青岛港', '公司'],
  };
  const { documents, report, asked } = await extract(schema, rule(answers));
  t.deepEqual(entitiesOf(documents[0]), [
    'PER 小林 0',
    'LOC 北岸 3',
    'ORG 公司 8',
    'PER 小林 15',
    'LOC 海 19 only',
    'seat 青岛港 11 only',
  ]);
  t.deepEqual(
    relationsOf(documents[0]),
    ['0 lives 3', '15 lives 19', '8 seat 11'],
    'the nearest mention is the subject, and nothing is its own object',
  );
  t.deepEqual(documents[1], { text: '', id: 1, entities: [], relations: [] }, 'an empty text');
  t.deepEqual(entitiesOf(documents[2]), ['PER 小林 3']);
  t.deepEqual(
    documents.map(({ id }) => id),
    [0, 1, 2],
  );
  // 9 entity prompts, of which 3 are about the empty text; 小林 twice is one subject.
  t.equal(report.prompts, 9 + 3);
  t.equal(report.unasked, 0);
  t.equal(asked.length, 6 + 3);
  t.equal(report.forwardPasses, 2, 'a batch for each stage');
  t.ok(report.seconds > 0 && Math.abs(report.promptsPerSecond * report.seconds - 12) < 1e-6);
  const scores = documents.flatMap((d) => [...d.entities, ...d.relations].map(({ score }) => score));
  t.ok(scores.every((score) => score > 0.999 && score <= 1));
  t.equal(runtime.memory.report().liveByLabel.inputs ?? 0, 0, 'no tensor is left');
});

test('an object takes the type of the entity on its span', async (t) => {
  const schema = parseSchema(
    {
      entities: { A: '人物', B: '地点', C: '公司' },
      relations: { A: { r: { name: '住处', object: 'C' }, s: { name: '原因', object: 'D' }, u: '时间' } },
    },
    'schema',
  );
  const found = { 人物: ['小林'], 地点: ['北岸', '海'], 公司: ['北岸'] };
  const { documents } = await extract(
    schema,
    rule({ ...found, 小林的住处: ['北岸', '海'], 小林的原因: ['船', '海'], 小林的时间: ['船', '北岸'] }),
    {},
    {},
    ['小林在北岸看海修船'],
  );
  const { entities, relations } = documents[0];
  t.deepEqual(
    relations.map(({ type, tail }) => `${type} ${entities[tail].type} ${entities[tail].start}`),
    ['r C 3', 'r B 6', 's B 6', 's D 8', 'u B 3', 'u u 8'],
    'of two types the one that the schema names; else the one found; else the schema; else the relation',
  );
  t.deepEqual(
    entities.filter(({ objectOnly }) => objectOnly).map(({ type }) => type),
    ['D', 'u'],
  );
  const repeated = await extract(
    parseSchema(
      { entities: { A: '人物' }, relations: { A: { r: '住处', s: { name: '原因', object: 'r' } } } },
      '',
    ),
    rule({ 人物: ['小林'], 小林的住处: ['海'], 小林的原因: ['海'] }),
    {},
    {},
    ['小林看海'],
  );
  t.deepEqual(entitiesOf(repeated.documents[0]), ['A 小林 0', 'r 海 3 only'], 'one object for two relations');
});

test('events: triggers, then arguments; relations between events', async (t) => {
  const schema = parseSchema(
    {
      entities: { PER: '人物' },
      events: { Disaster: { prompt: '事件', arguments: { hurt: '伤者' } }, Act: { prompt: '公司' } },
      relations: { Disaster: { cause: { name: '原因', object: 'Act' } } },
    },
    'schema',
  );
  const { documents } = await extract(
    schema,
    rule({ 人物: ['小林', '她'], 事件: ['地震'], 公司: ['救'], 地震的伤者: ['她'], 地震的原因: ['救'] }),
  );
  const { entities, relations } = documents[2];
  t.deepEqual(entitiesOf(documents[2]), ['Disaster 地震 0', 'PER 小林 3', 'Act 救 5', 'PER 她 7']);
  t.deepEqual(relationsOf(documents[2]), ['0 hurt 7', '0 cause 5']);
  t.ok(relations.every(({ head }) => entities[head].type === 'Disaster'));
});

test('two mentions of one trigger that share an argument: the nearest has it', async (t) => {
  const schema = parseSchema(
    { events: { Quake: { prompt: '事件', arguments: { where: '地点' } } } },
    'schema',
  );
  const text = '北岸地震，地震又来；海边地震';
  const places = [...text.matchAll(/地震/g)].map(({ index }) => index);
  t.deepEqual(places, [2, 5, 12]);
  const gold: Document = {
    text,
    // Not in the order of the text: what is nearest does not depend on it.
    entities: [
      ...[...places].reverse().map((start) => ({ type: 'Quake', start, end: start + 2 })),
      { type: 'where', start: 0, end: 2 },
      { type: 'where', start: 10, end: 12 },
      { type: 'where', start: 4, end: 5 },
    ],
    relations: [
      { type: 'where', head: 2, tail: 3 },
      { type: 'where', head: 1, tail: 3 },
      { type: 'where', head: 0, tail: 4 },
      { type: 'where', head: 2, tail: 5 },
      { type: 'where', head: 1, tail: 5 },
    ],
  };
  const answers = rule({ 事件: ['地震'], 地震的地点: ['北岸', '海边', '，'] });
  const { documents, asked } = await extract(schema, answers, {}, {}, [text]);
  t.equal(asked.length, 2, 'one prompt for all three mentions');
  t.deepEqual(
    relationsOf(documents[0]).sort(),
    ['12 where 10', '2 where 0', '2 where 4'],
    'as near: the first',
  );
  const scores = scoreDocuments([gold], documents, schema);
  t.deepEqual(
    [scores.argument?.micro.f1, scores.eventTriple?.micro.r],
    [1, 3 / 5],
    'of event triples two are lost',
  );
  t.deepEqual(sampleNotes([gold], schema), [
    'relations of a subject that stands nearer to their object in another place: 2 of 5; an answer goes to the nearest mention',
    'entities of types that the schema does not ask for: 3; neither learnt nor scored',
  ]);
});

test('a model that finds everything: what is not asked is counted', async (t) => {
  const schema = parseSchema(
    { entities: { A: '人物' }, relations: { A: { r: '住处', s: '地点' } } },
    'schema',
  );
  const everything: Rule = (prompt, text) =>
    prompt === '人物' ? [...text].map((_, i) => [i, i + 1] as const) : [];
  const distinct = (text: string) => new Set(text).size;
  const some = await extract(schema, everything, { maxSubjects: 4 });
  t.equal(some.report.unasked, 2 * (distinct(texts[0]) - 4 + distinct(texts[2]) - 4));
  t.equal(some.asked.length, 2 + 2 * (4 + 4));
  t.equal((await extract(schema, everything)).report.unasked, 0);

  // The whole text is a subject, and its prompt would fill the input.
  const whole: Rule = (prompt, text) => (prompt === '人物' ? [[0, [...text].length]] : []);
  const { report, documents } = await extract(schema, whole, {}, { maxLength: 28 });
  t.equal(report.unasked, 2, 'the prompts of the long text');
  t.equal(report.prompts, 3 + 2);
  t.deepEqual(
    documents[0].entities.map(({ end }) => end),
    [texts[0].length],
  );
});

test('a long text of which every character is found', async (t) => {
  const schema = parseSchema({ entities: { A: '人物' }, relations: { A: { r: '住处' } } }, 'schema');
  const length = 200_000;
  const found: Rule = (prompt, text) =>
    prompt === '人物'
      ? [...text].map((_, i) => [i, i + 1] as const)
      : [[text.length >> 1, (text.length >> 1) + 1]];
  const encoder = { ...tinyModel(runtime, tokenizer).config.encoder.json, max_position_embeddings: 8192 };
  const { documents, report } = await extract(schema, found, {}, { encoder, maxLength: 8192 }, [
    '林'.repeat(length),
  ]);
  t.equal(documents[0].entities.length, length);
  t.equal(report.prompts, 2, 'one subject, however often it stands there');
  const { relations } = documents[0];
  t.ok(relations.length > 10, `${relations.length} relations`);
  t.ok(
    relations.every(({ head, tail }) => head === tail - 1),
    'from the mention before, which touches the object',
  );
});

test('progress and errors', async (t) => {
  const schema = parseSchema({ entities: { A: '人物' }, relations: { A: { r: '住处' } } }, 'schema');
  const told: unknown[][] = [];
  const progress = (...args: unknown[]) => told.push(args);
  await extract(schema, rule({ 人物: ['小林'] }), { progress });
  t.deepEqual(told, [
    ['entities', 2, 2],
    ['relations', 2, 2],
  ]);
  t.match(
    await inputError(() => extract(schema, rule({}), {}, { maxLength: 4 })),
    /^line 1: prompt "人物": a prompt of 2 word pieces leaves no room for the text in the model's maxLength 4$/,
  );
  const newline = parseSchema({ entities: { A: '人\n物' } }, 'schema');
  t.match(
    await inputError(() => extract(newline, rule({}), {}, { maxLength: 4 })),
    /^line 1: prompt "人\\n物": a prompt/,
  );
  for (const maxSubjects of [-1, 0.5, NaN])
    t.match(
      await inputError(() => extract(schema, rule({}), { maxSubjects })),
      /^extract: maxSubjects must be/,
    );
  const none = await extract(schema, rule({}), {}, {}, []);
  t.deepEqual([none.documents, none.report.prompts, none.report.forwardPasses], [[], 0, 0], 'no document');
});

test('what an extraction took, in words', (t) => {
  const took = (prompts: number, seconds: number): string =>
    effortText({ prompts, forwardPasses: 2, seconds });
  t.equal(took(9, 0.4), '9 prompts, 2 forward passes, 0.4 s: 22.5 prompts a second');
  t.equal(took(1, 92.34), '1 prompts, 2 forward passes, 92.3 s: 92.3 s a prompt', 'one very long text');
  t.equal(took(5, 5), '5 prompts, 2 forward passes, 5.0 s: 1.0 prompts a second');
  t.equal(took(0, 0.01), '0 prompts, 2 forward passes, 0.0 s', 'no text');
  t.end();
});
