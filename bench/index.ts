/** The benchmarks by name, as `spanwise bench` loads them (built to dist/bench.js). */
import type { Bench } from './harness.ts';
import { linearBench } from './linear.bench.ts';

export type { Bench, BenchDocument, BenchOptions } from './harness.ts';

export const benches: Readonly<Record<string, Bench>> = {
  linear: linearBench,
};
