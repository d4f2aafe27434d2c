/** `spanwise extract`, `eval` and `compare` with CEREM checkpoints. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import type { Extraction } from '../../src/tasks/extraction.ts';
import { expectFailure, file, fixture, folder, spanwise } from './run.ts';

const model = 'test/fixtures/cerem/per-scale';
const schema = {
  entities: { PER: '人物', LOC: '地点' },
  relations: { PER: { at: { name: '的', object: 'LOC' } } },
};
const schemaFile = file('schema.json', JSON.stringify(schema));
const lines = [
  '小林昨天从青岛港出发，去北岸看海。',
  '',
  '她写信',
  '𠮷田修好了三艘船，小林在青岛港看船。'.repeat(6),
];
const text = file('in.txt', `${lines.join('\n')}\n`);

/** A copy of the checkpoint with a schema of its own. */
const withSchema = join(folder, 'with-schema');
cpSync(model, withSchema, { recursive: true });
writeFileSync(join(withSchema, 'schema.json'), JSON.stringify(schema));

const documents = file(
  'documents.json',
  JSON.stringify([
    {
      text: lines[0],
      entities: [
        { type: 'PER', start: 0, end: 2 },
        { type: 'LOC', start: 5, end: 8 },
        { type: 'Other', start: 2, end: 4 },
      ],
      relations: [{ type: 'at', head: 0, tail: 1 }],
    },
    { text: lines[2], entities: [{ type: 'PER', start: 0, end: 1 }], relations: [] },
  ]),
);

test('spanwise extract: a CEREM checkpoint', async (t) => {
  const args = ['extract', '--model', model, '--schema', schemaFile];
  const { status, stdout, stderr } = await spanwise([...args, '--in', text]);
  t.equal(status, 0);
  t.match(stderr, /^\d+ prompts, \d+ forward passes, \d+\.\d s: \d+\.\d (prompts a second|s a prompt)\n$/);
  const results = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Extraction);
  t.deepEqual(
    results.map((result) => result.text),
    lines,
    'a line for each line',
  );
  const found = results.flatMap((result) => result.entities.map((entity) => ({ result, entity })));
  t.ok(found.length > 0, `${found.length} entities`);
  for (const { result, entity } of found) {
    t.equal(entity.text, result.text.slice(entity.start, entity.end));
    t.ok(['PER', 'LOC'].includes(entity.type) && entity.score >= 0.5 && entity.score <= 1);
  }
  t.ok(
    results[3].entities.some(({ end }) => end > 60),
    'a text of three windows to its end',
  );

  const out = join(folder, 'out.jsonl');
  const own = await spanwise(['extract', '--model', withSchema, '--out', out], { input: readFileSync(text) });
  t.deepEqual([own.status, own.stdout], [0, '']);
  t.equal(readFileSync(out, 'utf8'), stdout, "the checkpoint's schema, standard input, a file");
  const small = await spanwise([...args, '--in', text, '--batch', '1', '--overlap', '20']);
  t.equal(small.status, 0);
  t.equal(small.stdout.split('\n')[0], stdout.split('\n')[0], 'what fits does not depend on the overlap');
  const none = await spanwise([...args, '--in', text, '--max-subjects', '0']);
  t.ok(none.status === 0 && !none.stdout.includes('"head"'), 'no subject is asked about');
  t.match(none.stderr, /\nnote: relation prompts not asked, [^:]*: \d+\n$/);
});

test('spanwise eval: a CEREM checkpoint', async (t) => {
  const args = ['eval', '--model', withSchema, '--data', documents];
  const { status, stdout, stderr } = await spanwise([...args, '--json']);
  t.deepEqual([status, stderr], [0, '']);
  const scores = JSON.parse(stdout) as Record<string, Record<string, Record<string, unknown>>>;
  for (const name of ['entity', 'triple']) {
    t.deepEqual(Object.keys(scores[name].macro), ['p', 'r', 'f1'], name);
    t.ok(['p', 'r', 'f1'].every((key) => typeof scores[name].micro[key] === 'number'));
  }
  t.equal(scores.entity.micro.support, 3, 'what the schema does not ask for is not counted');
  t.equal(scores.triple.micro.support, 1);
  t.notOk('trigger' in scores);
  t.deepEqual((scores.notes as unknown as string[]).length, 1, 'but told');
  const predicted = join(folder, 'predicted.json');
  const plain = await spanwise([...args, '--out', predicted]);
  const written = JSON.parse(readFileSync(predicted, 'utf8')) as { text: string; entities: object[] }[];
  t.deepEqual(
    written.map((row) => row.text),
    [lines[0], lines[2]],
  );
  t.equal(
    written.flatMap((row) => row.entities.filter((entity) => !('objectOnly' in entity))).length,
    scores.entity.micro.predicted,
    'predictions as a corpus',
  );
  t.match(plain.stdout, /\nentity micro +\d/);
  t.match(
    plain.stdout,
    /\ntriple micro F1: 95 % interval \d+\.\d\d to \d+\.\d\d\n2 documents, \d+ prompts, 2 forward passes, /,
  );
  t.match(plain.stdout, /\nnote: .*schema does not ask for/);
});

test('spanwise extract and eval: bad input to CEREM', async (t) => {
  const never = join(folder, 'never.jsonl');
  const extract = (dir: string, ...more: string[]) =>
    spanwise(['extract', '--model', dir, '--in', text, '--out', never, ...more]);
  const asks = (name: string, content: unknown) =>
    file(name, typeof content === 'string' ? content : JSON.stringify(content));
  const empty = join(folder, 'no-model');
  cpSync(schemaFile, join(empty, 'schema.json'));

  expectFailure(
    t,
    await extract(model),
    2,
    /extract: --schema is missing, and .*per-scale holds no schema\.json/,
  );
  expectFailure(t, await extract(empty), 2, /no-model.config\.json: no such file/);
  const failures: [name: string, schema: unknown, line: RegExp][] = [
    ['empty.json', '', /empty\.json: .*not JSON/],
    ['nothing.json', {}, /nothing\.json: .*asks for nothing/],
    ['list.json', [], /list\.json: not a JSON object/],
    [
      'long.json',
      { entities: { X: '北岸'.repeat(40) } },
      /in\.txt: line 1: prompt ".*": a prompt of 80 word pieces leaves no room/,
    ],
  ];
  for (const [name, content, line] of failures)
    expectFailure(t, await extract(model, '--schema', asks(name, content)), 2, line);
  expectFailure(
    t,
    await extract(model, '--schema', join(folder, 'nowhere.json')),
    2,
    /nowhere\.json: no such file/,
  );
  const policy = await extract(model, '--schema', schemaFile, '--policy', 'flat');
  expectFailure(t, policy, 2, /--policy goes with STSN and ISER models/);
  expectFailure(t, await extract(model, '--overlap=-3'), 2, /--overlap must be a whole number of at least 0/);
  const limited = await extract(`${fixture}/both`, '--max-subjects', '3');
  expectFailure(t, limited, 2, /--max-subjects goes with CEREM models/);
  expectFailure(
    t,
    await extract(model, '--batch', '0', '--schema', schemaFile),
    2,
    /--batch must be a whole number/,
  );
  t.notOk(existsSync(never), 'nothing is written');

  const evaluate = (data: string, ...more: string[]) =>
    spanwise(['eval', '--model', withSchema, '--data', data, ...more]);
  const nowhere = join(folder, 'no', 'predictions.json');
  expectFailure(t, await evaluate(documents, '--out', nowhere), 2, /there is no folder/);
  expectFailure(t, await evaluate(file('none.json', '[]')), 2, /none\.json: holds no document/);
  const outside = { text: '海', entities: [{ type: 'LOC', start: 0, end: 2 }] };
  expectFailure(
    t,
    await evaluate(asks('outside.json', [outside])),
    2,
    /outside\.json: row 1: entities\[0\]\.end is 2/,
  );
});

test('spanwise compare', async (t) => {
  const evaluation = (entity: number, triple: number) => ({
    documents: 1,
    entity: { micro: { f1: entity }, macro: { f1: entity / 2 } },
    triple: { micro: { f1: triple } },
    notes: [],
  });
  const seeds = (name: string, entity: number[], triple: number[]) =>
    file(name, JSON.stringify(entity.map((f1, i) => evaluation(f1 / 100, triple[i] / 100))));
  const a = seeds('a.json', [85.48, 87.4, 85.71], [71.81, 73.2, 70.96]);
  const b = seeds('b.json', [88.59, 91.86, 90.66], [71.82, 72.5, 72.32]);
  const { status, stdout, stderr } = await spanwise(['compare', a, b]);
  t.deepEqual([status, stderr], [0, '']);
  const rows = stdout.split('\n').map((line) => line.trim().split(/ {2,}/));
  t.deepEqual(
    rows[1],
    ['entity micro', '86.20', '1.05', '90.37', '1.65', '4.17', '0.95', '7.586', '0.0169', '1.81', '6.54'],
    "the paper's Table 9",
  );
  t.deepEqual(rows.map(([name]) => name).slice(1, 4), ['entity micro', 'entity macro', 'triple micro']);
  const report = JSON.parse((await spanwise(['compare', a, b, '--json'])).stdout);
  t.ok(Math.abs(report.scores['triple micro'].p - 0.747) < 0.001);
  t.deepEqual(Object.keys(report.scores['triple micro']), [
    'n',
    'a',
    'b',
    'difference',
    't',
    'p',
    'interval',
  ]);

  const single = file('single.json', JSON.stringify(evaluation(0.5, 0.25)));
  const one = await spanwise(['compare', single, single]);
  t.match(one.stdout, /\nentity micro +50\.00 +- +50\.00 +- +0\.00 +- +- +- +- +-\n/);
  expectFailure(t, await spanwise(['compare', a]), 2, /compare: B\.json is missing/);
  expectFailure(t, await spanwise(['compare', a, b, b]), 2, /unexpected argument/);
  expectFailure(
    t,
    await spanwise(['compare', a, single]),
    2,
    /single\.json: 1 evaluations, but .*a\.json has 3/,
  );
  for (const [name, content, line] of [
    ['void.json', '[]', /void\.json: holds no evaluation/],
    ['other.json', '{"entity": 3}', /other\.json: holds no scores/],
    ['null.json', '[null, 1, {}]', /null\.json: evaluation 1: holds no scores/],
    ['broken.json', '{', /broken\.json: line 1: not JSON/],
    [
      'percent.json',
      '[{"ner":{"micro":{"f1":80}}}]',
      /evaluation 1: ner\.micro\.f1 is 80, not a share from 0/,
    ],
    ['huge.json', '[{"ner":{"micro":{"f1":1e999}}}]', /ner\.micro\.f1 is Infinity, not a share/],
  ] as const)
    expectFailure(t, await spanwise(['compare', file(name, content), a]), 2, line);
  const [dev, tested] = [40, 12].map((support) =>
    file(`${support}.json`, JSON.stringify({ ner: { micro: { f1: 0.5, support } } })),
  );
  expectFailure(
    t,
    await spanwise(['compare', dev, tested]),
    2,
    /12\.json: evaluation 1 is of other data than its pair in \S*40\.json: ner micro of 12 in the gold, and of 40/,
  );
  const half = file('half.json', JSON.stringify({ entity: evaluation(0.5, 0.25).entity }));
  const notes = [await spanwise(['compare', single, half]), await spanwise(['compare', half, single])];
  for (const { status: done, stderr: note } of notes)
    t.deepEqual([done, note], [0, 'note: not compared, since not every evaluation has it: triple micro\n']);
  const foreign = file('foreign.json', JSON.stringify({ ner: { micro: { f1: 1 } } }));
  expectFailure(t, await spanwise(['compare', single, foreign]), 2, /foreign\.json: shares no score with/);
});
