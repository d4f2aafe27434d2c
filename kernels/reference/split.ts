import { InputError } from '../errors.ts';
import { concatReference } from './concat.ts';
import { bindShapes, sizeOf, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

function widthsOf(params: RefParams): number[] {
  const { widths } = params;
  if (Array.isArray(widths) && widths.length > 0 && widths.every((w) => Number.isInteger(w) && w >= 1))
    return widths as number[];
  throw new InputError(`split: param widths must be positive integers, got ${JSON.stringify(widths)}`);
}

/** `split`: out0 [...,widths[0]], out1 [...,widths[1]], … = the columns of x [...,N] in order; widths add up to N. */
export const splitReference: Reference = {
  forward({ x }, params) {
    const widths = widthsOf(params);
    const total = widths.reduce((sum, width) => sum + width, 0);
    bindShapes('split', { x }, { x: `... ${total}` });
    const leading = x.shape.slice(0, -1);
    let start = 0;
    return Object.fromEntries(
      widths.map((width, i) => {
        const out = zeros([...leading, width]);
        for (let row = 0; row < sizeOf(leading); row++)
          for (let j = 0; j < width; j++) out.data[row * width + j] = x.data[row * total + start + j];
        start += width;
        return [`out${i}`, out];
      }),
    );
  },

  backward(_inputs, params, grads) {
    const parts: RefTensors = {};
    widthsOf(params).forEach((_, i) => (parts[`x${i}`] = grads[`grad_out${i}`]));
    return { grad_x: concatReference.forward(parts, {}).out };
  },
};
