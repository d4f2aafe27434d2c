import { InputError } from '../errors.ts';
import { activations, type ScalarFunction } from './math.ts';
import { bindShapes, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

const shapes = { x: '... K', weight: 'N K', 'bias?': 'N' };

function activationOf(params: RefParams): ScalarFunction {
  const name = params.activation ?? 'none';
  if (typeof name !== 'string' || !Object.hasOwn(activations, name)) {
    throw new InputError(
      `linear: param activation must be one of ${Object.keys(activations).join(' ')}, got ${JSON.stringify(name)}`,
    );
  }
  return activations[name as keyof typeof activations];
}

/** x · weightᵀ + bias, of shape [...,N]. */
function preActivation({ x, weight, bias }: RefTensors, rows: number, N: number, K: number) {
  const z = zeros([...x.shape.slice(0, -1), N]);
  for (let m = 0; m < rows; m++) {
    for (let n = 0; n < N; n++) {
      let sum = bias ? bias.data[n] : 0;
      for (let k = 0; k < K; k++) sum += x.data[m * K + k] * weight.data[n * K + k];
      z.data[m * N + n] = sum;
    }
  }
  return z;
}

/**
 * `linear` (docs/spec.md#linear): out [...,N] = activation(x [...,K] · weightᵀ + bias), weight [N,K] as PyTorch stores
 * it, bias [N] optional; param `activation` (default `none`).
 */
export const linearReference: Required<Reference> = {
  forward(inputs, params) {
    const { rows, N, K } = bindShapes('linear', inputs, shapes);
    const { value } = activationOf(params);
    const out = preActivation(inputs, rows, N, K);
    out.data.forEach((z, i) => (out.data[i] = value(z)));
    return { out };
  },

  backward(inputs, params, grads) {
    const { rows, N, K } = bindShapes('linear', inputs, shapes);
    const { x, weight, bias } = inputs;
    const { derivative } = activationOf(params);
    const z = preActivation(inputs, rows, N, K);
    const gradOut = upstream('linear', grads, 'out', z.shape);
    const gradX = zeros(x.shape);
    const gradWeight = zeros(weight.shape);
    const gradBias = zeros([N]);
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < N; n++) {
        const g = gradOut[m * N + n] * derivative(z.data[m * N + n]);
        gradBias.data[n] += g;
        for (let k = 0; k < K; k++) {
          gradX.data[m * K + k] += g * weight.data[n * K + k];
          gradWeight.data[n * K + k] += g * x.data[m * K + k];
        }
      }
    }
    return { grad_x: gradX, grad_weight: gradWeight, ...(bias && { grad_bias: gradBias }) };
  },
};
