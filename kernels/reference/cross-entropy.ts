import { InputError } from '../errors.ts';
import { softmaxRow } from './math.ts';
import { bindShapes, integerParam, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

/** The rows whose target is not `ignoreIndex`, and the number of classes. */
function countedRows(inputs: RefTensors, params: RefParams) {
  const { C } = bindShapes('cross-entropy', inputs, { logits: 'N C', targets: 'i32 N' });
  const ignoreIndex = integerParam('cross-entropy', params, 'ignoreIndex', {
    min: -(2 ** 31),
    fallback: -100,
  });
  const counted: number[] = [];
  inputs.targets.data.forEach((target, row) => {
    if (target === ignoreIndex) return;
    if (target < 0 || target >= C) {
      throw new InputError(
        `cross-entropy: targets row ${row} is ${target}, not in 0..${C - 1} or ${ignoreIndex}`,
      );
    }
    counted.push(row);
  });
  return { counted, C };
}

/**
 * `cross-entropy` (docs/spec.md#cross-entropy): loss [] = mean of −log softmax(logits)[target] over the rows that
 * count; logits [N,C], targets i32[N]; param `ignoreIndex` (default −100) marks rows that do not. No such row: 0, and
 * zero gradients. Throws InputError that names the row of a target outside 0..C−1.
 */
export const crossEntropyReference: Reference = {
  forward(inputs, params) {
    const { counted, C } = countedRows(inputs, params);
    const { logits, targets } = inputs;
    const loss = zeros([]);
    for (const row of counted) {
      const scores = logits.data.subarray(row * C, (row + 1) * C);
      let max = -Infinity;
      for (const score of scores) max = Math.max(max, score);
      let sum = 0;
      for (const score of scores) sum += Math.exp(score - max);
      loss.data[0] += (max + Math.log(sum) - scores[targets.data[row]]) / counted.length;
    }
    return { loss };
  },

  backward(inputs, params, grads) {
    const { counted, C } = countedRows(inputs, params);
    const { logits, targets } = inputs;
    const [gradLoss] = upstream('cross-entropy', grads, 'loss', []);
    const gradLogits = zeros(logits.shape);
    for (const row of counted) {
      const p = softmaxRow(logits.data.subarray(row * C, (row + 1) * C));
      p.forEach((probability, c) => {
        const onTarget = c === targets.data[row] ? 1 : 0;
        gradLogits.data[row * C + c] = ((probability - onTarget) * gradLoss) / counted.length;
      });
    }
    return { grad_logits: gradLogits };
  },
};
