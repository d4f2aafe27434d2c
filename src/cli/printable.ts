/** Lines for standard error: what comes from files and options may hold any character. */
import { oneLine, printable } from '../../kernels/shared/printable.ts';
import { streams } from './streams.ts';

export { oneLine, printable };

/** Writes a line to standard error. */
export const tell = (message: string): void => void streams().stderr.write(`${oneLine(message)}\n`);
