import { bindShapes, numberParam, tensor, upstream, zeros } from './shapes.ts';
import type { Reference, RefTensor } from './types.ts';

const shapes = { x: '... d', weight: 'd', bias: 'd', 'residual?': '... d' };
const defaultEps = 1e-5;

/** One row of x (+ residual), brought to mean 0 and variance 1 (biased, plus eps), and the 1/σ it took. */
function normalizeRow(x: RefTensor, residual: RefTensor | undefined, row: number, d: number, eps: number) {
  const values = Float64Array.from({ length: d }, (_, j) => {
    const i = row * d + j;
    return x.data[i] + (residual ? residual.data[i] : 0);
  });
  const mean = values.reduce((a, b) => a + b, 0) / d;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / d;
  const rstd = 1 / Math.sqrt(variance + eps);
  return { normalized: values.map((v) => (v - mean) * rstd), rstd };
}

/**
 * `layer-norm` (docs/spec.md#layer-norm): out [...,d] = (s − mean) / √(var + eps) · weight + bias with s = x + residual
 * over the last axis; x [...,d], weight and bias [d], residual [...,d] optional; param `eps` (default 1e-5).
 */
export const layerNormReference: Reference = {
  forward(inputs, params) {
    const { rows, d } = bindShapes('layer-norm', inputs, shapes);
    const { x, weight, bias, residual } = inputs;
    const eps = numberParam('layer-norm', params, 'eps', defaultEps);
    const out = zeros(x.shape);
    for (let row = 0; row < rows; row++) {
      const { normalized } = normalizeRow(x, residual, row, d, eps);
      for (let j = 0; j < d; j++) out.data[row * d + j] = normalized[j] * weight.data[j] + bias.data[j];
    }
    return { out };
  },

  backward(inputs, params, grads) {
    const { rows, d } = bindShapes('layer-norm', inputs, shapes);
    const { x, weight, residual } = inputs;
    const eps = numberParam('layer-norm', params, 'eps', defaultEps);
    const gradOut = upstream('layer-norm', grads, 'out', x.shape);
    const gradX = zeros(x.shape);
    const gradWeight = zeros([d]);
    const gradBias = zeros([d]);
    for (let row = 0; row < rows; row++) {
      const { normalized, rstd } = normalizeRow(x, residual, row, d, eps);
      // With g the gradient of the normalized row n: grad_s = (g − mean(g) − n · mean(g·n)) / σ.
      const g = normalized.map((_, j) => gradOut[row * d + j] * weight.data[j]);
      const meanG = g.reduce((a, b) => a + b, 0) / d;
      const meanGN = g.reduce((a, b, j) => a + b * normalized[j], 0) / d;
      for (let j = 0; j < d; j++) {
        gradX.data[row * d + j] = (g[j] - meanG - normalized[j] * meanGN) * rstd;
        gradWeight.data[j] += gradOut[row * d + j] * normalized[j];
        gradBias.data[j] += gradOut[row * d + j];
      }
    }
    // x and residual enter as one sum, so they share one gradient; a copy each, since callers may accumulate into it.
    const gradResidual = tensor(gradX.shape, gradX.data.slice());
    return {
      grad_x: gradX,
      grad_weight: gradWeight,
      grad_bias: gradBias,
      ...(residual && { grad_residual: gradResidual }),
    };
  },
};
