import { InputError } from '../errors.ts';
import { bindShapes, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

function bind(inputs: RefTensors, params: RefParams) {
  const sizes = bindShapes('embedding', inputs, { ids: 'i32 ...', table: 'V d' });
  inputs.ids.data.forEach((id, row) => {
    const lowest = params.padding === true ? -1 : 0;
    if (id < lowest || id >= sizes.V) {
      throw new InputError(`embedding: ids row ${row} is ${id}, not in ${lowest}..${sizes.V - 1}`);
    }
  });
  return sizes;
}

/**
 * `embedding` (docs/spec.md#embedding): out [...,d] = the rows of table [V,d] that ids i32[...] name; with `padding`
 * also −1, a row of zeros. Throws InputError that names the row of an id outside 0..V−1.
 */
export const embeddingReference: Reference = {
  forward(inputs, params) {
    const { rows, d } = bind(inputs, params);
    const { ids, table } = inputs;
    const out = zeros([...ids.shape, d]);
    for (let row = 0; row < rows; row++) {
      if (ids.data[row] < 0) continue;
      for (let j = 0; j < d; j++) out.data[row * d + j] = table.data[ids.data[row] * d + j];
    }
    return { out };
  },

  backward(inputs, params, grads) {
    const { rows, d } = bind(inputs, params);
    const { ids, table } = inputs;
    const gradOut = upstream('embedding', grads, 'out', [...ids.shape, d]);
    const gradTable = zeros(table.shape);
    for (let row = 0; row < rows; row++) {
      if (ids.data[row] < 0) continue;
      for (let j = 0; j < d; j++) gradTable.data[ids.data[row] * d + j] += gradOut[row * d + j];
    }
    return { grad_table: gradTable };
  },
};
