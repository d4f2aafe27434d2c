/** A folder that one process at a time writes to. Node only. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { makeFolders } from '../io/make-folders.ts';

const LOCK = 'lock.json';

/** Who holds a folder. */
interface Holder {
  pid: number;
  host: string;
  /** What tells the process from a later one of the same number, where the system says it. */
  started?: string;
}

/** When a process started, in ticks since the system did; undefined where there is no /proc, or no such process. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold blanks: the fields after it are counted from 3, the start is 22.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, and another user's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = startOf(pid);
  return started === undefined || now === undefined || now === started;
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, host, started } = JSON.parse(text) as Partial<Holder>;
    return typeof pid === 'number' && typeof host === 'string' ? { pid, host, started } : undefined;
  } catch {
    return undefined;
  }
}

/** Creates the file; false where it is there, undefined where it cannot be made. */
function create(path: string, text: string): boolean | undefined {
  try {
    writeFileSync(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    return undefined;
  }
}

function readOr(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Holds a folder for this process, which makes it if need be. What a process that is gone held is taken over; of one on
 * another host nobody can tell.
 * @returns gives it up again
 * @throws InputError naming the folder and its holder
 */
export function lockFolder(dir: string): () => void {
  try {
    makeFolders(dir);
  } catch (error) {
    if (['EEXIST', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw new InputError(`${dir}: it, or a part of the path, is a file, not a folder`);
    // What else cannot be written is told by whoever writes.
    return () => undefined;
  }
  const path = join(dir, LOCK);
  const own: Holder = { pid: process.pid, host: hostname(), started: startOf(process.pid) };
  const text = `${JSON.stringify(own)}\n`;
  const release = (): void => {
    process.off('exit', release);
    if (readOr(path) === text) rmSync(path, { force: true });
  };
  for (let tries = 0; tries < 3; tries++) {
    const created = create(path, text);
    if (created) {
      process.once('exit', release);
      return release;
    }
    if (created === undefined) return () => undefined;
    const found = readOr(path);
    if (found === undefined) continue; // given up in the meantime
    const holder = parseHolder(found);
    if (holder && (holder.host !== own.host || isAlive(holder)))
      throw new InputError(
        `${dir}: process ${holder.pid}${holder.host === own.host ? '' : ` on ${holder.host}`} is writing there; where it is gone, delete ${path}`,
      );
    // Moved away, not deleted: what another process has put there since would be seen, and put back.
    const aside = `${path}.${process.pid}`;
    try {
      renameSync(path, aside);
    } catch {
      continue;
    }
    if (readOr(aside) !== found) renameSync(aside, path);
    else rmSync(aside, { force: true });
  }
  throw new InputError(`${dir}: another process is about to write there`);
}
