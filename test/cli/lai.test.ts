/** `spanwise extract`, `eval` and `trace` with LAI-Nets: one of each stage. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { parseSafetensors } from '../../src/io/safetensors.ts';
import type { Extraction } from '../../src/tasks/extraction.ts';
import { expectFailure, file, fixture as stsn, folder, spanwise } from './run.ts';

const fixtures = 'test/fixtures/lai';
const [entities, relations] = ['entities', 'relations'].map((name) => join(fixtures, name));
const both = ['--model', entities, '--relations', relations];
const batch = join(fixtures, 'batch.json');
const { tokens } = (JSON.parse(readFileSync(batch, 'utf8')) as { tokens: string[] }[])[0];
const lines = [tokens.join(' '), '', `${tokens.join(' ')} `.repeat(3)];
const text = file('in.txt', `${lines.join('\n')}\n`);

test('spanwise extract: entities, and relations among them', async (t) => {
  const extracted = async (args: string[]) => {
    const { status, stdout } = await spanwise(['extract', ...args, '--in', text]);
    t.equal(status, 0);
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Extraction);
  };
  const together = await extracted(both);
  t.deepEqual(
    together.map((result) => result.text),
    lines,
    'a line for each line, the last in windows',
  );
  for (const { text, entities, relations } of together) {
    t.ok(entities.every((e) => e.text === text.slice(e.start, e.end)));
    t.ok(relations.every(({ head, tail }) => head in entities && tail in entities && head !== tail));
  }
  t.ok(together[0].relations.length > 0 && together[2].entities.length > together[0].entities.length);
  const [alone] = await extracted(['--model', entities]);
  t.deepEqual(alone, { ...together[0], relations: [] }, 'entities alone');
});

test('spanwise eval: what the models that are given can be scored by', async (t) => {
  const scores = async (args: string[]) => {
    const { status, stdout } = await spanwise(['eval', ...args, '--data', batch, '--json']);
    t.equal(status, 0);
    const found = JSON.parse(stdout) as Record<string, unknown>;
    return { ...found, keys: ['ner', 're', 'rePlus'].filter((key) => key in found) };
  };
  t.deepEqual((await scores(['--model', entities])).keys, ['ner']);
  t.deepEqual((await scores(both)).keys, ['ner', 're', 'rePlus']);
  const gold = await scores(['--model', relations]);
  t.deepEqual([gold.keys, (gold as { entities?: string }).entities], [['re'], 'gold']);
});

test('spanwise trace writes what the stage has', async (t) => {
  for (const [model, names] of [
    [entities, ['filter_logits', 'loss', 'loss.filter', 'loss.span', 'span_logits']],
    [relations, ['loss', 'loss.relation', 'relation_logits']],
  ] as const) {
    const out = join(folder, 'trace.safetensors');
    const { status } = await spanwise(['trace', '--model', model, '--batch', batch, '--out', out]);
    t.equal(status, 0);
    const { tensors } = parseSafetensors(readFileSync(out), out);
    t.deepEqual([...tensors.keys()].filter((name) => !name.startsWith('grad.')).sort(), names);
  }
});

test('stages of other data are told', async (t) => {
  const other = join(folder, 'other');
  cpSync(relations, other, { recursive: true });
  const config = JSON.parse(readFileSync(join(other, 'config.json'), 'utf8')) as object;
  const changed = { ...config, entityTypes: ['A', 'PER'], annotations: {}, words: 'penn' };
  writeFileSync(join(other, 'config.json'), JSON.stringify(changed));
  const { status, stderr } = await spanwise(['extract', '--model', entities, '--relations', other], {
    input: 'A text.\n',
  });
  t.equal(status, 0);
  t.match(stderr, /note: \S+other: learnt relations among entities of A, PER, and not of \S/);
  t.match(stderr, /note: \S+other: parts text into words by another rule than the model of entities/);
  t.notOk(/another rule|learnt/.test((await spanwise(['extract', ...both], { input: 'A text.\n' })).stderr));
});

test('models that do not go together give one line', async (t) => {
  const refused = async (args: string[], line: RegExp) =>
    expectFailure(t, await spanwise(args, { input: 'A text.\n' }), 2, line);
  await refused(
    ['extract', '--model', relations],
    /lai\/relations: a model of stage relations finds no entities/,
  );
  await refused(
    ['extract', '--model', relations, '--relations', relations],
    /lai\/relations: goes with a model of stage entities, not with one of relations/,
  );
  await refused(
    ['eval', '--model', entities, '--relations', entities, '--data', batch],
    /lai\/entities: a model of stage entities, where one of relations is needed/,
  );
  await refused(
    ['extract', '--model', entities, '--relations', `${stsn}/both`],
    /stsn\/both: a model of kind STSN, where one of kind LAI-Net is needed/,
  );
  await refused(['extract', '--model', `${stsn}/both`, '--relations', relations], /--relations/);
  const out = join(folder, 'new');
  const train = ['train', '--model', 'lai', '--data', batch, '--out', out];
  await refused(train, /config: "stage" must be one of entities, relations; it is missing/);
  await refused([...train, '--stage', 'both'], /--stage/);
  const lone = file('lone.json', JSON.stringify([{ tokens: ['A'], entities: [], relations: [] }]));
  await refused(
    ['trace', '--model', relations, '--batch', lone, '--out', out],
    /lone\.json: no sentence has two/,
  );
});
