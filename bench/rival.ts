/** What `bench linear` and `bench peers` assert about the fastest peer that has a tape. */
import type { BenchCheck } from './harness.ts';
import { pairedRatio, type Timed } from './statistics.ts';

const RIVAL = 'jax-js';
/** How many times as long it takes at least, by case, on a software device (SwiftShader's is where that was claimed). */
const CLAIMS: Readonly<Record<string, number>> = {
  'matmul-512x512x512': 1.2,
  'matmul-256x768x3072': 1.2,
  'self-attention': 1.4,
  'self-attention-gradients': 1.2,
  'segment-attention': 10,
  'segment-attention-gradients': 8,
};

/**
 * What is asserted of a case: nothing on a GPU, where nothing was claimed, or where the rival did not run.
 * @param timed our side first
 */
export function rivalChecks(name: string, timed: readonly Timed[], software: boolean): BenchCheck[] {
  const rival = timed.find((side) => side.name === RIVAL);
  const least = CLAIMS[name];
  if (!software || !rival || least === undefined) return [];
  const ratio = pairedRatio(rival, timed[0]);
  return [
    {
      claim: `${name}: ${RIVAL} takes at least ${least} times as long`,
      holds: ratio >= least,
      measured: `${ratio.toFixed(2)} times, median over the rounds`,
    },
  ];
}
