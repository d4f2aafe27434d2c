/** Runs the built command line: in this process, where all runs share a device, or as a user's script does. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import test from 'tape';
import type { Runtime } from '../../src/gpu/runtime.ts';

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Far above what any run here takes, so that only a process that does not end meets it (its status is then null). */
const LIMIT_MS = 120_000;

export function start(
  args: readonly string[],
  env: Record<string, string> = {},
): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, ['bin/spanwise.mjs', ...args], { env: { ...process.env, ...env } });
}

/** What a build left in dist/: commands and benchmarks, which are loaded from there, have its classes in common. */
const built = (name: string): Promise<unknown> => import(pathToFileURL(`dist/${name}.js`).href);

let opened: Promise<Runtime> | undefined;
test.onFinish(() => void opened?.then((runtime) => runtime.close()));

async function openOnce(): Promise<Runtime> {
  const { openRuntime } = (await built('spanwise-node')) as typeof import('../../src/node.ts');
  return (opened ??= openRuntime());
}

async function runHere(args: readonly string[], input: string | Uint8Array): Promise<Outcome> {
  const { lendRuntime, spanwise } = (await built('cli')) as typeof import('../../src/cli/bin.ts');
  lendRuntime(openOnce);
  const outcome = { stdout: '', stderr: '' };
  const into = (name: 'stdout' | 'stderr') => ({
    write(text: string, done?: () => void) {
      outcome[name] += text;
      done?.();
    },
  });
  const stdin = Readable.from([Buffer.from(input)]);
  const status = await spanwise(args, { stdin, stdout: into('stdout'), stderr: into('stderr') });
  return { status, ...outcome };
}

let last: Promise<unknown> = Promise.resolve();

/**
 * Runs `spanwise` to its end with `input` on standard input, in this process, one run after another. All share one runtime:
 * what is about a process, its environment, signals or memory is `launched`.
 */
export function spanwise(
  args: readonly string[],
  { input = '' }: { input?: string | Uint8Array } = {},
): Promise<Outcome> {
  const outcome = last.then(() => runHere(args, input));
  last = outcome.catch(() => undefined);
  return outcome;
}

/** The same in a child process, in which `env` is set as well. */
export function launched(
  args: readonly string[],
  { input = '', env = {} }: { input?: string | Uint8Array; env?: Record<string, string> } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = start(args, env);
    const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    const outcome: Outcome = { status: null, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (outcome.stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (outcome.stderr += chunk));
    child.stdin.on('error', () => undefined); // a command that reads nothing may be gone already
    child.stdin.end(input);
    child.on('error', reject);
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ ...outcome, status });
    });
  });
}

/** A folder for this file's tests, removed at their end. */
export const folder = mkdtempSync(join(tmpdir(), 'spanwise-cli-'));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a file into the folder; returns its path. */
export function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

export const fixture = 'test/fixtures/stsn';

/** A copy of the fixture `both`, one file of which is replaced; returns its path. */
export function modelWith(name: string, replaced: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  cpSync(`${fixture}/both`, path, { recursive: true });
  writeFileSync(join(path, replaced), content);
  return path;
}

/** Fails unless the run ended with `status`, nothing on standard output and one line that matches on standard error. */
export function expectFailure(t: test.Test, outcome: Outcome, status: number, line: RegExp): void {
  t.equal(outcome.status, status, `status ${status}`);
  t.match(outcome.stderr, /^spanwise: [^\n]+\n$/, 'one line on standard error');
  t.match(outcome.stderr, line);
  t.equal(outcome.stdout, '', 'nothing on standard output');
}
