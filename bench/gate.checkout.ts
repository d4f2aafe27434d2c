/** The old side of `bench gate --time`: a folder that is a checkout, or a revision of this one. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { InputError } from '../kernels/errors.ts';
import { packageRoot } from '../src/cli/package-root.ts';

const LIBRARY = join('dist', 'spanwise-node.js');

export interface Checkout {
  /** What it is called: the folder, or the revision. */
  name: string;
  /** Its built library. */
  library: string;
  /** Removes what was made for it. */
  remove(): void;
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

/**
 * Finds the library of a checkout, or builds that of a revision in a worktree beside this one's packages.
 * @param against a folder or a revision; the one that last changed `baseline` when absent
 * @throws InputError for a folder that is no built checkout, and a revision that there is not
 */
export function openCheckout(against: string | undefined, baseline: string): Checkout {
  if (against !== undefined && existsSync(against) && statSync(against).isDirectory()) {
    const library = resolve(against, LIBRARY);
    if (!existsSync(library))
      throw new InputError(`bench gate: ${against} has no ${LIBRARY}: build it there (npm run build)`);
    return { name: against, library, remove: () => undefined };
  }
  const revision = git(
    'rev-parse',
    '--verify',
    '--quiet',
    '--end-of-options',
    `${against ?? lastChange(baseline)}^{commit}`,
  );
  const folder = join(mkdtempSync(join(tmpdir(), 'spanwise-gate-')), 'old');
  const remove = (): void => {
    git('worktree', 'remove', '--force', folder);
    rmSync(dirname(folder), { recursive: true, force: true });
  };
  git('worktree', 'add', '--quiet', '--detach', folder, revision);
  try {
    symlinkSync(join(packageRoot(), 'node_modules'), join(folder, 'node_modules'), 'dir');
    execFileSync(process.execPath, ['esbuild.config.mjs'], { cwd: folder, stdio: 'pipe' });
    return { name: revision.slice(0, 12), library: join(folder, LIBRARY), remove };
  } catch (error) {
    remove();
    throw new InputError(`bench gate: ${revision.slice(0, 12)} does not build: ${(error as Error).message}`);
  }
}
