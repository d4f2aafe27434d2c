/** How a CEREM is trained: the numbers that, with the data and the model, decide every bit of the result. */
import { Fields, type Json } from '../../models/config.ts';
import { trainingRecipe, type TrainingRecipe } from '../training/recipe.ts';

export interface CeremRecipe extends TrainingRecipe {
  /** Parts that a batch goes through the model in: less memory, and but for dropout the same gradient. */
  accumulation: number;
  /** Prompts without an answer, drawn anew every epoch for each group of prompts (see `sampleTexts`). */
  negatives: number;
  /** The encoder learns nothing until the dev score has passed this; 0: it always learns. */
  freezeUntil: number;
  /** What the weights over W and the scales of a new model start from. */
  mixInit: number;
  /** Batches that are sorted by length together, so that each holds texts of like length; 1: no sorting. */
  buckets: number;
}

/** For random weights, which are never frozen. */
export const defaultCeremRecipe: Readonly<CeremRecipe> = {
  epochs: 10,
  lr: 1e-3,
  batch: 32,
  seed: 0,
  weightDecay: 0.01,
  warmup: 0.1,
  dropout: 0.1,
  clip: 1,
  accumulation: 1,
  negatives: 1,
  freezeUntil: 0,
  mixInit: 1 / 6,
  buckets: 16,
};

/** For a pretrained encoder (SPEC section 3: frozen until dev F1 > 0.2, then thawed). */
export const pretrainedCeremRecipe: Readonly<CeremRecipe> = {
  ...defaultCeremRecipe,
  lr: 5e-5,
  freezeUntil: 0.2,
};

/**
 * A recipe whose every field is present and in range, its keys in a fixed order.
 * @param what names it in errors
 * @throws InputError naming `what` and the key
 */
export function parseCeremRecipe(json: Json, what: string): CeremRecipe {
  const fields = new Fields(json, what);
  const recipe: CeremRecipe = {
    ...trainingRecipe(fields),
    accumulation: fields.integer('accumulation'),
    negatives: fields.number('negatives', undefined, 0),
    freezeUntil: fields.number('freezeUntil', undefined, 0, 1),
    mixInit: fields.number('mixInit'),
    buckets: fields.integer('buckets'),
  };
  fields.rejectUnknown();
  return recipe;
}
