/** Functions in float64 on the host: the references compute with them, and predictions read logits with them. */

/** The logistic function 1 / (1 + e^(−x)); e^(−x) overflowing to infinity gives 0, which is its limit. */
export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/**
 * Softmax of one row of n scores. Subtracting the row's maximum first leaves every exponent at most 0, so magnitudes
 * of 1e5 do not overflow. Empty for an empty row.
 */
export function softmaxRow(scores: ArrayLike<number>): Float64Array {
  const exps = Float64Array.from(scores);
  const max = exps.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (let i = 0; i < exps.length; i++) sum += exps[i] = Math.exp(exps[i] - max);
  return exps.map((e) => e / sum);
}
