/**
 * How a model is trained: the numbers that, with the data and the model, decide every bit of the result. A table of fields
 * gives a recipe's keys and their order in a saved run, its defaults, its ranges, the command line's flags and their help.
 */
import { InputError } from '../../../kernels/errors.ts';
import { Fields, type Json } from '../../models/config.ts';

export interface NumberField {
  doc: string;
  /** What it is where nothing is said; a function where that follows from the fields before it. */
  default: number | ((recipe: TrainingRecipe) => number);
  integer?: true;
  min?: number;
  max?: number;
  /** Strict bounds. */
  above?: number;
  below?: number;
}

/** In the order of a saved recipe's keys. */
export type RecipeTable<R> = { readonly [K in keyof R]-?: NumberField };

/** The numbers that every model's training has. */
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

/** The fields of every model, with a model's own `epochs`, `lr` and `batch`. */
export const commonRecipe = (
  own: Pick<TrainingRecipe, 'epochs' | 'lr' | 'batch'>,
): RecipeTable<TrainingRecipe> => ({
  epochs: { doc: 'passes over the data', default: own.epochs, integer: true, min: 1 },
  lr: { doc: 'peak learning rate', default: own.lr, min: 0 },
  batch: { doc: 'samples a step', default: own.batch, integer: true, min: 1 },
  seed: {
    doc: 'seed of weights, order, negatives and dropout',
    default: 0,
    integer: true,
    min: 0,
    below: 2 ** 32,
  },
  weightDecay: { doc: 'decoupled decay of all but biases and norms', default: 0.01, min: 0 },
  warmup: { doc: 'share of the steps over which the rate warms up', default: 0.1, min: 0, max: 1 },
  dropout: { doc: "on the encoder's output", default: 0.1, min: 0, below: 1 },
  clip: { doc: 'largest gradient norm', default: 1, above: 0 },
});

/** What is wrong with a number, in words, or undefined. */
export function complaint(value: unknown, field: Omit<NumberField, 'default'>): string | undefined {
  const { integer, min, max, above, below } = field;
  if (typeof value !== 'number' || !(integer ? Number.isSafeInteger(value) : Number.isFinite(value)))
    return `must be ${integer ? 'a whole number' : 'a number'}${min === undefined ? '' : ` of at least ${min}`}`;
  if (min !== undefined && value < min)
    return `must be ${integer ? 'a whole number' : 'a number'} of at least ${min}`;
  if (max !== undefined && value > max) return `must be at most ${max}`;
  if (above !== undefined && value <= above) return `must be above ${above}`;
  if (below !== undefined && value >= below)
    return `must be below ${below === 2 ** 32 ? '2^32' : String(below)}`;
  return undefined;
}

/**
 * A complete recipe, its keys in the table's order: what `given` says, else what `base` says, else the default.
 * @param given by key; undefined where it is silent
 */
export function recipeOf<R extends TrainingRecipe>(
  table: RecipeTable<R>,
  given: (key: keyof R & string) => number | undefined,
  base: Partial<R> = {},
): R {
  const recipe: Partial<R> = {};
  for (const key of Object.keys(table) as (keyof R & string)[]) {
    const { default: fallback } = table[key];
    const value =
      given(key) ??
      base[key] ??
      (typeof fallback === 'function' ? fallback(recipe as TrainingRecipe) : fallback);
    recipe[key] = value as R[typeof key];
  }
  return recipe as R;
}

/** Errors: InputError naming a key that no recipe of the table has. */
export function checkKeys<R>(table: RecipeTable<R>, given: object = {}): void {
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(table, key));
  if (unknown !== undefined)
    throw new InputError(`recipe: unknown key "${unknown}" (known: ${Object.keys(table).join(', ')})`);
}

/** The recipe of the defaults. */
export const defaultRecipe = <R extends TrainingRecipe>(table: RecipeTable<R>, base: Partial<R> = {}): R =>
  recipeOf(table, () => undefined, base);

/**
 * A recipe whose every field is present and in range, its keys in the table's order.
 * @param what names it in errors
 * @throws InputError naming `what` and the key that is missing, unknown or out of range
 */
export function parseRecipe<R extends TrainingRecipe>(table: RecipeTable<R>, json: Json, what: string): R {
  const fields = new Fields(json, what);
  const recipe = recipeOf(table, (key) => {
    const value = fields.value(key);
    const problem = complaint(value, table[key]);
    if (problem) throw fields.error(key, problem, value);
    return value as number;
  });
  fields.rejectUnknown();
  return recipe;
}
