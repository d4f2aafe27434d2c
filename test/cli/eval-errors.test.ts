/** `spanwise eval --errors` and `--out`, of every kind of model. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { expectFailure, file, fixture, folder, spanwise } from './run.ts';

type Scores = Record<string, { micro: { support: number; predicted: number } }>;

const cerem = join(folder, 'cerem');
cpSync('test/fixtures/cerem/per-scale', cerem, { recursive: true });
writeFileSync(
  join(cerem, 'schema.json'),
  JSON.stringify({ entities: { PER: '人物' }, relations: { PER: { at: { name: '的' } } } }),
);
const documents = file(
  'documents.json',
  JSON.stringify([
    {
      text: '小林昨天从青岛港出发，去北岸看海。',
      entities: [
        { type: 'PER', start: 0, end: 2 },
        { type: 'LOC', start: 5, end: 8 },
      ],
      relations: [{ type: 'at', head: 0, tail: 1 }],
    },
  ]),
);
const lai = 'test/fixtures/lai';

const models: [
  name: string,
  args: string[],
  data: string,
  entities: string | undefined,
  relations?: string,
][] = [
  ['STSN', ['--model', `${fixture}/both`], `${fixture}/batch.json`, 'ner', 'rePlus'],
  ['CEREM', ['--model', cerem], documents, 'entity', 'triple'],
  ['LAI-Net, entities', ['--model', `${lai}/entities`], `${lai}/batch.json`, 'ner'],
  ['LAI-Net, relations', ['--model', `${lai}/relations`], `${lai}/batch.json`, undefined, 're'],
];

test('spanwise eval --errors --out', async (t) => {
  for (const [name, args, data, entities, relations] of models) {
    const [errors, out] = [join(folder, `${name}.jsonl`), join(folder, `${name}.json`)];
    const asked = ['eval', ...args, '--data', data];
    const { status, stdout, stderr } = await spanwise([...asked, '--errors', errors, '--out', out, '--json']);
    t.deepEqual([status, stderr], [0, ''], name);
    const found = JSON.parse(stdout) as Scores & { errors: Record<string, { score: object }> };
    for (const [key, kind] of [
      [entities, 'entities'],
      [relations, 'relations'],
    ] as const)
      t.deepEqual(found.errors[kind]?.score, key && found[key].micro, `${name}: ${kind} as scored`);
    const rows = readFileSync(errors, 'utf8').trimEnd().split('\n');
    const predicted = JSON.parse(readFileSync(out, 'utf8')) as { entities: { objectOnly?: true }[] }[];
    t.equal(rows.length, (JSON.parse(readFileSync(data, 'utf8')) as object[]).length, 'a line a text');
    t.equal(predicted.length, rows.length);
    if (entities === undefined) continue;
    const all = predicted.flatMap((row) => row.entities).filter(({ objectOnly }) => !objectOnly);
    t.equal(all.length, found[entities].micro.predicted, 'predictions as a corpus');
    const again = await spanwise([...asked, '--errors', join(folder, `${name}.html`)]);
    t.match(again.stdout, /\nOf \d+ entit.* in the gold \d+ were found .*\n(.*\n)*see .*\.html\n$/);
    t.match(readFileSync(join(folder, `${name}.html`), 'utf8'), /^<!doctype html>\n[^]*<\/html>\n$/);
  }
});

test('spanwise eval --errors shows the text of a row as it is', async (t) => {
  const text = 'Ida  Lorn,of Ostra';
  const row = { text, entities: [{ type: 'PER', start: 0, end: 9 }] };
  const errors = join(folder, 'own.jsonl');
  const args = ['eval', '--model', `${fixture}/both`, '--data', file('own.json', JSON.stringify([row]))];
  t.equal((await spanwise([...args, '--errors', errors])).status, 0);
  const found = JSON.parse(readFileSync(errors, 'utf8')) as { text: string; entities: { gold?: object }[] };
  t.equal(found.text, text);
  const gold = found.entities.flatMap((one) => one.gold ?? []);
  t.deepEqual(gold, [{ type: 'PER', text: 'Ida  Lorn', start: 0, end: 9 }]);
});

test('spanwise eval --threshold', async (t) => {
  const dir = join(folder, 'tuned');
  for (const [name, from, data, key, score] of [
    ['STSN', `${fixture}/both`, `${fixture}/batch.json`, 'relationThreshold', 'rePlus'],
    ['CEREM', cerem, documents, 'threshold', 'entity'],
  ] as const) {
    cpSync(from, dir, { recursive: true });
    const args = ['eval', '--model', dir, '--data', data];
    const chosen = await spanwise([...args, '--threshold', 'auto', '--json']);
    t.deepEqual([chosen.status, chosen.stderr], [0, ''], name);
    const { threshold, ...scores } = JSON.parse(chosen.stdout) as Scores & {
      threshold: { threshold: number; f1: number; before: number };
    };
    t.ok(threshold.f1 >= threshold.before && threshold.threshold > 0 && threshold.threshold <= 1);
    const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as Record<string, unknown>;
    t.equal(config[key], threshold.threshold, 'kept in the checkpoint');
    const after = await spanwise([...args, '--json']);
    const again = JSON.parse(after.stdout) as Scores;
    t.deepEqual(again[score], scores[score], 'and used from there');
    if (name === 'STSN')
      t.equal(
        (scores[score].micro as unknown as { f1: number }).f1,
        threshold.f1,
        'the F1 that was foretold',
      );
    const none = JSON.parse((await spanwise([...args, '--threshold', '1', '--json'])).stdout) as Scores;
    t.equal(none[score].micro.predicted, 0, 'no score reaches 1');
  }
  const args = ['eval', '--model', `${fixture}/both`, '--data', `${fixture}/batch.json`, '--threshold'];
  expectFailure(t, await spanwise([...args, '1.5']), 2, /--threshold must be at most 1/);
  expectFailure(t, await spanwise([...args, 'best']), 2, /--threshold must be a number of at least 0/);
  const data = `${lai}/batch.json`;
  const entities = ['eval', '--model', `${lai}/entities`, '--data', data, '--threshold', 'auto'];
  expectFailure(t, await spanwise(entities), 2, /batch\.json: no relation to choose a threshold by/);
});

test('spanwise eval --errors: bad usage', async (t) => {
  const args = ['eval', '--model', `${fixture}/both`, '--data', `${fixture}/batch.json`];
  const text = join(folder, 'errors.txt');
  expectFailure(t, await spanwise([...args, '--errors', text]), 2, /--errors must end in \.html or \.jsonl/);
  t.notOk(existsSync(text));
  const nowhere = join(folder, 'no', 'errors.html');
  expectFailure(t, await spanwise([...args, '--errors', nowhere]), 2, /there is no folder/);
  const same = join(folder, 'same.jsonl');
  expectFailure(t, await spanwise([...args, '--errors', same, '--out', same]), 2, /both --errors and --out/);
});
