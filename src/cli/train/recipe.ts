/** The options that set a training's recipe; shared with the demos and the benches. */
import type { CeremRecipe } from '../../tasks/cerem/recipe.ts';
import type { Recipe } from '../../tasks/stsn/recipe.ts';
import type { TrainingRecipe } from '../../tasks/training/recipe.ts';
import type { Arguments, Command } from '../command.ts';

type Options = Command['options'];

/** Those of every model. */
export const recipeOptions: Options = {
  epochs: { value: 'N', doc: 'passes over the data (stsn 20, cerem 10)' },
  lr: {
    value: 'X',
    doc: 'peak learning rate (5e-5; from random weights stsn is better at 5e-4 to 1e-3, and cerem takes 1e-3)',
  },
  batch: { value: 'N', doc: 'sentences, or prompted texts, a step (stsn 4, cerem 32)' },
  seed: { value: 'N', doc: 'seed of weights, order, negatives and dropout (0)' },
  'weight-decay': { value: 'X', doc: 'decoupled decay of all but biases and norms (0.01)' },
  warmup: { value: 'X', doc: 'share of the steps over which the rate warms up (0.1)' },
  dropout: { value: 'X', doc: "on the encoder's output (0.1)" },
  clip: { value: 'X', doc: 'largest gradient norm (1)' },
};

export const stsnRecipeOptions: Options = {
  'negative-spans': { value: 'N', doc: 'stsn: most negative spans a sentence (100)' },
  'negative-pairs': { value: 'N', doc: 'stsn: most pairs without a relation a sentence (100)' },
};

export const ceremRecipeOptions: Options = {
  accumulation: {
    value: 'N',
    doc: 'cerem: parts that a batch goes through the model in, for less memory (1)',
  },
  negatives: {
    value: 'X',
    doc: 'cerem: prompts without an answer, drawn for each text and each subject (1)',
  },
  'freeze-until': {
    value: 'X',
    doc: 'cerem: dev score below which a pretrained encoder learns nothing (0.2; 0: it always learns)',
  },
  'mix-init': { value: 'X', doc: 'cerem: what the weights over the scales start from (1/6)' },
  buckets: { value: 'N', doc: 'cerem: batches sorted by length together (16; 1: no sorting)' },
};

/** What the options say of any model's recipe, `base` where they are silent. */
function commonRecipe(args: Arguments, base: TrainingRecipe): TrainingRecipe {
  const recipe: TrainingRecipe = {
    epochs: args.integer('epochs', base.epochs, 1),
    lr: args.number('lr', base.lr, 0),
    batch: args.integer('batch', base.batch, 1),
    seed: args.integer('seed', base.seed),
    weightDecay: args.number('weight-decay', base.weightDecay, 0),
    warmup: args.number('warmup', base.warmup, 0),
    dropout: args.number('dropout', base.dropout, 0),
    clip: args.number('clip', base.clip, 0),
  };
  if (recipe.dropout >= 1) args.fail(`--dropout must be below 1, got ${recipe.dropout}`);
  if (recipe.clip === 0) args.fail('--clip must be above 0, got 0');
  if (recipe.warmup > 1) args.fail(`--warmup must be at most 1, got ${recipe.warmup}`);
  if (recipe.seed > 0xffffffff) args.fail(`--seed must be below 2^32, got ${recipe.seed}`);
  return recipe;
}

/** The STSN recipe that the options ask for, `base` where they are silent. */
export const stsnRecipe = (args: Arguments, base: Recipe): Recipe => ({
  ...commonRecipe(args, base),
  negativeSpans: args.integer('negative-spans', base.negativeSpans),
  negativePairs: args.integer('negative-pairs', base.negativePairs),
});

/** The CEREM recipe that the options ask for, `base` where they are silent. */
export function ceremRecipe(args: Arguments, base: CeremRecipe): CeremRecipe {
  const recipe: CeremRecipe = {
    ...commonRecipe(args, base),
    accumulation: args.integer('accumulation', base.accumulation, 1),
    negatives: args.number('negatives', base.negatives, 0),
    freezeUntil: args.number('freeze-until', base.freezeUntil, 0),
    mixInit: args.number('mix-init', base.mixInit),
    buckets: args.integer('buckets', base.buckets, 1),
  };
  if (recipe.freezeUntil > 1) args.fail(`--freeze-until must be at most 1, got ${recipe.freezeUntil}`);
  return recipe;
}
