/** `bench models` on a corpus of a few sentences: which rows there are, and their keys. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { modelsBench } from '../../bench/models.bench.ts';

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

/** In this process, so that nothing but the tests' own limit ends a slow machine's run. */
const modelsOf = (...args: string[]) =>
  modelsBench.run({ json: true, full: false, data: folder, args, log: () => undefined });

test('bench models: a row for each model and seed, for stages together, and for means', async (t) => {
  const { rows, notes } = await modelsOf('--epochs=1', '--only=lai,cerem', '--seeds=1,2');
  const variants = ['entities', 'relations', 'together'];
  t.deepEqual(
    rows.map(({ model, variant, seed }) => [model, variant, seed]),
    [
      ...[1, 2, 'mean'].flatMap((seed) => variants.map((variant) => ['lai', variant, seed])),
      ...[1, 2, 'mean'].flatMap((seed) =>
        ['with segments', 'without'].map((variant) => ['cerem', variant, seed]),
      ),
    ],
  );
  t.deepEqual(notes, [], 'both read the corpus');
  const scores: Record<string, string[]> = {
    ...{ entities: ['ner'], relations: ['re'], together: ['ner', 're', 'rePlus'] },
    ...{ 'with segments': ['entity', 'triple'], without: ['entity', 'triple'] },
  };
  const costs = ['parameters', 'forwardFlops', 'stepFlops', 'stepMacs', 'peakBytes', 'seconds', 'steps'];
  for (const row of rows) {
    const what = `${String(row.model)} ${String(row.variant)} ${String(row.seed)}`;
    const found = ['ner', 're', 'rePlus', 'entity', 'triple'].filter((name) => Object.hasOwn(row, name));
    t.deepEqual(found, scores[String(row.variant)], `${what}: what it can be scored by`);
    if (row.seed === 'mean') t.ok(found.every((name) => Number(row[`${name}Spread`]) >= 0));
    else
      t.ok(
        [...costs, 'sentenceFlops'].every((name) => Number(row[name]) > 0),
        `${what}: what it cost`,
      );
  }
  const [entities, relations, together] = rows;
  const sum = Number(entities.parameters) + Number(relations.parameters);
  t.equal(together.parameters, sum, 'two models are held');
  const seconds = [0, 3].map((i) => Number(rows[i].seconds));
  t.ok(Math.abs(Number(rows[6].seconds) - (seconds[0] + seconds[1]) / 2) < 1e-9, 'the mean of two');
});

test('bench models refuses what it does not know, before a device is opened', async (t) => {
  const failure = (...args: string[]) => modelsOf(...args).then(String, String);
  t.match(
    await failure('--only=stsn,bert'),
    /^InputError: bench models: --only names "bert", which is not one of stsn, /,
  );
  t.match(await failure('--seeds=x'), /--seeds must be whole numbers/);
});
