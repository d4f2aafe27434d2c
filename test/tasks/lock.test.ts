/** One process at a time writes to a folder. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { lockFolder } from '../../src/tasks/lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'spanwise-lock-'));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));
const dir = join(folder, 'run');
const path = join(dir, 'lock.json');
const refusal = (): string => {
  try {
    lockFolder(dir)();
    return '';
  } catch (error) {
    return error instanceof InputError ? error.message : `no InputError: ${String(error)}`;
  }
};

test('a folder is held until it is given up', (t) => {
  const release = lockFolder(dir);
  t.match(
    refusal(),
    new RegExp(`run: process ${process.pid} is writing there; where it is gone, delete .*lock.json$`),
  );
  release();
  t.notOk(existsSync(path));
  t.equal(refusal(), '', 'and is free then');
  t.deepEqual(readdirSync(dir), [], 'nothing stays');
  t.end();
});

test('what a process that is gone held is taken over', async (t) => {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const holder = { pid: child.pid, host: hostname() };
  lockFolder(dir)();
  writeFileSync(path, JSON.stringify(holder));
  t.match(refusal(), new RegExp(`process ${child.pid} is writing there`), 'while it lives it holds');
  // The number of another process that started at another time.
  if (existsSync('/proc/self/stat')) {
    writeFileSync(path, JSON.stringify({ ...holder, started: '1' }));
    t.equal(refusal(), '', 'a number that was given again');
    writeFileSync(path, JSON.stringify(holder));
  }
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.equal(refusal(), '', 'gone');
  for (const text of ['', '{', '{"pid":"x"}']) {
    writeFileSync(path, text);
    t.equal(refusal(), '', `what is no holder: ${JSON.stringify(text)}`);
  }
  writeFileSync(path, JSON.stringify({ ...holder, host: 'elsewhere' }));
  t.match(refusal(), /process \d+ on elsewhere is writing there/, 'of another host nobody can tell');
  t.match(readFileSync(path, 'utf8'), /elsewhere/);
  rmSync(path);
  const [first] = [lockFolder(dir)];
  writeFileSync(path, JSON.stringify({ ...holder, host: 'elsewhere' }));
  first();
  t.ok(existsSync(path), 'nobody gives up what another holds');
  writeFileSync(join(folder, 'file'), '');
  for (const name of ['file', 'file/in'])
    t.throws(() => lockFolder(join(folder, name)), /: it, or a part of the path, is a file, not a folder$/);
});
