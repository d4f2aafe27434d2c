/** The epochs of a training that shuffles its items. */
import type { Regularisation } from '../../models/regularisation.ts';
import { stream } from '../../nn/random.ts';
import type { Epochs, MicroBatch } from '../definition.ts';
import type { TrainingRecipe } from './recipe.ts';

const ORDER_STREAM = 3;

/**
 * Batches of `recipe.batch` items, each item once an epoch, in an order of the epoch's own.
 * @param make a batch of items that are given by index, and the dropout of its step
 */
export const shuffledEpochs = <B>(
  items: number,
  { batch: size, seed, dropout }: TrainingRecipe,
  make: (chosen: number[], epoch: number, regularisation: Regularisation) => Omit<MicroBatch<B>, 'share'>,
): Pick<Epochs<B>, 'batches' | 'epoch'> => ({
  batches: Math.ceil(items / size),
  epoch(epoch) {
    const order = stream(seed, ORDER_STREAM, epoch).shuffle(Array.from({ length: items }, (_, i) => i));
    return {
      batch: (batch, step) => [
        {
          share: 1,
          ...make(order.slice(batch * size, (batch + 1) * size), epoch, { p: dropout, seed, offset: step }),
        },
      ],
    };
  },
});
