/** What bin/spanwise.mjs starts: one command as a process. Tests run many in one, and lend them a runtime. */
import { fail, spanwise } from './main.ts';
import { streams } from './streams.ts';

export { lendRuntime } from './device.ts';
export { spanwise };

/** Runs the command that the process was started with, and ends the process with its exit status. */
export async function run(): Promise<never> {
  const { stdout, stderr } = process;
  for (const stream of [stdout, stderr]) stream.on('error', () => undefined); // reported by `print`
  process.on('uncaughtException', (error) => process.exit(fail(error)));
  // An explicit exit: nothing that a driver keeps running may keep the process alive.
  process.exit(await spanwise(process.argv.slice(2), streams()));
}
