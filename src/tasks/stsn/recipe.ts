/** How an STSN is trained: the numbers that, with the data and the model, decide every bit of the result. */
import { Fields, type Json } from '../../models/config.ts';

export interface Recipe {
  epochs: number;
  lr: number;
  batch: number;
  seed: number;
  weightDecay: number;
  /** Share of all steps over which the rate warms up. */
  warmup: number;
  /** On the encoder's output. */
  dropout: number;
  /** Largest gradient norm. */
  clip: number;
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
    epochs: fields.integer('epochs'),
    lr: fields.number('lr', undefined, 0),
    batch: fields.integer('batch'),
    seed: fields.integer('seed', undefined, 0),
    weightDecay: fields.number('weightDecay', undefined, 0),
    warmup: fields.number('warmup', undefined, 0, 1),
    dropout: fields.number('dropout', undefined, 0, 1),
    clip: fields.number('clip', undefined, 0),
    negativeSpans: fields.integer('negativeSpans', undefined, 0),
    negativePairs: fields.integer('negativePairs', undefined, 0),
  };
  fields.rejectUnknown();
  if (recipe.seed > 0xffffffff) throw fields.error('seed', 'must be below 2^32', recipe.seed);
  if (recipe.dropout === 1) throw fields.error('dropout', 'must be below 1', recipe.dropout);
  if (recipe.clip === 0) throw fields.error('clip', 'must be above 0', recipe.clip);
  return recipe;
}
