/** Versions of Spanwise and of what it runs on. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import manifest from '../../package.json';

/** Of Spanwise. */
export const { version } = manifest;

/** The version of an installed npm package, undefined where it is not installed. */
export function packageVersion(name: string): string | undefined {
  // Not `require.resolve(name/package.json)`: a package may leave that file out of its exports.
  for (const folder of createRequire(import.meta.url).resolve.paths(name) ?? []) {
    try {
      const text = readFileSync(join(folder, name, 'package.json'), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}
