/** Whether one model is better than another: paired differences of their scores (the paper's Table 9). */
import { InputError } from '../../kernels/errors.ts';

/** A mean and the deviation around it. */
export interface Spread {
  mean: number;
  /** Sample standard deviation (n − 1); NaN for a single value. */
  deviation: number;
}

export interface PairedComparison {
  /** Pairs. */
  n: number;
  a: Spread;
  b: Spread;
  /** b − a, pair by pair. */
  difference: Spread;
  /** The paired t statistic, with n − 1 degrees of freedom; NaN for one pair, ±∞ where all differences are one number. */
  t: number;
  /** Two-sided; NaN for one pair. */
  p: number;
  /** 95 % confidence interval of the mean difference; NaN for one pair. */
  interval: [low: number, high: number];
}

function spread(values: readonly number[]): Spread {
  const n = values.length;
  const mean = values.reduce((sum, x) => sum + x, 0) / n;
  // One number n times has the deviation 0, whatever the rounding of the mean.
  const same = n > 1 && values.every((x) => x === values[0]);
  const squares = values.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return { mean, deviation: same ? 0 : Math.sqrt(squares / (n - 1)) };
}

/**
 * The probability that a Student t variable lies within ±|t|, by the finite trigonometric series that exists for whole
 * degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4). Absolute error about 1e-15.
 * @param df degrees of freedom, a whole number of at least 1
 */
export function studentWithin(t: number, df: number): number {
  const angle = Math.atan(Math.abs(t) / Math.sqrt(df));
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  const odd = df % 2 === 1;
  let term = odd ? cos : 1;
  let sum = df === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k <= df - 2; k += 2) {
    term *= ((k - 1) / k) * cos ** 2;
    sum += term;
  }
  return odd ? (2 / Math.PI) * (angle + sin * sum) : sin * sum;
}

/** The t that a Student t variable stays within with probability `within`, in (0, 1): by bisection. */
export function studentCritical(within: number, df: number): number {
  let [low, high] = [0, 1];
  while (studentWithin(high, df) < within) high *= 2;
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return middle;
    if (studentWithin(middle, df) < within) low = middle;
    else high = middle;
  }
}

/**
 * Compares scores of two models measured in pairs, such as the same seeds or corpora.
 * @throws InputError for no pairs, and for lists of different lengths
 */
export function compareInPairs(a: readonly number[], b: readonly number[]): PairedComparison {
  if (a.length !== b.length || a.length === 0)
    throw new InputError(`compare: ${a.length} and ${b.length} scores make no pairs`);
  const n = a.length;
  const difference = spread(b.map((score, i) => score - a[i]));
  const error = difference.deviation / Math.sqrt(n);
  const t = difference.mean === 0 && error === 0 ? 0 : difference.mean / error;
  const reach = n > 1 ? studentCritical(0.95, n - 1) * error : NaN;
  return {
    n,
    a: spread(a),
    b: spread(b),
    difference,
    t,
    p: 1 - studentWithin(t, n - 1),
    interval: [difference.mean - reach, difference.mean + reach],
  };
}
