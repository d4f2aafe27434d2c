import { numberParam, tensor } from './shapes.ts';
import type { Reference } from './types.ts';

/**
 * `clip-grad-norm`: norm [1] = √(Σ g²) over every input (`grad0`, `grad1`, …), scale [1] = min(1, maxNorm/(norm + 1e-6))
 * as in PyTorch's clip_grad_norm_. Param `maxNorm` is required; with `runs`, a list of {grad, first, size}, only those
 * parts of the inputs count. It has no gradient.
 */
export const clipGradNormReference: Reference = {
  forward(inputs, params) {
    const maxNorm = numberParam('clip-grad-norm', params, 'maxNorm');
    const whole = Object.values(inputs).map(({ data }, grad) => ({ grad, first: 0, size: data.length }));
    let squares = 0;
    for (const { grad, first, size } of (params.runs as typeof whole | undefined) ?? whole)
      for (const g of inputs[`grad${grad}`].data.subarray(first, first + size)) squares += g ** 2;
    const norm = Math.sqrt(squares);
    return {
      norm: tensor([1], Float64Array.of(norm)),
      scale: tensor([1], Float64Array.of(Math.min(1, maxNorm / (norm + 1e-6)))),
    };
  },
};
