import { InputError } from '../errors.ts';
import { bindShapes, upstream, zeros } from './shapes.ts';
import type { Reference, RefTensors } from './types.ts';

function bind(inputs: RefTensors) {
  const sizes = bindShapes('range-max-pool', inputs, { x: 'B L d', ranges: 'i32 R 3' });
  for (let r = 0; r < sizes.R; r++) {
    const [b, start, end] = inputs.ranges.data.subarray(r * 3, r * 3 + 3);
    const inside = b >= 0 && b < sizes.B && start >= 0 && start <= sizes.L && end >= 0 && end <= sizes.L;
    if (!inside) {
      throw new InputError(
        `range-max-pool: ranges row ${r} = (${b}, ${start}, ${end}) is outside x, B = ${sizes.B}, L = ${sizes.L}`,
      );
    }
  }
  return sizes;
}

/** The offset in x of the first maximal element (the first NaN) of column j over range r; undefined for an empty range. */
function firstMaximum({ x, ranges }: RefTensors, L: number, d: number, r: number, j: number) {
  const [b, start, end] = ranges.data.subarray(r * 3, r * 3 + 3);
  let best: number | undefined;
  for (let row = start; row < end; row++) {
    const offset = (b * L + row) * d + j;
    const [value, most] = [x.data[offset], best === undefined ? -Infinity : x.data[best]];
    if (best === undefined || value > most || (Number.isNaN(value) && !Number.isNaN(most))) best = offset;
  }
  return best;
}

/**
 * `range-max-pool` (docs/spec.md#range-max-pool): out [R,d] = the maximum of x [B,L,d] over rows start..end−1 of each
 * row (b, start, end) of ranges i32[R,3]; 0 where end ≤ start. The gradient goes to the first maximal row.
 * Throws InputError that names the row of a range outside x.
 */
export const rangeMaxPoolReference: Reference = {
  forward(inputs) {
    const { L, d, R } = bind(inputs);
    const out = zeros([R, d]);
    for (let r = 0; r < R; r++) {
      for (let j = 0; j < d; j++) {
        const offset = firstMaximum(inputs, L, d, r, j);
        out.data[r * d + j] = offset === undefined ? 0 : inputs.x.data[offset];
      }
    }
    return { out };
  },

  backward(inputs, _params, grads) {
    const { L, d, R } = bind(inputs);
    const gradOut = upstream('range-max-pool', grads, 'out', [R, d]);
    const gradX = zeros(inputs.x.shape);
    for (let r = 0; r < R; r++) {
      for (let j = 0; j < d; j++) {
        const offset = firstMaximum(inputs, L, d, r, j);
        if (offset !== undefined) gradX.data[offset] += gradOut[r * d + j];
      }
    }
    return { grad_x: gradX };
  },
};
