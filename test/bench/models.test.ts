/** `bench models` on a corpus of a few sentences: which rows there are, and their keys. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import type { BenchDocument } from '../../src/cli/bench.ts';
import { spanwise } from '../cli/run.ts';

const folder = mkdtempSync(join(tmpdir(), 'spanwise-models-'));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));

const sentence = (person: string, place: string) => ({
  tokens: [person, 'sails', 'to', place, '.'],
  entities: [
    { type: 'Person', start: 0, end: 1 },
    { type: 'Place', start: 3, end: 4 },
  ],
  relations: [{ type: 'Reaches', head: 0, tail: 1 }],
});
const sentences = [sentence('Ada', 'Ostra'), sentence('Lena', 'Velloway'), sentence('Ada', 'Velloway')];
for (const name of ['train', 'test'])
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(sentences.slice(name === 'train' ? 0 : 2)));

const modelsOf = (...args: string[]) => spanwise(['bench', 'models', '--data', folder, ...args]);

test('bench models: a row for each model and seed, and for the stages together', async (t) => {
  const { stdout, stderr } = await modelsOf('--epochs', '1', '--only', 'stsn,lai,cerem', '--json');
  const document = JSON.parse(stdout || 'null') as BenchDocument | null;
  if (!document) throw new Error(stderr);
  t.deepEqual(
    document.rows.map(({ model, variant, seed }) => [model, variant, seed]),
    [
      ['stsn', 'small', 1],
      ['lai', 'entities', 1],
      ['lai', 'relations', 1],
      ['lai', 'together', 1],
      ['cerem', 'small', 1],
    ],
  );
  const scores = [['ner', 're', 'rePlus'], ['ner'], ['re'], ['ner', 're', 'rePlus'], ['entity', 'triple']];
  const costs = ['parameters', 'forwardFlops', 'stepFlops', 'stepMacs', 'peakBytes', 'seconds', 'steps'];
  document.rows.forEach((row, i) => {
    const what = `${String(row.model)} ${String(row.variant)}`;
    t.deepEqual(
      ['ner', 're', 'rePlus', 'entity', 'triple'].filter((name) => Object.hasOwn(row, name)),
      scores[i],
      `${what}: what it can be scored by`,
    );
    t.ok(
      [...costs, 'sentenceFlops'].every((name) => Number(row[name]) > 0),
      `${what}: what it cost`,
    );
  });
  const [, entities, relations, together] = document.rows;
  t.equal(
    together.parameters,
    Number(entities.parameters) + Number(relations.parameters),
    'two models are held',
  );
  t.deepEqual(document.notes, [], 'all of them read the corpus');
});

test('bench models: mean and spread where there are several seeds', async (t) => {
  const { stdout, stderr } = await modelsOf('--epochs', '1', '--only', 'stsn', '--seeds', '1,2', '--json');
  const document = JSON.parse(stdout || 'null') as BenchDocument | null;
  if (!document) throw new Error(stderr);
  const [first, second, mean] = document.rows;
  t.deepEqual([first.seed, second.seed, mean.seed], [1, 2, 'mean']);
  t.equal(mean.seconds, (Number(first.seconds) + Number(second.seconds)) / 2);
  t.equal(mean.nerSpread, Math.abs(Number(first.ner) - Number(second.ner)));
});

test('bench models refuses a name that the registry lacks', async (t) => {
  const { status, stderr } = await modelsOf('--only', 'stsn,bert');
  t.equal(status, 2);
  t.match(stderr, /bench models: --only names "bert", which is not one of stsn, /);
});
