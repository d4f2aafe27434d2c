// Files and checkpoint folders on disk (Node only): what a reader finds is always complete, whenever a writer was killed.
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  createReadStream,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { LOOKED_AT, refusePointer } from './look-alikes.ts';
import { makeFolders } from './make-folders.ts';
import {
  decodeTensor,
  headerLength,
  lengthBytes,
  parseHeader,
  selected,
  serializeSafetensorsPieces,
  type Decode,
  type NamedTensors,
  type Safetensors,
  type Select,
} from './safetensors.ts';
import { decodeUtf8 } from './utf8.ts';

/** A file's content: text (written as UTF-8), bytes, or pieces written one after the other without joining them. */
export type FileContent = string | Uint8Array | readonly Uint8Array[];

/** Failures that the user of a path can mend; any other (a full disk, say) is an Error that says where and what. */
const reasons: Record<string, string> = {
  ENOENT: 'no such file or folder',
  EISDIR: 'is a folder, not a file',
  ENOTDIR: 'a part of the path is not a folder',
  EEXIST: 'is a file, not a folder',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'too many symbolic links',
  ERR_FS_FILE_TOO_LARGE: 'the file is too large to be read at once',
};

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/**
 * The InputError for a failed call on `where`; where the user's input is not the cause an Error of the same code that names
 * it, which the system's own does not where it wrote or read; `error` itself where it is not the system's.
 */
export function explain(error: unknown, where: string): unknown {
  const code = codeOf(error);
  if (reasons[code]) return new InputError(`${where}: ${reasons[code]}`, { cause: error });
  if (!(error instanceof Error && 'syscall' in error)) return error;
  // ENOSPC: no space left on device, write
  const said = error.message.replace(/^E\w+: /, '').replace(/, \w+( '.*)?$/, '');
  return Object.assign(new Error(`${where}: ${said}`, { cause: error }), { code });
}

/**
 * The whole file at `path`, up to Node's limit of 2 GiB; `what` says in messages what it is ("training data").
 * @throws InputError naming `what` and `path` when it is missing, a folder, or cannot be opened.
 */
export function readFileChecked(path: string, what: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw explain(error, `${what} ${path}`);
  }
}

/** What stands at a path. */
interface EntryKind {
  isFile(): boolean;
  isDirectory(): boolean;
}

/** What is at `path`; undefined where nothing is. Errors: InputError where the way there is none (links in a circle). */
export function statsOf(path: string): EntryKind | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // A file where a folder is named: nothing can be there.
    if (codeOf(error) === 'ENOTDIR') return undefined;
    throw explain(error, path);
  }
}

/** The names in a folder. Errors: InputError where it is none, or cannot be read. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw explain(error, folder);
  }
}

/** Makes a folder where there is none, and those above it. Errors: InputError where a file is in the way, or it is not allowed. */
export function makeFolder(path: string): void {
  try {
    makeFolders(path);
  } catch (error) {
    throw explain(error, path);
  }
}

/** Bytes of a file that are read at once. */
const CHUNK = 2 ** 16;

async function* chunksOf(file: number, where: string): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const chunk = new Uint8Array(CHUNK);
      const count = readSync(file, chunk);
      if (count === 0) return;
      yield chunk.subarray(0, count);
    }
  } catch (error) {
    throw explain(error, where);
  } finally {
    closeSync(file);
  }
}

/**
 * The bytes of the file at `path`, some at a time as they are asked for; `what` as for `readFileChecked`.
 * @throws InputError naming `what` and `path` when it is missing, a folder, or cannot be opened.
 */
export function openChunks(path: string, what: string): AsyncIterable<Uint8Array> {
  const where = `${what} ${path}`;
  try {
    const file = openSync(path, 'r');
    const stats = fstatSync(file);
    // What another program writes may be a long time coming.
    if (!stats.isFile() && !stats.isDirectory()) return createReadStream(path, { fd: file });
    if (stats.isFile()) return chunksOf(file, where);
    closeSync(file);
  } catch (error) {
    throw explain(error, where);
  }
  throw new InputError(`${where}: ${reasons.EISDIR}`);
}

/**
 * The text of a UTF-8 file, a leading byte-order mark dropped; `what` as for `readFileChecked`.
 * @throws InputError as `readFileChecked`, and naming the first byte that is not UTF-8 or saying that this is a Git LFS pointer
 */
export function readTextFile(path: string, what: string): string {
  const bytes = readFileChecked(path, what);
  refusePointer(bytes, path);
  return decodeUtf8(bytes, path);
}

/** One call of read or write moves less than 2 GiB. */
const maxBytesPerCall = 2 ** 30;

/** Bytes `begin`..`end` (exclusive) of an open file, in a buffer of their own. */
function readRange(file: number, begin: number, end: number, path: string): Uint8Array {
  const bytes = new Uint8Array(end - begin);
  for (let done = 0; done < bytes.length;) {
    const wanted = Math.min(bytes.length - done, maxBytesPerCall);
    const count = readSync(file, bytes, done, wanted, begin + done);
    if (count === 0) throw new InputError(`${path}: the file became shorter while it was read`);
    done += count;
  }
  return bytes;
}

/**
 * Reads a safetensors file tensor by tensor, so that only the largest tensor, not the file, is bounded by what one buffer
 * can hold. The caller owns the tensors. Conversions are those of `parseSafetensors`.
 * @param select the tensors to read, all when absent: the others' dtypes do not matter
 * @throws InputError naming `path` when it cannot be opened, is no regular file, or breaks the format.
 */
export const readSafetensorsFile = (path: string, select?: Select): Safetensors =>
  readTensorsFile(path, decodeTensor, select);

/** As `readSafetensorsFile`, each tensor as `decode` makes it: `decodeStored` leaves F16 as f16. */
export function readTensorsFile<T>(path: string, decode: Decode<T>, select?: Select): Safetensors<T> {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const stats = fstatSync(file);
    if (stats.isDirectory()) throw new InputError(`${path}: is a folder, not a file`);
    if (!stats.isFile()) throw new InputError(`${path}: not a regular file`);
    const { size } = stats;
    const headerEnd =
      lengthBytes + headerLength(readRange(file, 0, Math.min(LOOKED_AT, size), path), size, path);
    const { entries, metadata } = parseHeader(readRange(file, lengthBytes, headerEnd, path), size, path);
    const tensors = new Map<string, T>();
    for (const entry of selected(entries, select))
      tensors.set(entry.name, decode(entry, readRange(file, entry.begin, entry.end, path), path));
    return { tensors, metadata };
  } catch (error) {
    throw explain(error, path);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/**
 * Writes `tensors` in the given order to a safetensors file, atomically and without joining them in memory.
 * @throws InputError as `serializeSafetensorsPieces` and `writeFileAtomic`.
 */
export function writeSafetensorsFile(
  path: string,
  tensors: NamedTensors,
  metadata: Record<string, string> = {},
): void {
  writeFileAtomic(path, serializeSafetensorsPieces(tensors, metadata));
}

/** Writes `content` at the end of an open file. */
function append(file: number, content: FileContent): void {
  const pieces = Array.isArray(content) ? content : [content];
  for (const piece of pieces) {
    const bytes = typeof piece === 'string' ? new TextEncoder().encode(piece) : piece;
    for (let done = 0; done < bytes.length;)
      done += writeSync(file, bytes, done, Math.min(bytes.length - done, maxBytesPerCall));
  }
}

/** Waits until what was written has reached the disk, where it goes to a file there. */
function settle(file: number): void {
  if (fstatSync(file).isFile()) fsyncSync(file);
}

/** Writes `content` to `path` and waits for it; see `settle`. */
function writeDurably(path: string, content: FileContent): void {
  const file = openSync(path, 'w');
  try {
    append(file, content);
    settle(file);
  } finally {
    closeSync(file);
  }
}

/** Writes a text at the end of the file at `path` and waits until it is on the disk. Errors: as `writeFileAtomic`. */
export function appendDurably(path: string, text: string): void {
  try {
    const file = openSync(path, 'a');
    try {
      appendFileSync(file, text);
      settle(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw explain(error, path);
  }
}

/** Makes the renames in a folder durable. Best effort: not every platform can open or sync a folder. */
function syncFolder(folder: string): void {
  try {
    const file = openSync(folder, 'r');
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch {
    // The content is synced already; only the moment at which the new name becomes durable is left to the system.
  }
}

/** Removes what a failed write has left; a second failure must not hide the first. */
function discard(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Left behind: readers pass over it, and the next checkpoint removes a leftover of its own.
  }
}

/**
 * A file in the making, so that at every moment, a kill or a power cut included, `path` holds the old content or the new
 * one: a temporary file in the same folder is written, and with `commit` synced and renamed over it. A symbolic link is
 * followed; a pipe or device such as /dev/stdout is written directly. Errors of every method: InputError naming `path`
 * for a reason the user can mend, Node's error otherwise; the temporary file is then gone.
 */
export class FileInMaking {
  readonly #file: number;
  /** Undefined where `path` itself is written. */
  readonly #temporary: string | undefined;
  readonly #target: string;
  #isOpen = true;

  constructor(readonly path: string) {
    try {
      const stats = statSync(path, { throwIfNoEntry: false });
      this.#target = stats?.isFile() ? realpathSync(path) : path;
      if (!stats || stats.isFile())
        this.#temporary = join(dirname(this.#target), `.${randomBytes(6).toString('hex')}.tmp`);
      this.#file = openSync(this.#temporary ?? path, 'w');
    } catch (error) {
      throw explain(error, path);
    }
  }

  write(content: FileContent): void {
    this.#orDiscard(() => append(this.#file, content));
  }

  /** The file is whole. */
  commit(): void {
    this.#orDiscard(() => {
      settle(this.#file);
      this.#close();
      if (this.#temporary === undefined) return;
      renameSync(this.#temporary, this.#target);
      syncFolder(dirname(this.#target));
    });
  }

  /** Gives it up: `path` stays as it was. */
  discard(): void {
    this.#close();
    if (this.#temporary !== undefined) discard(this.#temporary);
  }

  #close(): void {
    if (this.#isOpen) closeSync(this.#file);
    this.#isOpen = false;
  }

  #orDiscard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.discard();
      throw explain(error, this.path);
    }
  }
}

/** Writes a file, whole or not at all; see `FileInMaking`, errors too. */
export function writeFileAtomic(path: string, content: FileContent): void {
  const file = new FileInMaking(path);
  file.write(content);
  file.commit();
}

// A checkpoint is replaced as a redo log. All new files are written to `.checkpoint.tmp`; its rename to `.checkpoint` is
// the one moment of change; then each file moves to its place. A folder with a `.checkpoint` is thus a finished write
// whose moves were cut short, and moving the rest completes it, however often that is cut short again. Swapping whole
// folders instead would have to carry foreign files (logs that are open, say) across, and two renames have a gap.
const staging = '.checkpoint.tmp';
const committed = '.checkpoint';
/** Marks in `committed` that the file named before it is to be removed. */
const removal = '.removed';

/**
 * Writes the files of a checkpoint (name → content; null removes the file) into `dir`, which is made if need be. Killed
 * at any moment, it leaves the old checkpoint or the new one, complete, for whoever calls `recoverFolder` before
 * reading; other files in `dir` stay as they are, so a file that the last checkpoint had and this one has not must be
 * given as null. One writer per folder at a time.
 * @throws InputError naming `dir` when it cannot be written for a reason the user can mend, or a name that is not a plain
 *   file name; Node's error otherwise. The old checkpoint is then still in place.
 */
export function writeCheckpointFolder(dir: string, files: Record<string, FileContent | null>): void {
  for (const name of Object.keys(files))
    if (name !== basename(name) || name.startsWith('.') || name.endsWith(removal) || name === '')
      throw new InputError(`${dir}: ${JSON.stringify(name)} cannot name a file of a checkpoint`);
  const staged = join(dir, staging);
  try {
    makeFolders(dir);
    recoverFolder(dir);
    rmSync(staged, { recursive: true, force: true });
    mkdirSync(staged);
    for (const [name, content] of Object.entries(files))
      writeDurably(join(staged, content === null ? name + removal : name), content ?? '');
    syncFolder(staged);
    renameSync(staged, join(dir, committed));
    syncFolder(dir);
  } catch (error) {
    discard(staged);
    throw explain(error, dir);
  }
  recoverFolder(dir);
}

/**
 * Completes a checkpoint whose writer was killed after the new files were all written; to be called before the files of
 * a checkpoint folder are read. Does nothing to any other folder, or to one that does not exist. Safe beside a live
 * writer: what is not yet complete is left to it.
 * @throws InputError naming `dir` when it cannot be read, or there is something to complete and it cannot be written.
 */
export function recoverFolder(dir: string): void {
  const log = join(dir, committed);
  let what = dir;
  try {
    const names = unless(['ENOENT', 'ENOTDIR'], () => readdirSync(log));
    if (!names) return;
    what = `${dir}: an interrupted checkpoint cannot be completed`;
    for (const name of names) {
      const entry = join(log, name);
      if (name.endsWith(removal)) {
        unless(gone, () => unlinkSync(join(dir, name.slice(0, -removal.length))));
        unless(gone, () => unlinkSync(entry)); // the mark goes last: cut short before, the removal is repeated
      } else unless(gone, () => renameSync(entry, join(dir, name)));
    }
    syncFolder(dir);
    unless([...gone, 'ENOTEMPTY'], () => rmdirSync(log));
  } catch (error) {
    throw explain(error, what);
  }
}

/** What a second process that completes the same folder has done already. */
const gone = ['ENOENT'];

/** The value of `action`, or undefined if it fails with one of `codes`. */
function unless<T>(codes: readonly string[], action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (codes.includes(codeOf(error))) return undefined;
    throw error;
  }
}
