import { kernelNamed } from '../../kernels/index.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { Parameters } from '../nn/parameters.ts';

/**
 * The factor min(1, maxNorm / (‖g‖₂ + 1e-6)) over all gradients together (PyTorch's clip_grad_norm_), left on the
 * device for the optimizer.
 * @returns `scale` [1] and `norm` [1], the norm before clipping
 */
export function clipGradNorm(parameters: Parameters, maxNorm: number): { scale: Tensor; norm: Tensor } {
  const { runtime } = parameters;
  const grads = [...parameters.all.values()].flatMap(({ tensor }) => (tensor.grad ? [tensor.grad] : []));
  const inputs = Object.fromEntries(grads.map((grad, i) => [`grad${i}`, grad]));
  runtime.meter.phase = 'optimizer';
  try {
    const { scale, norm } = runtime.kernel(kernelNamed('clip-grad-norm'), inputs, {
      params: { maxNorm },
      label: 'scratch',
    });
    return { scale, norm };
  } finally {
    runtime.meter.phase = 'forward';
  }
}
