/** Installs a peer into a folder of its own, bench/peers/<name>, whose package.json pins it. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/cli/package-root.ts';

const INSTALL_MS = 180_000;

export interface InstalledPeer {
  /** `require` as from inside the folder. */
  require: NodeJS.Require;
  /** The installed version of one of its packages. */
  versionOf(name: string): string;
}

/**
 * Installs what bench/peers/<peer>/package.json pins, unless it is there, without running any of its scripts.
 * Errors: it cannot be had (no network, no checkout).
 */
export async function installPeer(peer: string): Promise<InstalledPeer> {
  const folder = join(packageRoot(), 'bench', 'peers', peer);
  const pins = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    dependencies: Readonly<Record<string, string>>;
  };
  const manifest = (name: string) => join(folder, 'node_modules', name, 'package.json');
  if (!Object.keys(pins.dependencies).every((name) => existsSync(manifest(name)))) {
    const flags = ['--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund'];
    await promisify(execFile)('npm', ['install', '--prefix', folder, ...flags], {
      timeout: INSTALL_MS,
      shell: process.platform === 'win32', // npm is a .cmd file there
    });
  }
  return {
    require: createRequire(join(folder, 'package.json')),
    versionOf: (name) => (JSON.parse(readFileSync(manifest(name), 'utf8')) as { version: string }).version,
  };
}
