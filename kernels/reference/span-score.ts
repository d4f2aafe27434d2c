import { linearReference } from './linear.ts';
import { bindShapes } from './shapes.ts';
import { bindSpans, spanRepresentationReference } from './span-representation.ts';
import type { Reference, RefTensors } from './types.ts';

/** The inputs of the `linear` that `span-score` ends in; its bias is not optional. */
function linearInputs(inputs: RefTensors): RefTensors {
  bindSpans('span-score', inputs);
  bindShapes('span-score', inputs, { weight: 'N width', bias: 'N' });
  const { out } = spanRepresentationReference.forward(inputs, {});
  return { x: out, weight: inputs.weight, bias: inputs.bias };
}

/**
 * `span-score` (docs/spec.md#span-score): out [S,N] = span-representation(x, width_embedding, spans) · weightᵀ + bias;
 * weight [N,2d+dw], bias [N]. The kernel never forms the [S,2d+dw] matrix; this reference is the plain composition
 * that it must agree with. Throws as `span-representation` does.
 */
export const spanScoreReference: Reference = {
  forward(inputs) {
    return linearReference.forward(linearInputs(inputs), {});
  },

  backward(inputs, _params, grads) {
    const { grad_x, grad_weight, grad_bias } = linearReference.backward(linearInputs(inputs), {}, grads);
    const spanGrads = spanRepresentationReference.backward(inputs, {}, { grad_out: grad_x });
    return { ...spanGrads, grad_weight, grad_bias };
  },
};
