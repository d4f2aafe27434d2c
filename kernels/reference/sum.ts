import { bindShapes, tensor, upstream, zeros } from './shapes.ts';
import type { Reference } from './types.ts';

/** `sum`: out [] = the sum of every element of x [...]; 0 where there is none. */
export const sumReference: Reference = {
  forward(inputs) {
    bindShapes('sum', inputs, { x: '...' });
    const out = zeros([]);
    for (const value of inputs.x.data) out.data[0] += value;
    return { out };
  },

  backward(inputs, _params, grads) {
    const [g] = upstream('sum', grads, 'out', []);
    return { grad_x: tensor(inputs.x.shape, new Float64Array(inputs.x.data.length).fill(g)) };
  },
};
