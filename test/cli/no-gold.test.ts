/** Data that hold nothing of what a model is to learn or to be scored by, told in a line before anything is computed. */
import { join } from 'node:path';
import test from 'tape';
import { file, folder, spanwise, expectFailure } from './run.ts';

const row = {
  tokens: ['Ada', 'Brandt', 'leads', 'the', 'Harbour', 'Museum', '.'],
  entities: [
    { type: 'PER', start: 0, end: 2 },
    { type: 'ORG', start: 4, end: 6 },
  ],
  relations: [{ type: 'Leads', head: 0, tail: 1 }],
};
const rows = (name: string, change: object): string =>
  file(name, JSON.stringify([row, row].map((whole) => ({ ...whole, ...change }))));
const whole = rows('whole.json', {});
const bare = rows('bare.json', { entities: [], relations: [] });
const unrelated = rows('unrelated.json', { relations: [] });
const narrow = file('narrow.json', '{"maxSpanWidth":1}');
const schema = file('schema.json', '{"entities":{"SHIP":"ships"}}');
const out = join(folder, 'never-written');

const nothing = 'is annotated: there is nothing to';
const entities = ['--model', 'lai', '--stage', 'entities'];
const relations = ['--model', 'lai', '--stage', 'relations'];

for (const [name, args, line] of [
  ['STSN', ['--model', 'stsn', '--data', bare], `bare.json: no entity ${nothing} learn`],
  ['ISER', ['--model', 'iser', '--data', bare], `bare.json: no entity ${nothing} learn`],
  ['LAI-Net, entities', [...entities, '--data', bare], `bare.json: no entity ${nothing} learn`],
  ['LAI-Net, relations', [...relations, '--data', unrelated], `unrelated.json: no relation ${nothing} learn`],
  ['CEREM', ['--model', 'cerem', '--data', bare], 'bare.json: the documents have no entities'],
  [
    'CEREM, another schema',
    ['--model', 'cerem', '--data', whole, '--schema', schema],
    `whole.json: nothing that the schema asks for ${nothing} learn`,
  ],
  [
    'entities that are all too wide',
    ['--model', 'iser', '--data', whole, '--config', narrow],
    'whole.json: none of 4 entities is made of 1 to 1 whole words ("maxSpanWidth"): there is nothing to learn',
  ],
  ['dev data', ['--model', 'stsn', '--data', whole, '--dev', bare], `bare.json: no entity ${nothing} score`],
  [
    'dev data of a LAI-Net of relations',
    [...relations, '--data', whole, '--dev', unrelated],
    `unrelated.json: no relation ${nothing} score`,
  ],
] as const)
  test(`train: nothing to learn or to choose an epoch by: ${name}`, async (t) => {
    const line_ = new RegExp(line.replace(/[()[\]"]/g, '\\$&'));
    expectFailure(t, await spanwise(['train', ...args, '--out', out]), 2, line_);
  });

test('eval: nothing to score by', async (t) => {
  const refused = async (model: string, data: string, line: RegExp, ...more: string[]) => {
    const args = ['eval', '--model', `test/fixtures/${model}`, '--data', data, ...more];
    expectFailure(t, await spanwise(args), 2, line);
  };
  for (const model of ['stsn/both', 'iser/plain', 'lai/entities'])
    await refused(model, bare, /bare\.json: no entity is annotated: there is nothing to score/);
  await refused('lai/relations', bare, /bare\.json: no relation is annotated: there is nothing to score/);
  await refused('lai/relations', unrelated, /unrelated\.json: no relation is annotated/);
  const asked = /bare\.json: nothing that the schema asks for is annotated: there is nothing to score/;
  await refused('cerem/per-scale', bare, asked, '--schema', schema);
});

test('a configuration that says another thing than an option', async (t) => {
  for (const [option, value, said] of [
    ['stage', 'entities', '{"stage":"relations"}'],
    ['words', 'penn', '{"words":"basic"}'],
    ['symmetric', 'Leads,Kin', '{"symmetric":["Leads"]}'],
  ] as const) {
    const config = file(`${option}.json`, said);
    const args = ['train', '--model', 'lai', '--data', whole, '--config', config, `--${option}`, value];
    const [, key] = /:(.*)}/.exec(said)!;
    const line = `--${option} ${value} contradicts ${config}, where "${option}" is ${key}`;
    const outcome = await spanwise([...args, '--out', out]);
    t.ok(outcome.stderr.includes(line), outcome.stderr);
    expectFailure(t, outcome, 2, /contradicts/);
  }
});
