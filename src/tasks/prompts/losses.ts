/** CEREM's training loss: binary cross-entropy of both pointers over the pieces of the texts (docs/spec.md#cerem). */
import type { HostTensor } from '../../io/safetensors.ts';
import type { PieceBatch } from '../../models/bert.ts';
import type { Cerem } from '../../models/cerem.ts';
import { binaryCrossEntropy, hostInts } from '../../ops/index.ts';
import type { Losses } from '../definition.ts';
import { sumOfParts } from '../losses.ts';
import type { PromptBatch } from './training.ts';

/** Logits [B, L], those of padding exactly 0. */
function withoutPadding(logits: Float32Array, { rows, columns, lengths }: PieceBatch): HostTensor {
  lengths.forEach((length, b) => logits.fill(0, b * columns + length, (b + 1) * columns));
  return { shape: [rows, columns], dtype: 'f32', data: logits };
}

/** Logits [B, L] and losses of a batch; each loss one mean over all text pieces. */
export function promptLosses(model: Cerem, { batch, targets, training }: PromptBatch): Losses {
  const logits = model.forward(batch, training);
  const shape = [batch.rows, batch.columns];
  const mask = hostInts(targets.mask, shape);
  const parts = {
    start: binaryCrossEntropy(logits.start, hostInts(targets.start, shape), mask),
    end: binaryCrossEntropy(logits.end, hostInts(targets.end, shape), mask),
  };
  const onHost = (values: Float32Array): HostTensor => withoutPadding(values, batch);
  return sumOfParts(parts, {
    start_logits: { tensor: logits.start, onHost },
    end_logits: { tensor: logits.end, onHost },
  });
}
