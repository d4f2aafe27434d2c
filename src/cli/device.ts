/** Opening the device for a command, and what has to happen before and after. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { openRuntime } from '../node.ts';

/** False for what can be read only once: standard input (undefined), a pipe. */
const readsTwice = (path: string | undefined): boolean =>
  path !== undefined && statSync(path, { throwIfNoEntry: false })?.isFile() !== false;

/**
 * Runs `work` with a runtime and closes it whatever happens.
 *
 * `prepare` reads and checks the command's input files; it comes before the device is opened, so that bad input is
 * told at once. Opening may run the whole process again on the software device, so `prepare` must have no effect but
 * its result; and where an input can be read only once, it comes after the device is open.
 * @param inputs the files that `prepare` reads; undefined stands for standard input
 */
export async function withDevice<P, R>(
  inputs: readonly (string | undefined)[],
  prepare: () => P | Promise<P>,
  work: (runtime: Runtime, prepared: P) => Promise<R>,
): Promise<R> {
  const early = inputs.every(readsTwice) ? { prepared: await prepare() } : undefined;
  const runtime = await openRuntime();
  try {
    return await work(runtime, early ? early.prepared : await prepare());
  } finally {
    runtime.close();
  }
}

/** Fails where `path` plainly cannot be written, so that hours of work do not end in that. Errors: InputError. */
export function checkWritable(path: string): void {
  const folder = dirname(path);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory()) throw new InputError(`${path}: is a folder, not a file`);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new InputError(`${path}: there is no folder ${folder}`);
  try {
    // A file is replaced by a new one beside it, so its folder counts; a pipe or device is written itself.
    accessSync(stats && !stats.isFile() ? path : folder, constants.W_OK);
  } catch (error) {
    throw new InputError(`${path}: cannot be written: permission denied`, { cause: error });
  }
}
