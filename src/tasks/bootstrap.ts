/** How sure a score is: confidence intervals by resampling the items that it was measured on. */
import { InputError } from '../../kernels/errors.ts';
import { stream } from '../nn/random.ts';
import { scoreOf, type Counts } from './metrics.ts';

export interface BootstrapOptions {
  /** Resampled corpora; 1,000 when absent. */
  draws?: number;
  /** Of the draws; 0 when absent. The same seed draws the same items for every score of a corpus. */
  seed?: number;
}

/** The share of the draws inside the interval. */
const CONFIDENCE = 0.95;

/** The least value that a share `q` of the sorted `values` does not exceed. */
const quantile = (values: Float64Array, q: number): number =>
  values[Math.min(values.length - 1, Math.max(0, Math.ceil(q * values.length) - 1))];

/**
 * The 95 % confidence interval of the micro F1 (percentile bootstrap): items are drawn with replacement, as many as
 * there are, and the F1 of each draw is taken.
 * @param items the counts of each item (document)
 * @returns [low, high]; [0, 0] for no items
 * @throws InputError for `draws` that is no count
 */
export function bootstrapF1(items: readonly Counts[], options: BootstrapOptions = {}): [number, number] {
  const { draws = 1000, seed = 0 } = options;
  if (!Number.isInteger(draws) || draws < 1)
    throw new InputError(`bootstrap: draws must be an integer of at least 1, it is ${draws}`);
  if (items.length === 0) return [0, 0];
  const random = stream(seed);
  const scores = Float64Array.from({ length: draws }, () => {
    const sum: Counts = { right: 0, predicted: 0, support: 0 };
    for (let i = 0; i < items.length; i++) {
      const item = items[random.integer(items.length)];
      sum.right += item.right;
      sum.predicted += item.predicted;
      sum.support += item.support;
    }
    return scoreOf(sum.right, sum.predicted, sum.right, sum.support).f1;
  }).sort();
  const tail = (1 - CONFIDENCE) / 2;
  return [quantile(scores, tail), quantile(scores, 1 - tail)];
}
