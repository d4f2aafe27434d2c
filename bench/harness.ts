/** What all benchmarks share: the device, float64 checks, inputs, options, the document. */
import { execFileSync } from 'node:child_process';
import { InputError } from '../kernels/errors.ts';
import { sizeOf, type Shape } from '../kernels/plan.ts';
import { relativeError } from '../kernels/shared/relative-error.ts';
import type { BenchCheck, BenchDocument, BenchRow } from '../src/cli/bench.ts';
import { parseArguments, type Arguments, type Command } from '../src/cli/command.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import { packageVersion, version } from '../src/cli/versions.ts';
import { stream } from '../src/nn/random.ts';
import { openRuntime, type Runtime } from '../src/node.ts';
import { TOLERANCE } from '../src/ops/verify-kernel.ts';

export type { Bench, BenchCheck, BenchDocument, BenchOptions, BenchRow } from '../src/cli/bench.ts';

/**
 * Runs `work` on a device. Meanwhile Dawn's event pump, which spins on `globalThis.setImmediate`, is paced to 1 ms for
 * the whole process, so that peers wait exactly as Spanwise does (src/gpu/pump.ts paces its own waits alone).
 */
export async function onDevice<T>(work: (runtime: Runtime) => Promise<T>): Promise<T> {
  const runtime = await openRuntime();
  const original = globalThis.setImmediate;
  const paced = (callback: (...args: unknown[]) => void, ...args: unknown[]) =>
    setTimeout(callback, 1, ...args);
  globalThis.setImmediate = paced as unknown as typeof globalThis.setImmediate;
  try {
    return await work(runtime);
  } finally {
    globalThis.setImmediate = original;
    runtime.close();
  }
}

/**
 * The relative error of a result (docs/spec.md#conventions). Errors: it is wrong, so nothing may be printed about it.
 */
export function checked(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const error = relativeError(actual, expected);
  if (!(error <= TOLERANCE))
    throw new Error(`${what}: wrong result, relative error ${error.toExponential(1)} (at most ${TOLERANCE})`);
  return error;
}

/** Values uniform in [-1, 1) that float32 holds; the same for the same seed. */
export function randomValues(shape: Shape, seed: number): Float32Array {
  const random = stream(seed);
  return Float32Array.from({ length: sizeOf(shape) }, () => 2 * random.uniform() - 1);
}

/** Parses a benchmark's own options. Errors: InputError for one that it does not have, or a missing value. */
export function ownOptions(bench: string, args: string[], options: Command['options'] = {}): Arguments {
  const parsed = parseArguments(
    { name: `bench ${bench}`, summary: '', options, run: () => Promise.resolve() },
    args,
  );
  if (parsed === 'help') throw new InputError(`bench ${bench}: see bench/README.md`);
  return parsed;
}

/** The seeds of a benchmark that trains. Errors: InputError for what is no list of whole numbers. */
export function parseSeeds(bench: string, text: string): number[] {
  const seeds = text.split(',').map(Number);
  if (seeds.some((seed) => !Number.isInteger(seed) || seed < 0 || seed > 0xffffffff))
    throw new InputError(`bench ${bench}: --seeds must be whole numbers such as 1,2,3, got "${text}"`);
  return seeds;
}

/** Output of git in the checkout; undefined outside one. */
function git(...args: string[]): string | undefined {
  try {
    return execFileSync('git', ['-C', packageRoot(), ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

/** The document of a finished benchmark. */
export function makeDocument(
  name: string,
  { info }: Pick<Runtime, 'info'>,
  rows: readonly BenchRow[],
  checks: readonly BenchCheck[] = [],
  more: Readonly<Record<string, unknown>> = {},
): BenchDocument {
  const commit = git('rev-parse', 'HEAD');
  const changes = commit === undefined ? undefined : git('status', '--porcelain', '--untracked-files=no');
  return {
    name,
    device: info,
    commit: commit ?? null,
    dirty: changes === undefined ? null : changes !== '',
    date: new Date().toISOString(),
    versions: {
      spanwise: version,
      node: process.versions.node,
      webgpu: packageVersion('webgpu') ?? 'unknown',
    },
    rows,
    checks,
    ...more,
  };
}
