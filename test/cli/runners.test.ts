/** Exported kernels on other engines: Deno (wgpu and Naga) and, by the C functions of a native Dawn, Python. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { softwareDriver } from '../../bench/engines/drivers.ts';
import { file, folder, spanwise } from './run.ts';

const KERNELS =
  'attention cross-entropy embedding layer-norm segment-attention softmax span-score weighted-sum'.split(' ');
const exported = join(folder, 'exported');
/** The first example of each. */
const folders = KERNELS.map((name) => join(exported, name)).map((path) => [join(path, '1'), path]);
const first = (): string[] =>
  folders.map((paths) => paths.find((path) => existsSync(join(path, 'manifest.json'))) ?? '');

/** A folder whose manifest allows no error at all. */
function strict(): string {
  const copy = join(folder, 'strict');
  cpSync(join(exported, 'softmax', '1'), copy, { recursive: true });
  const path = join(copy, 'manifest.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace(/"tolerance": [^,]+/, '"tolerance": 0'));
  return copy;
}

interface Engine {
  name: string;
  command: string[];
  env?: Record<string, string>;
  /** What it needs, where that is missing. */
  missing?: string;
}

const library =
  process.env.WEBGPU_LIBRARY ?? join('node_modules', 'bun-webgpu-linux-x64', 'libwebgpu_wrapper.so');
const deno = join('node_modules', '.bin', 'deno');
const python = spawnSync('python3', ['--version']).status === 0;
const engines: Engine[] = [
  {
    name: 'Deno',
    command: [deno, 'run', '--allow-read', 'examples/runner/run.mjs'],
    missing: existsSync(deno) ? undefined : 'the npm package deno is not installed',
  },
  {
    name: 'Python on a native Dawn',
    command: ['python3', '-B', 'examples/runner/run.py'],
    env: { WEBGPU_LIBRARY: library },
    missing: !python
      ? 'there is no python3'
      : existsSync(library)
        ? undefined
        : 'WEBGPU_LIBRARY names no library with the functions of webgpu.h',
  },
];

test('kernels are exported for the software driver', async (t) => {
  const caps = file('software.json', '{"software":true}');
  const { status } = await spanwise([
    'kernel',
    'export',
    ...KERNELS,
    '--grad',
    '--caps',
    caps,
    '--out',
    exported,
  ]);
  t.equal(status, 0);
  t.notOk(first().includes(''), 'all are there');
  const bare = ['kernel', 'export', 'softmax', '--no-vectors', '--caps', caps, '--out', join(folder, 'bare')];
  t.equal((await spanwise(bare)).status, 0);
});

for (const { name, command, env, missing } of engines) {
  const driver = softwareDriver();
  const skip = missing ?? driver.missing;
  test(name, { skip: skip && `${name}: ${skip}` }, (t) => {
    const [program, ...args] = [...command, ...first()];
    const options = {
      env: { ...process.env, ...driver.env, ...env },
      encoding: 'utf8',
      timeout: 300_000,
    } as const;
    const { status, stdout, stderr } = spawnSync(program, args, options);
    t.equal(status, 0, stderr.slice(-500));
    const lines = stdout.trim().split('\n');
    t.ok(
      lines.every((line) => line.endsWith('agrees')),
      `${lines.length} tensors agree`,
    );
    const seen = (part: string): string[] =>
      KERNELS.filter((kernel) =>
        lines.some((line) => line.includes(`${kernel}`) && line.includes(`  ${part}.`)),
      );
    t.deepEqual(seen('forward'), KERNELS);
    t.deepEqual(seen('backward'), KERNELS);
    const wrong = spawnSync(program, [...command.slice(1), strict()], options);
    t.equal(wrong.status, 1, 'the comparison can fail');
    const bare = spawnSync(program, [...command.slice(1), join(folder, 'bare', 'softmax', '1')], options);
    t.equal(bare.status, 1, 'nothing to compare with');
    t.match(bare.stderr, /export it with vectors/);
    const none = spawnSync(program, command.slice(1), options);
    t.equal(none.status, 1, 'no folder');
    t.match(none.stderr, /usage: run/);
    t.match(wrong.stdout, /WRONG/);
    t.end();
  });
}
