/** Error bounds of layer-norm (bounds.ts). */
import { largestOf, ROUNDED, type Checked, type KernelBounds } from './rounding.ts';
import { sizeOf } from './shapes.ts';

/** Largest over the rows: |z|, the normalized row; |s| / sigma of what is normalized; 1 / sigma; the roundings of z. */
function rowsOf({ inputs, params }: Checked) {
  const { x, weight, residual } = inputs as Partial<Checked['inputs']>;
  const [d, eps] = [weight!.shape[0], Number(params.eps ?? 1e-5)];
  let [z, far, steepest] = [0, 0, 0];
  for (let at = 0; at < x!.data.length; at += d) {
    const row = Float64Array.from(x!.data.subarray(at, at + d), (v, i) => v + (residual?.data[at + i] ?? 0));
    const mean = row.reduce((a, b) => a + b, 0) / d;
    const scale = 1 / Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / d + eps);
    for (const v of row)
      [z, far] = [Math.max(z, Math.abs(v - mean) * scale), Math.max(far, Math.abs(v) * scale)];
    steepest = Math.max(steepest, scale);
  }
  // A deviation: s, s - mean and what the mean lacks, a sum of d. Its square is summed, so 1 / sigma has half as many.
  const deviation = 4 * far + d + 3;
  const ulps = deviation + z * (deviation + (d + 4) / 2 + 2 + ROUNDED);
  return { z, steepest, ulps, d, rows: sizeOf(x!.shape) / d };
}

export const layerNormBounds: KernelBounds = {
  why: 'mean, deviations and squares are sums of a row, then inverseSqrt; backward two more, and sums of the rows',
  forward(c) {
    const { z, ulps } = rowsOf(c);
    const of = Math.max(1, z) * largestOf(c.inputs.weight) + largestOf(c.inputs.bias);
    return { out: { ulps: ulps / Math.max(1, z) + 2 * ROUNDED, of } };
  },
  backward(c) {
    const { z, steepest, ulps, d, rows } = rowsOf(c);
    const [upstream, weight] = [largestOf(c.grads.grad_out), largestOf(c.inputs.weight)];
    // grad = (g - mean(g) - z mean(g z)) / sigma: |mean(g z)| <= max |g|, and z is in it twice.
    const grad_x = { ulps: (2 + z) * (d + 8) + 3 * (1 + z) * ulps, of: upstream * weight * steepest };
    return {
      ...{ grad_x, ...('residual' in c.inputs && { grad_residual: grad_x }) },
      grad_weight: { ulps: rows * (ulps + (rows + 2) * z), of: upstream },
      grad_bias: { ulps: rows * rows, of: upstream },
    };
  },
};
