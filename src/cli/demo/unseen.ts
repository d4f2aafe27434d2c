/** What a demo extracts from. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readTextFile } from '../../io/files.ts';

/** Extractions that a demo prints. */
export const SHOWN = 6;

/** The lines of a corpus folder's `unseen.txt`, which no split holds; where it has none, the first of `others`. */
export function unseenTexts(folder: string, others: readonly string[]): string[] {
  const file = join(folder, 'unseen.txt');
  if (!existsSync(file)) return others.slice(0, SHOWN);
  return readTextFile(file, 'text')
    .split('\n')
    .filter((line) => line.trim() !== '');
}
