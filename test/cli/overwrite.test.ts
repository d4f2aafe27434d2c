/** What a command reads is not written over, nor is what no training made. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { Arguments } from '../../src/cli/command.ts';
import { convertCommand } from '../../src/cli/convert.ts';
import { commands } from '../../src/cli/main.ts';
import { expectFailure, file, fixture, folder, spanwise } from './run.ts';

const model = join(folder, 'model');
cpSync(`${fixture}/both`, model, { recursive: true });
const data = join(folder, 'data.json');
cpSync(`${fixture}/batch.json`, data);
const link = join(folder, 'link.json');
symlinkSync(data, link);
const text = file('in.txt', 'Ida Lorn.\n');

test('no output over an input', async (t) => {
  const evaluate = ['eval', '--model', model, '--data', data];
  const same: [args: string[], output: string][] = [
    [[...evaluate, '--out'], data],
    [[...evaluate, '--out'], link],
    [[...evaluate, '--out'], join(folder, 'model', '..', 'data.json')],
    [[...evaluate, '--out'], join(model, 'model.safetensors')],
    [['trace', '--model', model, '--batch', data, '--out'], data],
    [['trace', '--model', model, '--batch', data, '--out'], join(model, 'config.json')],
    [['extract', '--model', model, '--in', text, '--out'], text],
    [['convert', '--to', 'conll', '--in', data, '--out'], data],
  ];
  const files = [data, text, join(model, 'model.safetensors'), join(model, 'config.json')];
  const before = files.map((path) => readFileSync(path, 'base64'));
  for (const [args, output] of same)
    expectFailure(
      t,
      await spanwise([...args, output]),
      2,
      /: would be written over \S+, which another option names$/m,
    );
  const errors = join(folder, 'errors.jsonl');
  const both = [...evaluate, '--errors', errors, '--out', join(folder, '.', 'model', '..', 'errors.jsonl')];
  expectFailure(t, await spanwise(both), 2, /errors\.jsonl: both --errors and --out/);
  t.deepEqual(
    files.map((path) => readFileSync(path, 'base64')),
    before,
    'all is as it was',
  );
  t.equal(
    (await spanwise([...evaluate, '--out', join(model, 'predicted.json')])).status,
    0,
    'beside a model',
  );
});

test('what stands for a path in the help is a path, and nothing else is', (t) => {
  const isPath = (shown: string) => /(^|\W)(F|FILE|PATH|DIR)(\W|$)|\.json$/.test(shown);
  for (const { name, options, positional = '', pathsFrom = Infinity } of commands) {
    for (const [option, { value = '', path = 'F' }] of Object.entries(options))
      t.ok(!isPath(value) && isPath(path), `${name} --${option}`);
    const words = positional.split(' ');
    t.ok(
      words.every((word, i) => isPath(word) === i >= pathsFrom),
      `${name} ${positional}`,
    );
  }
  t.end();
});

test('the name of a format, a kernel or a benchmark is no path', async (t) => {
  const args = new Arguments(
    { ...convertCommand, positional: '[NAME] [F…]', pathsFrom: 1 },
    { to: 'text', in: 'a', out: 'b', tags: undefined, json: true },
    ['gate', 'c', 'd'],
  );
  t.deepEqual(args.paths, ['a', 'b', 'c', 'd']);
  const target = join(folder, 'new.json');
  const evaluate = ['eval', '--model', model, '--data', data, '--errors', `${target}l`, '--out'];
  expectFailure(
    t,
    await spanwise([...evaluate, join(folder, 'model', '..', 'new.jsonl')]),
    2,
    /both --errors and/,
  );
  mkdirSync(join(folder, 'real'));
  symlinkSync(join(folder, 'real'), join(folder, 'linked'));
  const at = (name: string): string => join(folder, name, 'new.jsonl');
  expectFailure(
    t,
    await spanwise(['eval', '--model', model, '--data', data, '--errors', at('real'), '--out', at('linked')]),
    2,
    /new\.jsonl: would be written over/,
  );
});

test('train writes over nothing that no training made', async (t) => {
  for (const [name, content] of [
    ['log.jsonl', readFileSync(data, 'utf8')],
    ['curve.svg', '<svg/>'],
    ['model.safetensors', 'weights'],
    ['schema.json', '{"entities":{"PER":"people"}}'],
  ]) {
    const out = join(folder, `own-${name}`);
    mkdirSync(out);
    writeFileSync(join(out, name), content);
    const kind = name === 'schema.json' ? ['cerem', '--schema', join(out, name)] : ['stsn'];
    const args = ['train', '--model', ...kind, '--data', name === 'log.jsonl' ? join(out, name) : data];
    const { status, stderr } = await spanwise([...args, '--out', out, '--quiet']);
    t.equal(status, 2);
    t.ok(stderr.includes(`${join(out, name)}: would be written over; choose another folder`), stderr);
    t.deepEqual(readdirSync(out), [name], 'nothing is added');
    t.equal(readFileSync(join(out, name), 'utf8'), content);
  }
  t.ok(existsSync(data));
});
