/** Where a command writes results as they come: a file that is there once it is whole, or standard output. */
import { constants } from 'node:os';
import { FileInMaking } from '../io/files.ts';
import { print } from './print.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * What `work` gives; what it writes is in the file at `path` when it is done, and nowhere where it fails or the process is
 * told to end. Standard output, where there is no path, has it at once.
 * @throws as `FileInMaking` and `print`
 */
export async function withOutput<R>(
  path: string | undefined,
  work: (write: (text: string) => Promise<void>) => Promise<R>,
): Promise<R> {
  if (path === undefined) return work(print);
  const file = new FileInMaking(path);
  const end = (signal: (typeof signals)[number]): never => {
    file.discard();
    process.exit(128 + constants.signals[signal]);
  };
  for (const signal of signals) process.once(signal, end);
  try {
    const result = await work(async (text) => file.write(text));
    file.commit();
    return result;
  } catch (error) {
    file.discard();
    throw error;
  } finally {
    for (const signal of signals) process.off(signal, end);
  }
}
