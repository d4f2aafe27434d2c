/** Attention weights of any model, on the host. */

/** −Σ a ln a of the rows of [L, L] matrices, one a head: mean over rows and heads, in nats; 0 ln 0 = 0. */
export function attentionEntropy(heads: readonly Float64Array[], tokens: number): number {
  let sum = 0;
  for (const weights of heads) for (const a of weights) if (a > 0) sum -= a * Math.log(a);
  return sum / (heads.length * tokens);
}

/** [L, L] weights as a list of rows. */
export const weightRows = (weights: Float64Array, tokens: number): number[][] =>
  Array.from({ length: tokens }, (_, i) => [...weights.subarray(i * tokens, (i + 1) * tokens)]);
