/** The numbers that every model's training has: with the data and the model, they decide every bit of the result. */
import type { Fields } from '../../models/config.ts';

export interface TrainingRecipe {
  epochs: number;
  /** Peak learning rate. */
  lr: number;
  /** Samples a step. */
  batch: number;
  /** Of the order of the samples, the negatives and dropout (and, where they are random, of the weights). */
  seed: number;
  weightDecay: number;
  /** Share of all steps over which the rate warms up. */
  warmup: number;
  /** On the encoder's output. */
  dropout: number;
  /** Largest gradient norm. */
  clip: number;
}

/** Reads the numbers from a recipe's fields. Errors: InputError naming the key that is missing or out of range. */
export function trainingRecipe(fields: Fields): TrainingRecipe {
  const recipe: TrainingRecipe = {
    epochs: fields.integer('epochs'),
    lr: fields.number('lr', undefined, 0),
    batch: fields.integer('batch'),
    seed: fields.integer('seed', undefined, 0),
    weightDecay: fields.number('weightDecay', undefined, 0),
    warmup: fields.number('warmup', undefined, 0, 1),
    dropout: fields.number('dropout', undefined, 0, 1),
    clip: fields.number('clip', undefined, 0),
  };
  if (recipe.seed > 0xffffffff) throw fields.error('seed', 'must be below 2^32', recipe.seed);
  if (recipe.dropout === 1) throw fields.error('dropout', 'must be below 1', recipe.dropout);
  if (recipe.clip === 0) throw fields.error('clip', 'must be above 0', recipe.clip);
  return recipe;
}
