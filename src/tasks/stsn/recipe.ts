/** How an STSN is trained: the numbers that, with the data and the model, decide every bit of the result. */
import { Fields, type Json } from '../../models/config.ts';
import { trainingRecipe, type TrainingRecipe } from '../training/recipe.ts';

export interface Recipe extends TrainingRecipe {
  /** Most negative spans, and pairs without a relation, drawn a sentence. */
  negativeSpans: number;
  negativePairs: number;
}

/** The paper's (SPEC section 3). */
export const defaultRecipe: Readonly<Recipe> = {
  epochs: 20,
  lr: 5e-5,
  batch: 4,
  seed: 0,
  weightDecay: 0.01,
  warmup: 0.1,
  dropout: 0.1,
  clip: 1,
  negativeSpans: 100,
  negativePairs: 100,
};

/**
 * A recipe whose every field is present and in range, its keys in a fixed order.
 * @param what names it in errors
 * @throws InputError naming `what` and the key
 */
export function parseRecipe(json: Json, what: string): Recipe {
  const fields = new Fields(json, what);
  const recipe: Recipe = {
    ...trainingRecipe(fields),
    negativeSpans: fields.integer('negativeSpans', undefined, 0),
    negativePairs: fields.integer('negativePairs', undefined, 0),
  };
  fields.rejectUnknown();
  return recipe;
}
