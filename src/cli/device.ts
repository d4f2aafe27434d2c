/** Opening the device for a command, and what has to happen before and after. */
import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { statsOf } from '../io/files.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { openRuntime } from '../node.ts';

/**
 * Runs `work` with a runtime and closes it whatever happens.
 * @param prepare reads and checks what the command's arguments name, before a device is opened: bad input is told at once
 */
export async function withDevice<P, R>(
  prepare: () => P | Promise<P>,
  work: (runtime: Runtime, prepared: P) => Promise<R>,
): Promise<R> {
  const prepared = await prepare();
  const runtime = await openRuntime();
  try {
    return await work(runtime, prepared);
  } finally {
    runtime.close();
  }
}

/** Fails where `path` plainly cannot be written, so that hours of work do not end in that. Errors: InputError. */
export function checkWritable(path: string): void {
  const folder = dirname(path);
  const stats = statsOf(path);
  if (stats?.isDirectory()) throw new InputError(`${path}: is a folder, not a file`);
  if (!statsOf(folder)?.isDirectory()) throw new InputError(`${path}: there is no folder ${folder}`);
  try {
    // A file is replaced by a new one beside it, so its folder counts; a pipe or device is written itself.
    accessSync(stats && !stats.isFile() ? path : folder, constants.W_OK);
  } catch (error) {
    throw new InputError(`${path}: cannot be written: permission denied`, { cause: error });
  }
}
