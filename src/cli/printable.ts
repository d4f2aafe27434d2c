/** Lines for standard error: what comes from files and options may hold any character. */
import { oneLine, printable } from '../../kernels/printable.ts';

export { oneLine, printable };

/** Writes a line to standard error. */
export const tell = (message: string): void => void process.stderr.write(`${oneLine(message)}\n`);
