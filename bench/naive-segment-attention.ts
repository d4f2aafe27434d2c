/** Token-to-segment attention as it is usually composed: the baseline of `segment-attention`'s benchmarks. */
import { attention } from '../kernels/attention.ts';
import { add, scale } from '../kernels/elementwise.ts';
import { slidingAveragePool } from '../kernels/sliding-average-pool.ts';
import type { Runtime, Tensor } from '../src/node.ts';
import { apply } from '../src/ops/apply.ts';

/**
 * Σ_s weights[s] · attention(q, P_s k, P_s v), q, k, v [B,L,D]: pooled keys and values and a score matrix of every
 * scale. Differentiable through the tape. Rows of padded queries are not set to 0.
 */
export function naiveSegmentAttention(
  runtime: Runtime,
  { q, k, v }: Readonly<Record<'q' | 'k' | 'v', Tensor>>,
  lengths: Int32Array,
  options: { heads: number; scales: readonly number[]; weights: readonly number[] },
): Tensor {
  const { heads, scales, weights } = options;
  const rows = (data: Int32Array) => ({ lengths: { data, shape: [data.length] } });
  const pool = (x: Tensor) => apply(runtime, slidingAveragePool, { x, ...rows(lengths) }, { scales });
  const keys = pool(k);
  const values = pool(v);
  const outputs = scales.map((r, s) => {
    const segments = lengths.map((length) => Math.max(0, length - r + 1));
    const pooled = { q, k: keys[`out.${r}`], v: values[`out.${r}`] };
    const { out } = apply(runtime, attention, { ...pooled, ...rows(segments) }, { heads });
    return apply(runtime, scale, { x: out }, { factor: weights[s] }).out;
  });
  return outputs.reduce((a, b) => apply(runtime, add, { a, b }).out);
}
