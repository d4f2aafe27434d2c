import { numberParam, tensor } from './shapes.ts';
import type { Reference } from './types.ts';

/**
 * `clip-grad-norm`: norm [1] = √(Σ g²) over every input (`grad0`, `grad1`, …), scale [1] = min(1, maxNorm/(norm + 1e-6))
 * as in PyTorch's clip_grad_norm_. Param `maxNorm` is required. It has no gradient.
 */
export const clipGradNormReference: Reference = {
  forward(inputs, params) {
    const maxNorm = numberParam('clip-grad-norm', params, 'maxNorm');
    let squares = 0;
    for (const { data } of Object.values(inputs)) for (const g of data) squares += g ** 2;
    const norm = Math.sqrt(squares);
    return {
      norm: tensor([1], Float64Array.of(norm)),
      scale: tensor([1], Float64Array.of(Math.min(1, maxNorm / (norm + 1e-6)))),
    };
  },
};
