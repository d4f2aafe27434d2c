/** Folders that are made with those above them (Node only). */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder where there is none, and those above it. In place of `mkdirSync` with `recursive`, which never returns
 * where the system says ENOENT of a folder whose parent is there, as in /proc (Node 20).
 * @param mode permissions of those that are made
 * @throws Node's own error
 */
export function makeFolders(path: string, mode?: number): void {
  const missing = [resolve(path)];
  while (!existsSync(missing[0])) {
    const parent = dirname(missing[0]);
    if (parent === missing[0]) break;
    missing.unshift(parent);
  }
  // The first is there, and may be a file.
  for (const folder of missing.length > 1 ? missing.slice(1) : missing)
    try {
      mkdirSync(folder, { mode });
    } catch (error) {
      // Another process may have been first.
      if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
    }
}
