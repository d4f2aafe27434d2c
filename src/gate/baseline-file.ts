/** A baseline in a file. */
import { statsOf, readTextFile, writeFileAtomic } from '../io/files.ts';
import { BaselineVersionError, baselineText, parseBaseline, type Measured } from './baseline.ts';

/**
 * Reads a baseline.
 * @param replaced what is measured will be written to it: it need not be there, and then has nothing
 * @param whole that is all of it, so that it may be of an older version, and then has nothing
 * @throws InputError naming the file, for one that cannot be read or is no baseline
 */
export function readBaseline(file: string, replaced: boolean, whole = replaced): Measured {
  if (replaced && statsOf(file) === undefined) return {};
  try {
    return parseBaseline(readTextFile(file, 'baseline'), file);
  } catch (error) {
    if (whole && error instanceof BaselineVersionError) return {};
    throw error;
  }
}

/** Writes a baseline, whole or not at all. Errors: InputError naming the file where it cannot be written. */
export const writeBaseline = (file: string, measured: Measured): void =>
  writeFileAtomic(file, baselineText(measured));
