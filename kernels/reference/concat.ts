import { InputError } from '../errors.ts';
import { bindShapes, upstream, zeros } from './shapes.ts';
import type { Reference, RefTensors } from './types.ts';

const names = Array.from({ length: 7 }, (_, i) => `x${i}`);

/** The parts that are present, in order, each with its width; the number of rows, and the summed width. */
function bind(inputs: RefTensors) {
  const present = names.filter((name) => inputs[name]);
  names.slice(0, Math.max(1, present.length)).forEach((name) => {
    if (!inputs[name]) throw new InputError(`concat: input ${name} is missing`);
  });
  const sizes = bindShapes(
    'concat',
    inputs,
    Object.fromEntries(present.map((name) => [name, `... n_${name}`])),
  );
  const parts = present.map((name) => ({ name, width: sizes[`n_${name}`] }));
  return { parts, rows: sizes.rows, total: parts.reduce((sum, { width }) => sum + width, 0) };
}

/**
 * `concat`: out [...,n0+n1+…] = the inputs x0 [...,n0], x1 [...,n1], … (one to seven, without a gap in the numbers)
 * side by side along the last axis; their leading axes are the same.
 */
export const concatReference: Reference = {
  forward(inputs) {
    const { parts, rows, total } = bind(inputs);
    const out = zeros([...inputs.x0.shape.slice(0, -1), total]);
    for (let row = 0; row < rows; row++) {
      let to = row * total;
      for (const { name, width } of parts) {
        for (let j = 0; j < width; j++) out.data[to++] = inputs[name].data[row * width + j];
      }
    }
    return { out };
  },

  backward(inputs, _params, grads) {
    const { parts, rows, total } = bind(inputs);
    const gradOut = upstream('concat', grads, 'out', [...inputs.x0.shape.slice(0, -1), total]);
    const result: RefTensors = {};
    for (const { name } of parts) result[`grad_${name}`] = zeros(inputs[name].shape);
    for (let row = 0; row < rows; row++) {
      let from = row * total;
      for (const { name, width } of parts) {
        for (let j = 0; j < width; j++) result[`grad_${name}`].data[row * width + j] = gradOut[from++];
      }
    }
    return result;
  },
};
