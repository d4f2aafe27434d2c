/** The engines that the suite runs in. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/cli/package-root.ts';
import { chromium } from './browser.ts';
import { softwareDriver, systemDriver, type Driver } from './drivers.ts';
import type { Engine, Ran } from './engine.ts';

/** A hang; lavapipe takes minutes to compile all kernels. */
const TIMEOUT_MS = 60 * 60_000;

/** The first line of an error that an engine printed, without colours. */
function reasonOf(stderr: string): string {
  // eslint-disable-next-line no-control-regex
  const lines = stderr.replace(/\x1b\[[\d;]*m/g, '').split('\n');
  return (lines.find((line) => /\bError\b/.test(line)) ?? lines.find(Boolean) ?? '').trim();
}

/** An engine that is a program: it runs main.mjs. */
function program(name: string, [file, ...args]: readonly string[], driver: Driver, missing?: string): Engine {
  return {
    ...{ name, driver: driver.name, missing: missing ?? driver.missing },
    async run(suite, asked) {
      const main = [...args, join(packageRoot(), 'bench', 'engines', 'main.mjs')];
      const options = { env: { ...process.env, ...driver.env }, timeout: TIMEOUT_MS, maxBuffer: 2 ** 26 };
      try {
        const { stdout } = await promisify(execFile)(file, [...main, suite, JSON.stringify(asked)], options);
        return JSON.parse(stdout) as Ran;
      } catch (error) {
        const { stderr, signal, message } = error as Error & { stderr?: string; signal?: string };
        throw new Error(reasonOf(stderr ?? '') || (signal ? `ended by ${signal}` : message), {
          cause: error,
        });
      }
    },
  };
}

/** Where a program is: in a folder of node_modules, or on PATH. */
function installed(name: string, folders: readonly string[]): string | undefined {
  const bins = folders.map((folder) => join(packageRoot(), folder, 'node_modules', '.bin'));
  const places = [...bins, ...(process.env.PATH ?? '').split(delimiter)];
  return places.map((place) => join(place, name)).find((path) => existsSync(path));
}

/** All that there are, Node on the software device first: the others are compared with it. */
export function engines(): Engine[] {
  const deno = installed('deno', ['.']);
  const bun = installed('bun', ['bench/engines/bun']);
  const programs = (driver: Driver): Engine[] => [
    program('Node', [process.execPath], driver),
    program('Deno', [deno ?? 'deno', 'run', '--allow-all'], driver, missing(deno, 'npm install deno')),
    program('Bun', [bun ?? 'bun'], driver, missing(bun, 'npm install --prefix bench/engines/bun')),
  ];
  return [...programs(softwareDriver()), chromium(), ...programs(systemDriver())];
}

const missing = (found: string | undefined, install: string): string | undefined =>
  found === undefined ? `it is not installed (${install})` : undefined;
