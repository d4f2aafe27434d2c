import { numberParam, tensor } from './shapes.ts';
import type { Reference } from './types.ts';

/**
 * `clip-grad-norm`: norm [1] = √(Σ g²) over every input (`grad0`, `grad1`, …), scale [1] = min(1, maxNorm/(norm + 1e-6))
 * as in PyTorch's clip_grad_norm_. Param `maxNorm` is required; with `runs` i32[R, 3], rows of (i, first, size), only those
 * elements of `grad<i>` count. With `lossScale`, which all gradients are multiplied with, norm is without it, scale divides by
 * it, and found_inf [1] says by 1 that the norm is not finite. It has no gradient.
 */
export const clipGradNormReference: Reference = {
  forward({ runs, ...grads }, params) {
    const maxNorm = numberParam('clip-grad-norm', params, 'maxNorm');
    const whole = Object.values(grads).flatMap(({ data }, grad) => [grad, 0, data.length]);
    const all = runs?.data ?? whole;
    let squares = 0;
    for (let at = 0; at < all.length; at += 3)
      for (const g of grads[`grad${all[at]}`].data.subarray(all[at + 1], all[at + 1] + all[at + 2]))
        squares += g ** 2;
    const lossScale = numberParam('clip-grad-norm', params, 'lossScale', 1);
    const norm = Math.sqrt(squares) / lossScale;
    const one = (value: number) => tensor([1], Float64Array.of(value));
    return {
      norm: one(norm),
      scale: one(Math.min(1, maxNorm / (norm + 1e-6)) / lossScale),
      ...(params.lossScale !== undefined && { found_inf: one(Number.isFinite(norm) ? 0 : 1) }),
    };
  },
};
