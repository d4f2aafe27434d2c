/** Recipes: their order in saved runs, which decides whether those can be resumed, and what is wrong with a number. */
import test from 'tape';
import { cerem } from '../../../src/tasks/prompts/cerem.ts';
import { definitions } from '../../../src/tasks/registry.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import { complaint, defaultRecipe, parseRecipe, recipeOf } from '../../../src/tasks/training/recipe.ts';
import { freshState } from '../../../src/tasks/training/state.ts';

const common = ['epochs', 'lr', 'batch', 'seed', 'weightDecay', 'warmup', 'dropout', 'clip'];

test('the keys of saved runs, in the order of version 0.1.0', (t) => {
  t.deepEqual(Object.keys(stsn.recipe), [...common, 'negativeSpans', 'negativePairs']);
  t.deepEqual(Object.keys(cerem.recipe), [
    ...common,
    ...['accumulation', 'negatives', 'freezeUntil', 'mixInit', 'buckets'],
  ]);
  const data = { train: '', dev: '', model: '' };
  for (const [state, parts, counted] of [
    [
      freshState(stsn, defaultRecipe(stsn.recipe), data),
      ['tag', 'span', 'relation'],
      ['positiveSpans', 'negativeSpans', 'positivePairs', 'negativePairs'],
    ],
    [freshState(cerem, defaultRecipe(cerem.recipe), data), ['start', 'end'], ['positives', 'negatives']],
  ] as const) {
    t.deepEqual(Object.keys(state), [
      ...[
        'recipe',
        'data',
        'epoch',
        'batch',
        'best',
        'bestEpoch',
        'risenEpoch',
        'logBytes',
        'sums',
        'counts',
      ],
    ]);
    t.deepEqual(Object.keys(state.sums), ['loss', ...parts, 'gradNorm']);
    t.deepEqual(Object.keys(state.counts), counted);
  }
  t.end();
});

test('the defaults of every definition are in range, and come back from any order', (t) => {
  for (const { name, recipe } of definitions) {
    const whole = defaultRecipe(recipe);
    const reversed = Object.fromEntries(Object.entries(whole).reverse());
    t.equal(JSON.stringify(parseRecipe(recipe, reversed, 'r')), JSON.stringify(whole), name);
    t.deepEqual(Object.keys(recipe).slice(0, common.length), common);
  }
  t.deepEqual(
    recipeOf(stsn.recipe, (key) => (key === 'lr' ? 1 : undefined), { lr: 2, batch: 3 }),
    { ...defaultRecipe(stsn.recipe), lr: 1, batch: 3 },
    'what is given, then the base, then the default',
  );
  t.end();
});

test('what is wrong with a number', (t) => {
  const cases: [unknown, Parameters<typeof complaint>[1], string | undefined][] = [
    [1, { doc: '', integer: true, min: 1 }, undefined],
    [0, { doc: '', integer: true, min: 1 }, 'must be a whole number of at least 1'],
    [1.5, { doc: '', integer: true, min: 1 }, 'must be a whole number of at least 1'],
    ['1', { doc: '', min: 0 }, 'must be a number of at least 0'],
    [undefined, { doc: '' }, 'must be a number'],
    [Infinity, { doc: '', min: 0 }, 'must be a number of at least 0'],
    [2, { doc: '', min: 0, max: 1 }, 'must be at most 1'],
    [0, { doc: '', above: 0 }, 'must be above 0'],
    [1, { doc: '', below: 1 }, 'must be below 1'],
    [2 ** 32, { doc: '', integer: true, min: 0, below: 2 ** 32 }, 'must be below 2^32'],
  ];
  for (const [value, field, expected] of cases) t.equal(complaint(value, field), expected);
  t.end();
});
