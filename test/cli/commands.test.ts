import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { kernels } from '../../kernels/index.ts';
import { randomTensors, referenceCases } from '../../kernels/reference/cases.ts';
import { errorBounds } from '../../kernels/reference/bounds.ts';
import { references } from '../../kernels/reference/index.ts';
import { sizeOf } from '../../kernels/plan.ts';
import { relativeError } from '../../kernels/shared/relative-error.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import { readSafetensorsFile, readTensorsFile, writeSafetensorsFile } from '../../src/io/files.ts';
import { decodeStored, hostTensor, narrowed, widened, type HostTensor } from '../../src/io/safetensors.ts';
import { expectFailure, file, fixture, folder, spanwise, start } from './run.ts';

const model = `${fixture}/both`;

/** Runs a command that must succeed without a word on standard error; returns its standard output. */
async function succeed(t: test.Test, args: readonly string[], input?: string): Promise<string> {
  const { status, stdout, stderr } = await spanwise(args, { input });
  t.deepEqual({ status, stderr }, { status: 0, stderr: '' }, `spanwise ${args.slice(0, 2).join(' ')}`);
  return stdout;
}

test('spanwise: help and version', async (t) => {
  const general = await succeed(t, []);
  t.match(general, /^spanwise COMMAND[\s\S]*\n {2}doctor /);
  t.equal(await succeed(t, ['--help']), general);
  t.match(
    await succeed(t, ['eval', '--help']),
    /^spanwise eval --model DIR --data F \[--overlap N\].* \[--schema F\]/,
  );
  t.match(await succeed(t, ['help', 'kernel']), /spanwise kernel list[\s\S]*spanwise kernel run NAME/);
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  t.equal(await succeed(t, ['--version']), `${version}\n`);
});

test('spanwise: a reader that goes away is no failure', async (t) => {
  const child = start(['kernel', 'list']);
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  child.stdout.destroy();
  const status = await new Promise((resolve) => child.on('close', resolve));
  t.deepEqual({ status, stderr }, { status: 0, stderr: '' });
});

test('spanwise: killed, it leaves no process behind', async (t) => {
  // Standard input that stays open whatever becomes of the command: it waits for text.
  const holder = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 30000)'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const child = spawn(process.execPath, ['bin/spanwise.mjs', 'extract', '--model', model], {
    stdio: [holder.stdout, 'pipe', 'inherit'],
  });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  t.equal(child.exitCode, null, 'it waits');
  // Standard output closes when the last process that holds it ends.
  const closed = new Promise((resolve) => child.stdout?.on('close', () => resolve('ended')).resume());
  child.kill('SIGKILL');
  const late = new Promise((resolve) => setTimeout(() => resolve('still running'), 5000).unref());
  t.equal(await Promise.race([closed, late]), 'ended');
  holder.kill();
});

test('spanwise doctor', async (t) => {
  const report = JSON.parse(await succeed(t, ['doctor', '--json']));
  t.ok(report.ok);
  t.ok(report.device.name.length > 0);
  t.equal(typeof report.device.software, 'boolean');
  t.ok(report.limits.maxComputeInvocationsPerWorkgroup >= 256);
  t.match(report.versions.webgpu, /^\d+\.\d+/);
  t.ok(report.check.forward < 1e-4 && report.check.backward < 1e-4);
});

test('spanwise verify', async (t) => {
  const missing = Object.keys(references).filter(
    (name) => !referenceCases(name).length || !errorBounds[name],
  );
  t.deepEqual(missing, [], 'every kernel with a reference has a case and an error bound');
  const report = JSON.parse(await succeed(t, ['verify', '--json']));
  t.deepEqual(
    report.kernels.map(({ kernel }: { kernel: string }) => kernel),
    Object.keys(kernels).filter((name) => references[name]),
  );
  t.ok(report.ok && report.kernels.every(({ ok }: { ok: boolean }) => ok));
  for (const { kernel, forward, forwardBound, backward, backwardBound, worst } of report.kernels) {
    const bounds =
      kernel === 'gru' || kernel === 'lstm' ? [Infinity, Infinity] : [forwardBound, backwardBound];
    t.ok(
      forward <= bounds[0] && (backward === undefined || backward <= bounds[1]),
      `${kernel} is within its bound`,
    );
    t.ok(worst.ulps <= 8, `${kernel}: ${worst.tensor}[${worst.index}] is ${worst.ulps} ULP off`);
  }
});

test('spanwise kernel list and show', async (t) => {
  const list = JSON.parse(await succeed(t, ['kernel', 'list', '--json']));
  t.deepEqual(
    list.map(({ name }: { name: string }) => name),
    Object.keys(kernels),
  );
  const shapes = ['--shapes', '{"x":[2,8],"weight":[4,8]}'];
  const shown = JSON.parse(await succeed(t, ['kernel', 'show', 'linear', ...shapes, '--wgsl', '--json']));
  t.deepEqual(shown.plans.forward.outputs.out.shape, [2, 4]);
  t.equal(shown.plans.forward.dispatches[0].macs, 2 * 4 * 8);
  t.deepEqual(Object.keys(shown.plans.backward.outputs), ['grad_x', 'grad_weight']);
  t.match(shown.wgsl.forward[0].code, /@compute/);
  t.notOk(/\$\(|^#/m.test(shown.wgsl.forward[0].code), 'the WGSL is expanded');
  const spans = ['--shapes', '{"lengths":[2,3]}', '--params', '{"maxWidth":2}'];
  t.match(await succeed(t, ['kernel', 'show', 'span-enumerate', ...spans]), /outputs: spans \[8,3\]/);
  const narrow = await succeed(t, ['kernel', 'show', 'linear', ...shapes, '--params', '{"dtype":"f16"}']);
  t.match(narrow, /\n {2}x +f32\|f16 +\[\.\.\., K\]\n/);
  t.match(narrow, /outputs: out \[2,4\] f16;/);
});

test('spanwise kernel run', async (t) => {
  const random = randomTensors(3);
  const inputs: RefTensors = { x: random(2, 3, 8), weight: random(5, 8), bias: random(5) };
  const params = { activation: 'gelu' };
  const grads = { grad_out: random(2, 3, 5) };
  const stored = Object.entries({ ...inputs, ...grads }).map(
    ([name, { shape, data }]): [string, HostTensor] => [
      name,
      { shape, dtype: 'f32', data: Float32Array.from(data) },
    ],
  );
  const [input, output] = [join(folder, 'linear.safetensors'), join(folder, 'out.safetensors')];
  writeSafetensorsFile(input, stored);
  const args = [
    'kernel',
    'run',
    'linear',
    '--in',
    input,
    '--out',
    output,
    '--params',
    JSON.stringify(params),
  ];
  await succeed(t, [...args, '--grad']);
  const { tensors } = readSafetensorsFile(output);
  const expected = {
    ...references.linear.forward(inputs, params),
    ...references.linear.backward?.(inputs, params, grads),
  };
  t.deepEqual([...tensors.keys()].sort(), Object.keys(expected).sort(), 'the saved output is not written');
  for (const [name, { shape, data }] of Object.entries(expected)) {
    const actual = tensors.get(name);
    t.deepEqual(actual?.shape, shape, `shape of ${name}`);
    t.ok(relativeError(actual?.data ?? [], data) < 1e-5, name);
  }

  const lengths = join(folder, 'lengths.safetensors');
  writeSafetensorsFile(lengths, [['lengths', { shape: [2], dtype: 'i32', data: Int32Array.of(2, 1) }]]);
  await succeed(t, [
    'kernel',
    'run',
    'span-enumerate',
    '--in',
    lengths,
    '--out',
    output,
    '--params',
    '{"maxWidth":2}',
  ]);
  const spans = readSafetensorsFile(output).tensors.get('spans');
  t.deepEqual(
    { ...spans, data: [...(spans?.data ?? [])] },
    { shape: [4, 3], dtype: 'i32', data: [0, 0, 1, 0, 0, 2, 0, 1, 2, 1, 0, 1] },
  );
});

test('spanwise kernel run keeps f16', async (t) => {
  const [input, output] = [join(folder, 'halves.safetensors'), join(folder, 'of-halves.safetensors')];
  const whole = (...shape: number[]): HostTensor =>
    hostTensor(
      shape,
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => (i % 5) - 2),
    );
  const [x, weight, bias, grad_out] = [whole(3, 8), whole(4, 8), whole(4), whole(3, 4)];
  const all = Object.entries({ x, weight, bias, grad_out });
  const run = (params: string) =>
    spanwise(['kernel', 'run', 'linear', '--in', input, '--out', output, ...['--params', params, '--grad']]);
  writeSafetensorsFile(
    input,
    all.map(([name, tensor]) => [name, narrowed(tensor)]),
  );
  t.equal((await run('{"dtype":"f16"}')).status, 0);
  const halves = readTensorsFile(output, decodeStored).tensors;
  t.deepEqual(
    [...halves].map(([name, { dtype }]) => [name, dtype]),
    [
      ['out', 'f16'],
      ['grad_x', 'f16'],
      ['grad_weight', 'f32'],
      ['grad_bias', 'f32'],
    ], // as what they are of
  );
  writeSafetensorsFile(input, all);
  t.equal((await run('{}')).status, 0);
  t.deepEqual(
    readTensorsFile(output, decodeStored).tensors,
    new Map([...halves].map(([name, tensor]) => [name, widened(tensor)])),
  );

  writeSafetensorsFile(input, [
    ['x', narrowed(whole(3, 6))],
    ['weight', whole(4, 6)],
    ['grad_out', grad_out],
  ]);
  const { status, stderr } = await run('{}');
  t.equal(status, 2);
  t.match(
    stderr,
    /^spanwise: linear-backward: "grad_x" in f16 must have rows of a multiple of 4 elements, got 6; f32 may have any\n$/,
  );
});

test('spanwise eval', async (t) => {
  const args = ['eval', '--model', model, '--data', `${fixture}/batch.json`, '--json'];
  const result = JSON.parse(await succeed(t, args));
  t.equal(result.sentences, 5);
  for (const task of ['ner', 're', 'rePlus'])
    for (const mean of ['micro', 'macro'])
      for (const key of ['p', 'r', 'f1'])
        t.equal(typeof result[task][mean][key], 'number', `${task}.${mean}.${key}`);
  t.equal(result.ner.micro.support, 13);
});

test('spanwise extract', async (t) => {
  const rows = JSON.parse(readFileSync(`${fixture}/batch.json`, 'utf8')) as { tokens: string[] }[];
  const lines = [...rows.map(({ tokens }) => tokens.join(' ')), ''];
  const stdout = await succeed(t, ['extract', '--model', model], `${lines.join('\r\n')}\r\n`);
  const results = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    results.map(({ text }) => text),
    lines,
    'a line out for every line in',
  );
  const entities = results.flatMap((result) =>
    result.entities.map((e: object) => ({ ...e, line: result.text })),
  );
  t.ok(entities.length > 0, 'the fixture finds something');
  t.ok(
    entities.every(({ line, start, end, text }) => line.slice(start, end) === text),
    'offsets are those of the line',
  );
  const output = join(folder, 'flat.jsonl');
  const input = file('text.txt', lines.join('\n'));
  await succeed(t, ['extract', '--model', model, '--in', input, '--out', output, '--policy', 'flat']);
  t.equal(readFileSync(output, 'utf8').split('\n').length, lines.length, 'a final empty line is no line');
});

test('spanwise extract --tokens', async (t) => {
  const rows = JSON.parse(readFileSync(`${fixture}/batch.json`, 'utf8')) as { tokens: string[] }[];
  const asked = [...rows.map(({ tokens }, i) => ({ id: `r${i}`, tokens })), { id: 'none', tokens: [] }];
  const args = ['extract', '--model', model, '--tokens'];
  const found = (await succeed(t, args, JSON.stringify(asked)))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    found.map(({ id, tokens }) => ({ id, tokens })),
    asked,
    'ids and words stay, a line for every row',
  );
  const entities = found.flatMap(({ tokens, entities }) => entities.map((e: object) => ({ ...e, tokens })));
  t.ok(entities.length > 0, 'the fixture finds something');
  t.ok(entities.every(({ tokens, start, end, text }) => tokens.slice(start, end).join(' ') === text));
  const failed = await spanwise(args, { input: 'Mira met Ana-Lu.\n' });
  t.equal(failed.status, 2);
  t.match(failed.stderr, /^spanwise: standard input: line 1: not JSON from "Mira met Ana-Lu\." on\n$/);
});

test('spanwise trace of a CEREM checkpoint', async (t) => {
  const output = join(folder, 'trace-cerem.safetensors');
  const cerem = 'test/fixtures/cerem';
  const model = `${cerem}/baseline`;
  await succeed(t, ['trace', '--model', model, '--batch', `${cerem}/batch.json`, '--out', output]);
  const { tensors } = readSafetensorsFile(output);
  const expected = readSafetensorsFile(`${model}/expected.safetensors`).tensors;
  t.deepEqual([...tensors.keys()].sort(), [...expected.keys()].sort());
  const [ours, theirs] = [tensors, expected].map((of) => of.get('end_logits')?.data ?? []);
  t.ok(relativeError(ours, theirs) < 1e-4, 'end_logits');
  const never = join(folder, 'never.safetensors');
  for (const steps of ['2', '3']) {
    const args = ['trace', '--model', model, '--batch', `${cerem}/batch.json`, '--out', never];
    const diverged = await spanwise([...args, '--steps', steps, '--lr', '1e30']);
    expectFailure(
      t,
      diverged,
      1,
      /: trace: (diverged at step [23] \(loss|param\.\S+ holds) (NaN|-?Infinity)/,
    );
  }
  t.notOk(existsSync(never));
});

test('spanwise trace', async (t) => {
  const output = join(folder, 'trace.safetensors');
  const folderOf = `${fixture}/no-label`;
  await succeed(t, ['trace', '--model', folderOf, '--batch', `${fixture}/batch.json`, '--out', output]);
  t.ok(existsSync(output));
  const { tensors } = readSafetensorsFile(output);
  const expected = readSafetensorsFile(`${folderOf}/expected.safetensors`).tensors;
  t.deepEqual([...tensors.keys()].sort(), [...expected.keys()].sort());
  const error = (name: string) =>
    relativeError(tensors.get(name)?.data ?? [], expected.get(name)?.data ?? []);
  for (const name of ['span_logits', 'relation_logits', 'loss', 'grad.span_head.weight'])
    t.ok(error(name) < 1e-4, name);
});
