import { bindShapes, tensor, upstream } from './shapes.ts';
import type { Reference } from './types.ts';

/** `mul`: out [...] = a · b element by element, all of one shape. */
export const mulReference: Reference = {
  forward(inputs) {
    bindShapes('mul', inputs, { a: '...', b: '...' });
    const { a, b } = inputs;
    return {
      out: tensor(
        a.shape,
        Float64Array.from(a.data, (value, i) => value * b.data[i]),
      ),
    };
  },

  backward(inputs, _params, grads) {
    bindShapes('mul', inputs, { a: '...', b: '...' });
    const { a, b } = inputs;
    const gradOut = upstream('mul', grads, 'out', a.shape);
    return {
      grad_a: tensor(
        a.shape,
        Float64Array.from(gradOut, (g, i) => g * b.data[i]),
      ),
      grad_b: tensor(
        b.shape,
        Float64Array.from(gradOut, (g, i) => g * a.data[i]),
      ),
    };
  },
};
