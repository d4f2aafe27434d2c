/** Opening the device for a command, and what has to happen before and after. */
import { accessSync, constants, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { statsOf } from '../io/files.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { openRuntime } from '../node.ts';
import { CONFIG, WEIGHTS } from '../tasks/checkpoint.ts';
import { definitions } from '../tasks/registry.ts';
import { TOKENIZER_FILES } from '../tasks/text/from-files.ts';
import { CURVE, LOG } from '../tasks/training/run.ts';
import type { Arguments } from './command.ts';
import { tell } from './printable.ts';

let lent: (() => Promise<Runtime>) | undefined;

/** Gives all commands that this process runs the runtime that `open` gives, which they leave open: it compiles once. */
export const lendRuntime = (open: () => Promise<Runtime>): void => void (lent = open);

/**
 * Runs `work` with a runtime and closes it whatever happens, unless it is lent.
 * @param prepare reads and checks what the command's arguments name, before a device is opened: bad input is told at once
 */
export async function withDevice<P, R>(
  prepare: () => P | Promise<P>,
  work: (runtime: Runtime, prepared: P) => Promise<R>,
): Promise<R> {
  const prepared = await prepare();
  const runtime = await (lent?.() ?? openRuntime({ note: (line) => tell(`spanwise: ${line}`) }));
  try {
    return await work(runtime, prepared);
  } finally {
    if (!lent) runtime.close();
  }
}

/** Files of a model's folder that a command may not write over. */
const modelFiles: readonly string[] = [
  ...[CONFIG, WEIGHTS, LOG, CURVE, ...TOKENIZER_FILES],
  ...definitions.flatMap(({ extra }) => extra?.file ?? []),
];

/** The one path of a file that is there, or may be made; undefined for what is no file. */
function realFile(path: string): string | undefined {
  const stats = statsOf(path);
  if (stats) return stats.isFile() ? realpathSync(path) : undefined;
  const folder = dirname(path);
  return statsOf(folder)?.isDirectory() ? join(realpathSync(folder), basename(path)) : undefined;
}

/** Whether two paths lead to one file, there or not, or to a file of a model in the folder `other`. */
function isSame(path: string, other: string): boolean {
  if (statsOf(other)?.isDirectory()) return modelFiles.some((name) => isSame(path, join(other, name)));
  const real = realFile(path);
  return real !== undefined && real === realFile(other);
}

/**
 * Fails where `path` plainly cannot be written, so that hours of work do not end in that. Errors: InputError, also where it is
 * what another option names, or a part of the model there.
 */
export function checkWritable(path: string, args: Arguments): void {
  const folder = dirname(path);
  const stats = statsOf(path);
  const { paths } = args;
  const own = paths.indexOf(path);
  const other = paths.find((each, i) => i !== own && isSame(path, each));
  if (other !== undefined)
    throw new InputError(`${path}: would be written over ${other}, which another option names`);
  if (stats?.isDirectory()) throw new InputError(`${path}: is a folder, not a file`);
  if (!statsOf(folder)?.isDirectory()) throw new InputError(`${path}: there is no folder ${folder}`);
  try {
    // A file is replaced by a new one beside it, so its folder counts; a pipe or device is written itself.
    accessSync(stats && !stats.isFile() ? path : folder, constants.W_OK);
  } catch (error) {
    throw new InputError(`${path}: cannot be written: permission denied`, { cause: error });
  }
}
