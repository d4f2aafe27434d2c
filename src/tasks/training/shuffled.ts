/** The epochs of a training that shuffles its items. */
import { stream } from '../../nn/random.ts';
import type { Epochs, MicroBatch } from '../definition.ts';
import type { TrainingRecipe } from './recipe.ts';

const ORDER_STREAM = 3;

/**
 * Batches of `recipe.batch` items, each item once an epoch, in an order of the epoch's own.
 * @param make a batch of items that are given by index; `step` counts from 0, over the whole run
 */
export const shuffledEpochs = <B>(
  items: number,
  { batch: size, seed }: TrainingRecipe,
  make: (chosen: number[], epoch: number, step: number) => Omit<MicroBatch<B>, 'share'>,
): Pick<Epochs<B>, 'batches' | 'epoch'> => ({
  batches: Math.ceil(items / size),
  epoch(epoch) {
    const order = stream(seed, ORDER_STREAM, epoch).shuffle(Array.from({ length: items }, (_, i) => i));
    return {
      batch: (batch, step) => [
        { share: 1, ...make(order.slice(batch * size, (batch + 1) * size), epoch, step) },
      ],
    };
  },
});
