import { bindShapes, numberParam, tensor, upstream } from './shapes.ts';
import type { Reference } from './types.ts';

/** `scale`: out [...] = `factor` · x + `offset`; param `factor` is required, `offset` 0 by default. */
export const scaleReference: Reference = {
  forward(inputs, params) {
    bindShapes('scale', inputs, { x: '...' });
    const factor = numberParam('scale', params, 'factor');
    const offset = numberParam('scale', params, 'offset', 0);
    return {
      out: tensor(
        inputs.x.shape,
        Float64Array.from(inputs.x.data, (value) => factor * value + offset),
      ),
    };
  },

  backward(inputs, params, grads) {
    const factor = numberParam('scale', params, 'factor');
    const gradOut = upstream('scale', grads, 'out', inputs.x.shape);
    return {
      grad_x: tensor(
        inputs.x.shape,
        Float64Array.from(gradOut, (g) => factor * g),
      ),
    };
  },
};
