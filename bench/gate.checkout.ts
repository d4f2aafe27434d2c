/** The old side of `bench gate --time`: a folder that is a checkout, or a revision of this one. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { InputError } from '../kernels/errors.ts';
import { packageRoot } from '../src/cli/package-root.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const LIBRARY = join('dist', 'spanwise-node.js');

export interface Checkout {
  /** What it is called: the folder, or the revision. */
  name: string;
  /** Its built library. */
  library: string;
}

/** Output of git in this checkout. Errors: InputError with what git says. */
function git(...args: string[]): string {
  try {
    return execFileSync('git', ['-C', packageRoot(), ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch (error) {
    const said = String((error as { stderr?: unknown }).stderr ?? (error as Error).message);
    throw new InputError(`bench gate: git ${args.join(' ')}: ${said.trim().split('\n')[0]}`);
  }
}

/** The revision that last changed a file. Errors: InputError where there is none. */
function lastChange(file: string): string {
  const revision = git('log', '-1', '--format=%H', '--', resolve(file));
  if (revision === '')
    throw new InputError(`bench gate: no commit has ${file}: --against REV|DIR says what to time against`);
  return revision;
}

/** The commit of a revision. Errors: InputError where there is no such. */
function commitOf(revision: string): string {
  try {
    return git('rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`);
  } catch {
    throw new InputError(`bench gate: --against names "${revision}", which is no folder and no revision`);
  }
}

/** Builds a commit in a worktree, with the packages that are installed here. Errors: InputError where it does not build. */
async function inWorktree<R>(commit: string, work: (old: Checkout) => Promise<R>): Promise<R> {
  const name = commit.slice(0, 12);
  const parent = mkdtempSync(join(tmpdir(), 'spanwise-gate-'));
  const folder = join(parent, 'old');
  const remove = (): void => {
    git('worktree', 'remove', '--force', folder);
    rmSync(parent, { recursive: true, force: true });
  };
  const end = (signal: (typeof signals)[number]): never => {
    remove();
    process.exit(128 + constants.signals[signal]);
  };
  git('worktree', 'add', '--quiet', '--detach', folder, commit);
  for (const signal of signals) process.once(signal, end);
  try {
    symlinkSync(join(packageRoot(), 'node_modules'), join(folder, 'node_modules'), 'dir');
    try {
      execFileSync(process.execPath, ['esbuild.config.mjs'], { cwd: folder, stdio: 'pipe' });
    } catch (error) {
      throw new InputError(`bench gate: ${name} does not build: ${(error as Error).message.split('\n')[0]}`);
    }
    return await work({ name, library: join(folder, LIBRARY) });
  } finally {
    for (const signal of signals) process.off(signal, end);
    remove();
  }
}

/**
 * Does `work` on the library of a checkout, or of a revision, which is built for it and removed afterwards.
 * @param against a folder or a revision; the one that last changed `baseline` when absent
 * @throws InputError for a folder that is no built checkout, and a revision that there is not
 */
export function withCheckout<R>(
  against: string | undefined,
  baseline: string,
  work: (old: Checkout) => Promise<R>,
): Promise<R> {
  if (against === undefined || !existsSync(against) || !statSync(against).isDirectory())
    return inWorktree(against === undefined ? lastChange(baseline) : commitOf(against), work);
  const library = resolve(against, LIBRARY);
  if (!existsSync(library))
    throw new InputError(`bench gate: ${against} has no ${LIBRARY}: build it there (npm run build)`);
  return work({ name: against, library });
}
