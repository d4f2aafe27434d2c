import { InputError } from '../errors.ts';
import { sigmoid } from './math.ts';
import { bindShapes, upstream, zeros } from './shapes.ts';
import type { Reference, RefTensors } from './types.ts';

/** Offsets of the elements that count: those whose mask is not 0, or all without a mask. */
function countedElements(inputs: RefTensors): number[] {
  bindShapes('binary-cross-entropy', inputs, { logits: '...', targets: 'i32 ...', 'mask?': 'i32 ...' });
  const counted: number[] = [];
  inputs.targets.data.forEach((target, i) => {
    if (inputs.mask && inputs.mask.data[i] === 0) return;
    if (target !== 0 && target !== 1) {
      throw new InputError(`binary-cross-entropy: targets element ${i} is ${target}, not 0 or 1`);
    }
    counted.push(i);
  });
  return counted;
}

/**
 * `binary-cross-entropy` (docs/spec.md#binary-cross-entropy): loss [] = mean of −t·log σ(x) − (1 − t)·log(1 − σ(x))
 * over what counts; logits [...], targets i32[...] (0 or 1), mask i32[...] optional. Nothing counted: 0, and zero
 * gradients.
 * Throws InputError that names the element of another target.
 */
export const binaryCrossEntropyReference: Reference = {
  forward(inputs) {
    const counted = countedElements(inputs);
    const loss = zeros([]);
    for (const i of counted) {
      // The same loss as max(x, 0) − x·t + log(1 + e^(−|x|)): no exponent is positive, no logarithm is of 0.
      const x = inputs.logits.data[i];
      const element = Math.max(x, 0) - x * inputs.targets.data[i] + Math.log1p(Math.exp(-Math.abs(x)));
      loss.data[0] += element / counted.length;
    }
    return { loss };
  },

  backward(inputs, _params, grads) {
    const counted = countedElements(inputs);
    const [gradLoss] = upstream('binary-cross-entropy', grads, 'loss', []);
    const gradLogits = zeros(inputs.logits.shape);
    for (const i of counted) {
      const difference = sigmoid(inputs.logits.data[i]) - inputs.targets.data[i];
      gradLogits.data[i] = (difference * gradLoss) / counted.length;
    }
    return { grad_logits: gradLogits };
  },
};
