/** `spanwise train --model cerem`: a run, from random weights and from an encoder, resumed; what it refuses. */
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { readSafetensorsFile, writeSafetensorsFile } from '../../src/io/files.ts';
import { documentsOf } from '../tasks/prompts/tiny.ts';
import { expectFailure, file, folder, spanwise } from './run.ts';

const encoder = {
  ...{ hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32 },
  max_position_embeddings: 64,
};
const config = file('config.json', JSON.stringify({ encoder, scales: [2, 3], heads: 2, headSize: 8 }));
const data = file('train.json', JSON.stringify(documentsOf(0, 12)));
const dev = file('dev.json', JSON.stringify(documentsOf(12, 15)));
const schema = file(
  'schema.json',
  JSON.stringify({ entities: { 作物: '庄稼', 病虫害: '病害或虫害' }, relations: { 病虫害: { 危害: {} } } }),
);
const train = ['train', '--model', 'cerem', '--data', data];
const small = ['--epochs', '2', '--batch', '12', '--config', config];
const out = join(folder, 'random');

interface Report {
  steps: number;
  recipe: Record<string, number>;
  best: { epoch: number; score: number; f1: Record<string, number> };
  notes: string[];
}
const report = async (t: test.Test, args: readonly string[]): Promise<Report> => {
  const { status, stdout, stderr } = await spanwise(args);
  t.equal(status, 0, stderr);
  t.match(stderr, /^(.* parameters; a step .* of memory\n)?(epoch \d+ .*\n)*$/, 'a line an epoch');
  return JSON.parse(stdout) as Report;
};
const lines = (dir: string) =>
  readFileSync(join(dir, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('train --model cerem: from random weights, then resumed', async (t) => {
  const options = ['--dev', dev, '--schema', schema, '--accumulation', '2', '--json', '--out', out];
  const first = await report(t, [...train, ...small, ...options]);
  t.ok(first.steps > 2);
  t.deepEqual(
    { accumulation: first.recipe.accumulation, freezeUntil: first.recipe.freezeUntil },
    { accumulation: 2, freezeUntil: 0 },
  );
  t.deepEqual(Object.keys(first.best.f1), ['entity', 'triple']);
  for (const name of ['config.json', 'model.safetensors', 'vocab.txt', 'schema.json', 'curve.svg', 'last'])
    t.ok(existsSync(join(out, name)), name);
  t.equal(lines(out).length, 3, 'a line at the start and for each epoch');
  const again = await report(t, [...train, '--dev', dev, '--json', '--out', out, '--resume']);
  t.equal(again.steps, 0, 'nothing is left');
});

test('train --precision f16: with an accumulation, and resumed in f16 alone', async (t) => {
  const out = join(folder, 'f16');
  const run = [...train, ...small, '--schema', schema, '--accumulation', '2', '--json', '--out', out];
  const narrow = await report(t, [...run, '--precision', 'f16']);
  const [start, first, second] = lines(out);
  t.deepEqual([start.precision, first.skipped, second.skipped], ['f16', 0, 0]);
  const wide = lines(join(folder, 'random'));
  for (const [at, event] of [first, second].entries()) {
    const apart = Number(event.loss) / Number(wide[1 + at].loss) - 1;
    t.ok(apart !== 0 && Math.abs(apart) < 1e-2, `its loss is ${apart.toExponential(1)} off that of f32`);
  }
  t.ok(narrow.steps > 2);
  const resume = [...train, '--out', out, '--resume', '--precision'];
  const other = await spanwise([...resume, 'f32']);
  expectFailure(t, other, 2, /\/f16\/last\/trainer\.json: the run was started with precision f16\n$/);
  expectFailure(t, await spanwise([...resume, 'f8']), 2, /--precision must be one of f32, f16, got "f8"/);
});

test('train --model cerem: a pretrained encoder is frozen at first', async (t) => {
  const pretrained = join(folder, 'encoder');
  mkdirSync(pretrained);
  for (const name of ['vocab.txt', 'tokenizer_config.json']) cpSync(join(out, name), join(pretrained, name));
  const { tensors } = readSafetensorsFile(join(out, 'model.safetensors'));
  writeSafetensorsFile(
    join(pretrained, 'model.safetensors'),
    [...tensors].flatMap(([name, tensor]) =>
      name.startsWith('encoder.') ? [[name.slice(8), tensor] as const] : [],
    ),
  );
  const saved = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as { encoder: object };
  file(join('encoder', 'config.json'), JSON.stringify(saved.encoder));
  const heads = file('heads.json', JSON.stringify({ scales: [2], heads: 2, headSize: 8 }));

  const from = ['--encoder', pretrained, '--config', heads, '--epochs', '1', '--batch', '12'];
  const frozen = join(folder, 'frozen');
  const { recipe } = await report(t, [...train, ...from, '--dev', dev, '--json', '--out', frozen]);
  t.equal(recipe.freezeUntil, 0.2);
  t.equal(lines(frozen)[1].frozen, true);
  const after = readSafetensorsFile(join(frozen, 'model.safetensors')).tensors;
  for (const [name, { data: before }] of tensors)
    if (name.startsWith('encoder.')) t.deepEqual(after.get(name)?.data, before, `${name} stays`);

  const never = join(folder, 'never');
  const bare = from.filter((option) => option !== '--config' && option !== heads);
  const alone = await report(t, [...train, ...bare, '--json', '--out', never]);
  const { scales, heads: count, headSize } = JSON.parse(readFileSync(join(never, 'config.json'), 'utf8'));
  t.deepEqual(
    [scales, count, headSize],
    [[2, 3, 4, 5, 6], 8, 128],
    "without --config: the paper's attention",
  );
  t.equal(alone.recipe.freezeUntil, 0, 'nothing could end the freezing');
  t.ok(
    alone.notes.some((note) => note.includes('without dev data')),
    alone.notes.join('; '),
  );
  t.notOk('frozen' in lines(never)[1]);
});

test('train --model cerem: what is refused', async (t) => {
  const refuse = async (args: readonly string[], line: RegExp): Promise<void> => {
    const target = join(folder, 'none');
    expectFailure(t, await spanwise([...train, '--out', target, ...args]), 2, line);
    t.notOk(existsSync(target), 'no folder is left');
  };
  await refuse(['--negative-spans', '5'], /train: --negative-spans goes with --model stsn/);
  const stsn = ['train', '--model', 'stsn', '--data', data, '--out', join(folder, 'none')];
  expectFailure(t, await spanwise([...stsn, '--schema', schema]), 2, /--schema goes with --model cerem/);
  await refuse(['--freeze-until', '0.3'], /recipe: "freezeUntil" needs a pretrained encoder/);
  await refuse(['--accumulation', '0'], /--accumulation must be a whole number of at least 1/);
  await refuse(['--schema', config], /config\.json: /);
  await refuse(['--schema', join(folder, 'missing.json')], /missing\.json/);
  const nothing = file('nothing.json', JSON.stringify([{ text: '稻', entities: [] }]));
  const bare = train.map((word) => (word === data ? nothing : word));
  expectFailure(
    t,
    await spanwise([...bare, '--out', join(folder, 'none')]),
    2,
    /nothing\.json: the documents have no entities/,
  );
  await refuse(['--resume'], /none: holds no training run to resume/);
  const long = file(
    'long.json',
    JSON.stringify({ encoder, maxLength: 8, scales: [2], heads: 2, headSize: 8 }),
  );
  expectFailure(
    t,
    await spanwise([...train, '--schema', schema, '--config', long, '--out', join(folder, 'long')]),
    2,
    /train\.json: row 1, prompt "病害或虫害": a prompt of 5 word pieces leaves no room/,
  );
});
