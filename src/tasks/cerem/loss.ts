/** CEREM's training loss: binary cross-entropy of both pointers over the pieces of the texts (SPEC section 3). */
import type { Tensor } from '../../gpu/tensor.ts';
import type { PieceBatch } from '../../models/bert.ts';
import type { Cerem, CeremTraining, Ends } from '../../models/cerem.ts';
import { add, binaryCrossEntropy, hostInts } from '../../ops/index.ts';
import type { PointerTargets } from './batch.ts';

export interface CeremLoss {
  /** The sum of the two. */
  loss: Tensor;
  /** Each one mean over all text pieces of the batch. */
  losses: Ends<Tensor>;
  /** [B, L]. */
  logits: Ends<Tensor>;
}

/** Logits and losses of a batch. */
export function ceremLoss(
  model: Cerem,
  batch: PieceBatch,
  targets: PointerTargets,
  training?: CeremTraining,
): CeremLoss {
  const logits = model.forward(batch, training);
  const shape = [batch.rows, batch.columns];
  const mask = hostInts(targets.mask, shape);
  const losses = {
    start: binaryCrossEntropy(logits.start, hostInts(targets.start, shape), mask),
    end: binaryCrossEntropy(logits.end, hostInts(targets.end, shape), mask),
  };
  return { loss: add(losses.start, losses.end), losses, logits };
}
