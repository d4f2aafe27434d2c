/** The time of work on the host, sampled by the npm package `benchmark`. */
import { summarise } from './statistics.ts';

/** Seconds of sampling at most, and the length of one sample, which covers as many calls as that takes. */
const MAX_SECONDS = 0.05;
const SAMPLE_SECONDS = 0.005;

/** Median milliseconds of one synchronous call. */
export async function hostTime(body: () => void): Promise<number> {
  const { default: Benchmark } = await import('benchmark');
  const options = { maxTime: MAX_SECONDS, minTime: SAMPLE_SECONDS, minSamples: 3 };
  const { stats } = new Benchmark(body, options).run({ async: false }) as { stats: { sample: number[] } };
  return 1000 * summarise(stats.sample).median;
}
