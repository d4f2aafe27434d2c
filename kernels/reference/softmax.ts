import { softmaxRow, softmaxRowBackward } from './math.ts';
import { bindShapes, upstream, zeros } from './shapes.ts';
import type { Reference } from './types.ts';

/** `softmax` (docs/spec.md#softmax): out [...,n] = e^x / Σ e^x over the last axis of x [...,n]. */
export const softmaxReference: Reference = {
  forward(inputs) {
    const { rows, n } = bindShapes('softmax', inputs, { x: '... n' });
    const { x } = inputs;
    const out = zeros(x.shape);
    for (let row = 0; row < rows; row++) {
      out.data.set(softmaxRow(x.data.subarray(row * n, (row + 1) * n)), row * n);
    }
    return { out };
  },

  backward(inputs, _params, grads) {
    const { rows, n } = bindShapes('softmax', inputs, { x: '... n' });
    const { x } = inputs;
    const gradOut = upstream('softmax', grads, 'out', x.shape);
    const gradX = zeros(x.shape);
    for (let row = 0; row < rows; row++) {
      const p = softmaxRow(x.data.subarray(row * n, (row + 1) * n));
      gradX.data.set(softmaxRowBackward(p, gradOut.subarray(row * n, (row + 1) * n)), row * n);
    }
    return { grad_x: gradX };
  },
};
