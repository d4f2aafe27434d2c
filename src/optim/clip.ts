import { clipGradNorm as kernel } from '../../kernels/clip-grad-norm.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { Parameters } from '../nn/parameters.ts';
import { hostInts } from '../ops/index.ts';
import { numbered } from '../ops/numbered.ts';

/**
 * The factor min(1, maxNorm / (‖g‖₂ + 1e-6)) over all gradients together (PyTorch's clip_grad_norm_), left on the
 * device for the optimizer.
 * @param lossScale what the loss was multiplied with, a power of two from 1 on: `scale` divides by it
 * @returns `scale` [1] and `norm` [1], the norm before clipping, of the loss itself; with `lossScale` also `foundInf` [1], 1 where
 *   the norm is not finite, else 0
 */
export function clipGradNorm(
  parameters: Parameters,
  maxNorm: number,
  lossScale?: number,
): { scale: Tensor; norm: Tensor; foundInf?: Tensor } {
  const { runtime } = parameters;
  const tensors: Tensor[] = [];
  const indices = new Map<Tensor, number>();
  const runs = new Int32Array(3 * parameters.all.size);
  let count = 0;
  let [last, index] = [undefined as Tensor | undefined, -1];
  for (const { tensor, slot } of parameters.all.values()) {
    const { grad } = tensor;
    if (!grad) continue;
    const together = slot.home.holds(grad);
    const input = together ? slot.chunk.gradients : grad;
    if (input !== last) {
      index = indices.get(input) ?? tensors.push(input) - 1;
      indices.set((last = input), index);
    }
    runs[count++] = index;
    runs[count++] = together ? slot.first : 0;
    runs[count++] = slot.size;
  }
  runtime.meter.phase = 'optimizer';
  try {
    const { scale, norm, found_inf } = runtime.kernel(kernel, numbered('grad', tensors), {
      params: { maxNorm, ...(lossScale !== undefined && { lossScale }) },
      host: { runs: hostInts(runs.subarray(0, count), [count / 3, 3]) },
      label: 'scratch',
    });
    return { scale, norm, ...(lossScale !== undefined && { foundInf: found_inf }) };
  } finally {
    runtime.meter.phase = 'forward';
  }
}
