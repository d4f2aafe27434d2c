/** What a process holds, as the system counts it, and whether that grows. */
import { readdirSync, readFileSync } from 'node:fs';
import type { BenchCheck } from './harness.ts';
import { summarise } from './statistics.ts';

/** null where there is no /proc. */
export interface ProcessMemory {
  residentBytes: number | null;
  threads: number | null;
  openFiles: number | null;
}

/** Of this process, or of another by its id; nulls once it is gone. */
export function processMemory(pid: number | 'self' = 'self'): ProcessMemory {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return {
      residentBytes: kilobytes && 1024 * Number(kilobytes[1]),
      threads: readdirSync(`/proc/${pid}/task`).length,
      openFiles: readdirSync(`/proc/${pid}/fd`).length,
    };
  } catch {
    return { residentBytes: null, threads: null, openFiles: null };
  }
}

/** How much larger the end may be than the beginning: garbage comes and goes, a leak adds up. */
const MOST_GROWTH = 1.1;

/**
 * Asserts that a quantity does not grow: the median of the last quarter of its samples against that of the first.
 * @param samples those once what lives throughout is there; with fewer than four it does not hold
 */
export function flat(what: string, samples: readonly (number | null)[]): BenchCheck {
  const known = samples.filter((value) => value !== null);
  const quarter = Math.floor(known.length / 4);
  const median = (values: readonly number[]): number =>
    values.length === 0 ? NaN : summarise(values).median;
  const [first, last] = [median(known.slice(0, quarter)), median(known.slice(known.length - quarter))];
  return {
    claim: `${what}: the last quarter at most ${MOST_GROWTH} times the first`,
    holds: last <= MOST_GROWTH * first,
    measured: `${first} to ${last}, at most ${Math.max(...known)}`,
  };
}

/** Asserts that a process does not grow; `from` says since when the samples are. */
export const flatProcess = (from: string, samples: readonly ProcessMemory[]): BenchCheck[] => [
  flat(
    `resident bytes ${from}`,
    samples.map(({ residentBytes }) => residentBytes),
  ),
  flat(
    `threads ${from}`,
    samples.map(({ threads }) => threads),
  ),
  flat(
    `open files ${from}`,
    samples.map(({ openFiles }) => openFiles),
  ),
];

/** Asserts that a quantity is the same in every sample. */
export const constant = (what: string, samples: readonly number[]): BenchCheck => ({
  claim: `${what} stay the same`,
  holds: new Set(samples).size === 1,
  measured: `${Math.min(...samples)} to ${Math.max(...samples)}`,
});

/** Up to `most` of many rows, evenly spread, with the first and the last. */
export function some<T>(rows: readonly T[], most: number): T[] {
  if (rows.length <= most) return [...rows];
  return Array.from({ length: most }, (_, i) => rows[Math.round((i * (rows.length - 1)) / (most - 1))]);
}
