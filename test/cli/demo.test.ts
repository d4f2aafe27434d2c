/** `demo cerem` on a few rows of its corpus. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { expectFailure, folder, spanwise } from './run.ts';

const corpus = 'corpora/crops';
const few = join(folder, 'few');
mkdirSync(few);
for (const [name, count] of [
  ['train', 4],
  ['dev', 2],
  ['test', 2],
] as const) {
  const rows = JSON.parse(readFileSync(`${corpus}/${name}.json`, 'utf8')) as unknown[];
  writeFileSync(join(few, `few_${name}.json`), JSON.stringify(rows.slice(0, count)));
}
cpSync(`${corpus}/schema.json`, join(few, 'schema.json'));
writeFileSync(join(few, 'unseen.txt'), '棉铃虫为害玉米。\n\n苗床上撒𫫇霉灵药土。\n');

interface Demo {
  models: { name: string; parameters: number; test: { documents: number }; report: { steps: number } }[];
  extracted: { text: string }[];
}

test('demo cerem trains both models, extracts from every text and draws a map', async (t) => {
  const out = join(folder, 'demo');
  const args = ['demo', 'cerem', '--data', few, '--out', out, '--epochs', '1'];
  const { status, stdout, stderr } = await spanwise([...args, '--json']);
  t.equal(status, 0, stderr);
  const { models, extracted } = JSON.parse(stdout) as Demo;
  t.deepEqual(
    models.map(({ name, test: { documents } }) => [name, documents]),
    [
      ['with segments', 2],
      ['without', 2],
    ],
  );
  t.equal(
    models[0].parameters - models[1].parameters,
    8,
    'the weights of W and three scales, for two branches',
  );
  t.ok(models.every(({ report }) => report.steps > 0));
  t.deepEqual(
    extracted.map(({ text }) => text),
    ['棉铃虫为害玉米。', '苗床上撒𫫇霉灵药土。'],
  );
  t.ok(readFileSync(join(out, 'attention.svg'), 'utf8').includes('>害</text>'), 'of the first text');
  for (const name of ['segments', 'plain'])
    t.ok(existsSync(join(out, name, 'schema.json')), `${name} holds its schema`);

  expectFailure(t, await spanwise(args), 2, /segments: already holds a model/);
});

test('demo cerem refuses a folder without the splits', async (t) => {
  const outcome = await spanwise(['demo', 'cerem', '--data', 'corpora']);
  expectFailure(t, outcome, 2, /corpora: no file is named train\.json or \*_train\.json/);
});
