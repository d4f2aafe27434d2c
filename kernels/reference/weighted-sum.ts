import { InputError } from '../errors.ts';
import { bindShapes, upstream, zeros } from './shapes.ts';
import type { Reference, RefTensors } from './types.ts';

/** The tensors x0, x1, … and their weights, checked. */
function bind(inputs: RefTensors) {
  const names = Object.keys(inputs).filter((name) => /^x\d+$/.test(name));
  const patterns = Object.fromEntries(names.map((_, i) => [`x${i}`, '...']));
  const { n } = bindShapes('weighted-sum', inputs, { weights: 'n', x0: '...', ...patterns });
  if (n !== names.length)
    throw new InputError(`weighted-sum: weights has ${n} values for ${names.length} tensors`);
  return { names: names.map((_, i) => `x${i}`), weights: inputs.weights.data, shape: inputs.x0.shape };
}

/** `weighted-sum`: out = Σ_i weights[i] · x_i over tensors x0, x1, … of one shape, without a gap in the numbers. */
export const weightedSumReference: Reference = {
  forward(inputs) {
    const { names, weights, shape } = bind(inputs);
    const out = zeros(shape);
    names.forEach((name, i) => inputs[name].data.forEach((x, e) => (out.data[e] += weights[i] * x)));
    return { out };
  },

  backward(inputs, _params, grads) {
    const { names, weights, shape } = bind(inputs);
    const gradOut = upstream('weighted-sum', grads, 'out', shape);
    const result: RefTensors = { grad_weights: zeros([names.length]) };
    names.forEach((name, i) => {
      const gradX = zeros(shape);
      gradOut.forEach((g, e) => {
        gradX.data[e] = weights[i] * g;
        result.grad_weights.data[i] += g * inputs[name].data[e];
      });
      result[`grad_${name}`] = gradX;
    });
    return result;
  },
};
