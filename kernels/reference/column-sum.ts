import { bindShapes, upstream, zeros } from './shapes.ts';
import type { Reference } from './types.ts';

/** `column-sum`: out [N] = the sum over the rows of x [M,N]. */
export const columnSumReference: Reference = {
  forward(inputs) {
    const { N } = bindShapes('column-sum', inputs, { x: 'M N' });
    const out = zeros([N]);
    inputs.x.data.forEach((value, i) => (out.data[i % N] += value));
    return { out };
  },

  backward(inputs, _params, grads) {
    const { N } = bindShapes('column-sum', inputs, { x: 'M N' });
    const gradOut = upstream('column-sum', grads, 'out', [N]);
    const gradX = zeros(inputs.x.shape);
    gradX.data.forEach((_, i) => (gradX.data[i] = gradOut[i % N]));
    return { grad_x: gradX };
  },
};
