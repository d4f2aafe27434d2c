import { bindShapes, tensor, upstream } from './shapes.ts';
import type { Reference } from './types.ts';

/** `add`: out [...] = a + b, all of one shape. */
export const addReference: Reference = {
  forward(inputs) {
    bindShapes('add', inputs, { a: '...', b: '...' });
    const { a, b } = inputs;
    return {
      out: tensor(
        a.shape,
        Float64Array.from(a.data, (value, i) => value + b.data[i]),
      ),
    };
  },

  backward(inputs, _params, grads) {
    const gradOut = upstream('add', grads, 'out', inputs.a.shape);
    return {
      grad_a: tensor(inputs.a.shape, Float64Array.from(gradOut)),
      grad_b: tensor(inputs.b.shape, Float64Array.from(gradOut)),
    };
  },
};
