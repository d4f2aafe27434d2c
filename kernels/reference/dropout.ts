import { InputError } from '../errors.ts';
import { philox4x32 } from '../shared/philox.ts';
import { bindShapes, integerParam, numberParam, tensor, upstream } from './shapes.ts';
import type { Reference, RefParams } from './types.ts';

/**
 * `values` with dropout applied: element i is kept when word i mod 4 of Philox 4x32-10 at counter (i>>2, offset, 0, 0)
 * and key (seed, 0) is at least ⌊p·2³²⌋, and then multiplied by 1/(1 − p).
 */
function drop(values: ArrayLike<number>, params: RefParams): Float64Array {
  const p = numberParam('dropout', params, 'p');
  if (p < 0 || p > 1) throw new InputError(`dropout: param p must be from 0 to 1, got ${p}`);
  const seed = integerParam('dropout', params, 'seed', { min: 0 });
  const offset = integerParam('dropout', params, 'offset', { min: 0 });
  const threshold = Math.floor(p * 2 ** 32);
  const out = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const word = philox4x32([Math.floor(i / 4), offset, 0, 0], [seed, 0])[i % 4];
    if (word >= threshold) out[i] = values[i] / (1 - p);
  }
  return out;
}

/**
 * `dropout` (docs/spec.md#dropout): out = x with elements dropped at random, of the shape of x [...]; params `p` in [0,
 * 1],
 * `seed` and `offset` (both u32), all required. The same seed and offset drop the same elements in the backward.
 */
export const dropoutReference: Reference = {
  forward(inputs, params) {
    bindShapes('dropout', inputs, { x: '...' });
    return { out: tensor(inputs.x.shape, drop(inputs.x.data, params)) };
  },

  backward(inputs, params, grads) {
    const { shape } = inputs.x;
    return { grad_x: tensor(shape, drop(upstream('dropout', grads, 'out', shape), params)) };
  },
};
