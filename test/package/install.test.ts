/**
 * The package as its users get it: packed, installed from the tarball into an empty folder, run, type-checked by two
 * compilers, and read by the two linters of packages. Nothing here sees the checkout but the tarball and the linters.
 */
import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import test from 'tape';
import { program, sample, withWebGpu } from './user.ts';

const folder = mkdtempSync(join(tmpdir(), 'spanwise-package-'));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));
const installed = (name: string): string => resolve('node_modules', name);
const project = join(folder, 'project');
const tarballs = join(folder, 'tarballs');
const tarball = (): string => join(tarballs, readdirSync(tarballs)[0]);

interface Ended {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end, out of sight of the `npm test` around it. */
function run(
  command: string,
  args: readonly string[],
  cwd: string,
  more: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const outside = Object.entries(process.env).filter(
    ([name]) => !/^npm_(lifecycle|package|config_local_prefix)/.test(name),
  );
  const env = { ...Object.fromEntries(outside), ...more };
  return new Promise((done) => {
    execFile(
      command,
      args,
      { cwd, env, encoding: 'utf8', timeout: 240_000, maxBuffer: 1 << 26 },
      (error, stdout, stderr) =>
        done({ status: error ? (typeof error.code === 'number' ? error.code : -1) : 0, stdout, stderr }),
    );
  });
}
const node = (args: readonly string[], more?: NodeJS.ProcessEnv): Promise<Ended> =>
  run(process.execPath, args, project, more);

async function succeed(t: test.Test, what: string, running: Promise<Ended>): Promise<string> {
  const { status, stdout, stderr } = await running;
  t.equal(status, 0, what);
  if (status !== 0) t.comment(`${stdout}\n${stderr}`);
  return stdout;
}

test('it packs and installs', async (t) => {
  // From a copy, so that the build of the other tests is left alone.
  const copy = join(folder, 'source');
  const left = ['node_modules', 'dist', '.git', 'runs'].map((name) => resolve(name));
  cpSync('.', copy, { recursive: true, filter: (path) => !left.includes(resolve(path)) });
  symlinkSync(resolve('node_modules'), join(copy, 'node_modules'));
  for (const made of [tarballs, project]) mkdirSync(made);
  await succeed(t, 'npm pack', run('npm', ['pack', '--pack-destination', tarballs], copy));
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  await succeed(t, 'npm install', run('npm', ['install', ...quiet, tarball()], project));
});

test('a program runs', async (t) => {
  writeFileSync(join(project, 'program.mjs'), program);
  const { status, stdout, stderr } = await node(['program.mjs']);
  t.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  t.equal(stdout, 'starts\n0.09 0.24 0.67\n10.5\n2.5 3.5 4.5 2.5 3.5 4.5\n', 'once, and rightly');
});

test('the command line runs', async (t) => {
  const bin = join('node_modules', '.bin', 'spanwise');
  const report = JSON.parse(await succeed(t, 'doctor', node([bin, 'doctor', '--json']))) as { ok: boolean };
  t.ok(report.ok, 'the device computes');
  const { status, stdout, stderr } = await node([bin, 'extract', '--model', 'nowhere']);
  t.deepEqual({ status, stdout }, { status: 2, stdout: '' });
  t.match(stderr, /^spanwise: [^\n]*nowhere[^\n]*\n$/, 'one line that says what is wrong');
});

test('without the optional dependency it names the package to add', async (t) => {
  rmSync(join(project, 'node_modules', '@sparticuz'), { recursive: true });
  const bin = join('node_modules', '.bin', 'spanwise');
  const { status, stderr } = await node([bin, 'doctor'], { SPANWISE_DEVICE: 'software' });
  t.equal(status, 1);
  t.match(stderr, /^spanwise: [^\n]*`npm install @sparticuz\/chromium@147\.0\.0`\n$/);
});

test('a bundle for browsers holds nothing of Node', async (t) => {
  for (const entry of ['spanwise', 'spanwise/kernels']) {
    writeFileSync(join(project, 'page.js'), `export * from '${entry}';`);
    const args = ['page.js', '--bundle', '--platform=browser', '--format=esm', '--log-level=warning'];
    const { status, stdout, stderr } = await run(installed('.bin/esbuild'), args, project);
    t.deepEqual({ status, stderr }, { status: 0, stderr: '' }, entry);
    t.ok(stdout.includes('getMappedRange') || entry === 'spanwise/kernels', 'all of it');
    t.notOk(/^import\b|\bimport\s*\(/m.test(stdout), 'nothing is imported');
  }
});

const dom = ['ES2023', 'DOM'];
/** What the README shows first is TypeScript as well. */
const [, readme] = /```js\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8'))!;
/** Compilers, and the libraries and global packages that a program may have; the last tells who brings WebGPU's types. */
const programs: [compiler: string, lib: string[], types: string[], webgpu: boolean][] = [
  ['typescript', ['ES2022'], [], false],
  ['typescript', dom, [], false],
  ['typescript', dom, ['@webgpu/types'], true],
  ['typescript-7', ['ES2022'], [], false],
  ['typescript-7', dom, [], true],
  ['typescript-7', ['ES2023', 'WebWorker'], [], true],
];

for (const resolution of ['bundler', 'nodenext'])
  test(`it type-checks with every declaration, ${resolution}`, async (t) => {
    const check = async ([compiler, lib, types, webgpu]: (typeof programs)[number]): Promise<void> => {
      const name = [compiler, ...lib, ...types].join(' ');
      const at = join(project, `${resolution} ${basename(name)}`);
      mkdirSync(at);
      writeFileSync(join(at, 'sample.ts'), webgpu ? sample + withWebGpu : sample);
      writeFileSync(join(at, 'readme.ts'), lib.length > 1 ? readme : 'export {};'); // `console` is of the DOM
      const compilerOptions = {
        noEmit: true,
        strict: true,
        skipLibCheck: false,
        target: 'ES2022',
        module: resolution === 'nodenext' ? 'NodeNext' : 'ESNext',
        moduleResolution: resolution,
        lib,
        types,
      };
      writeFileSync(
        join(at, 'tsconfig.json'),
        JSON.stringify({ compilerOptions, files: ['sample.ts', 'readme.ts'] }),
      );
      await succeed(t, name, node([installed(join(compiler, 'bin', 'tsc')), '-p', at]));
    };
    const half = programs.length / 2;
    await Promise.all(
      [programs.slice(0, half), programs.slice(half)].map(async (some) => {
        for (const one of some) await check(one);
      }),
    );
  });

test('the linters of packages find nothing', async (t) => {
  const publint = installed('publint/src/cli.js');
  const attw = installed('@arethetypeswrong/cli/dist/index.js');
  const said = await succeed(t, 'publint', node([publint, 'run', tarball(), '--strict']));
  t.match(said, /All good!/);
  await succeed(t, 'attw', node([attw, tarball(), '--profile', 'esm-only']));
});
