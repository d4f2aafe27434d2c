/** What the losses of all models have in common. */
import type { Tensor } from '../gpu/tensor.ts';
import { add } from '../ops/index.ts';
import type { Losses } from './definition.ts';

/** Target of a row that does not count: PyTorch's ignore_index. */
export const IGNORED = -100;

/** The losses whose sum is that of the parts that are there, at least one, in their order. */
export function sumOfParts(parts: Losses['parts'], logits: Losses['logits']): Losses {
  const [first, ...rest] = Object.values(parts).filter((part): part is Tensor => part !== undefined);
  return { loss: rest.reduce((sum, part) => add(sum, part), first), parts, logits };
}
