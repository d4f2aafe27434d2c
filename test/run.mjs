// `npm test`: builds every test file, runs them two processes at a time, most in one of their own, so that a crash or hang
// hides no others, and closes with one line of counts. `npm test -- NAME…` runs the files whose path
// contains a NAME. `--gpu-forms`: the kernels' tests (harness.ts) take the forms of a GPU, whatever device they run on.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
const args = process.argv.slice(2);
const wanted = args.filter((arg) => arg !== '--gpu-forms');
const gpuForms = args.includes('--gpu-forms');
const forms = gpuForms ? { SPANWISE_TEST_FORMS: 'gpu' } : {};
mkdirSync('dist', { recursive: true });
// A folder of its own, so that runs beside each other do not disturb one another.
const folder = mkdtempSync(join('dist', 'test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const build of [['esbuild.config.mjs'], ['esbuild.config.mjs', '--tests', folder, ...wanted]]) {
  const built = spawnSync(process.execPath, build, { stdio: 'inherit' });
  if (built.status !== 0) process.exit(1);
}

/** For each file: the forms of a GPU take minutes to compile on a software device. */
const timeoutMs = (gpuForms ? 60 : 10) * 60 * 1000;

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

const nameOf = (file) => relative(folder, file).replace(/\.js$/, '');

/**
 * What runs in one process: a file, or those of a folder that share a device (runtime.ts), because most of their time went
 * into compiling the same pipelines. These come first: they take longest.
 */
function processes(files) {
  const alone = [];
  const shared = new Map();
  for (const file of files) {
    const name = nameOf(file);
    const shares = /'\.[./]*\/(runtime|harness)\.ts'/.test(readFileSync(join('test', `${name}.ts`), 'utf8'));
    const [part] = name.split('/');
    if (shares) shared.set(part, [...(shared.get(part) ?? []), file]);
    else alone.push([file]);
  }
  return [...shared.values(), ...alone];
}

const files = filesBelow(folder).filter((file) => file.endsWith('.test.js'));
const counts = { passed: 0, failed: 0, skipped: 0 };

/**
 * For glibc's malloc: what is freed stays with the process. The software device spends most of a kernel's test compiling,
 * in tables that are made and dropped for every pass, a third of whose page faults this spares (sys time of `doctor`: −30 %).
 */
const memory = {
  MALLOC_TRIM_THRESHOLD_: '1073741824',
  MALLOC_MMAP_THRESHOLD_: '33554432',
  MALLOC_TOP_PAD_: '16777216',
};

/** Runs files in a process and adds their counts; prints their output only where something failed or was skipped. */
function run(together) {
  return new Promise((done) => {
    const started = Date.now();
    const child = spawn(process.execPath, ['test/together.mjs', ...together], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...memory, ...process.env, ...forms },
    });
    let out = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (out += chunk));
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs * together.length);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const lines = out.split('\n');
      const skipped = lines.filter((l) => /^ok .*# SKIP|^# SKIP/.test(l)).length;
      const passed = lines.filter((l) => /^ok /.test(l) && !l.includes('# SKIP')).length;
      let failed = lines.filter((l) => /^not ok /.test(l)).length;
      const ended = lines.some((l) => /^# (tests|fail) /.test(l) || /^# ok/.test(l));
      // A file that asserts nothing, or only skips, would pass unseen.
      const idle = passed + failed === 0;
      if ((code !== 0 || !ended || idle) && failed === 0) failed = 1;
      counts.passed += passed;
      counts.failed += failed;
      counts.skipped += skipped;
      const name = together.map(nameOf).join(' ');
      const seconds = ((Date.now() - started) / 1000).toFixed(1);
      console.log(
        `${failed ? 'FAIL' : 'ok  '} ${name}  ${passed} passed${skipped ? `, ${skipped} skipped` : ''}  ${seconds} s`,
      );
      for (const l of lines) if (/# SKIP/.test(l)) console.log(`     ${l}`);
      if (idle) console.log('     nothing was asserted');
      if (failed)
        console.log(
          signal
            ? `${out.slice(-4000)}\n     ended by ${signal}`
            : out
                .split('\n')
                .filter((l) => !/^ok /.test(l))
                .join('\n')
                .slice(-6000),
        );
      done();
    });
  });
}

const queue = processes(files);
await Promise.all(
  [0, 1].map(async () => {
    while (queue.length) await run(queue.shift());
  }),
);
if (!files.length) console.log('no test file matches');
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed || !files.length ? 1 : 0);
