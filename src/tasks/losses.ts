/** What the losses of all models have in common. */
import type { Tensor } from '../gpu/tensor.ts';
import { add, crossEntropy, hostInts, reshape } from '../ops/index.ts';
import type { Losses } from './definition.ts';

/** Target of a row that does not count: PyTorch's ignore_index. */
export const IGNORED = -100;

/** The cross-entropy of logits [B, n, classes] and targets i32[B · n], one mean over those that count. */
export const classLoss = (logits: Tensor, targets: Int32Array): Tensor =>
  crossEntropy(reshape(logits, [targets.length, logits.shape[2]]), hostInts(targets), IGNORED);

/** The losses whose sum is that of the parts that are there, at least one, in their order. */
export function sumOfParts(parts: Losses['parts'], logits: Losses['logits']): Losses {
  const [first, ...rest] = Object.values(parts).filter((part): part is Tensor => part !== undefined);
  return { loss: rest.reduce((sum, part) => add(sum, part), first), parts, logits };
}
