/** `bench cerem`: what Segment Information Attention is worth, on any corpus of documents, trained here. */
import { join } from 'node:path';
import { InputError } from '../kernels/errors.ts';
import type { Arguments, Command } from '../src/cli/command.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import { givenRecipe, recipeOptions } from '../src/cli/tables.ts';
import type { Json } from '../src/models/config.ts';
import type { Runtime } from '../src/node.ts';
import { smallEncoder } from '../src/tasks/small-encoder.ts';
import { cerem } from '../src/tasks/prompts/cerem.ts';
import type { CeremRecipe } from '../src/tasks/prompts/training.ts';
import { defaultRecipe } from '../src/tasks/training/recipe.ts';
import { planTraining } from '../src/tasks/training/train.ts';
import { readBenchCorpus, splitNames, type BenchCorpus } from './cerem.corpus.ts';
import { makeDocument, onDevice, ownOptions, parseSeeds } from './harness.ts';
import type { Bench, BenchOptions, BenchRow } from './harness.ts';
import { trainAndScore } from './training.ts';

/** What differs from the small model: the paper's Table 6 without segments, its own form, and the fused one's mixes. */
const variants: Readonly<Record<string, Json>> = {
  'no-sia': { sia: false },
  'per-scale': { projections: 'per-scale' },
  shared: { projections: 'shared' },
  'per-head': { projections: 'shared', mix: 'per-head' },
  gated: { projections: 'shared', mix: 'gated' },
};
const DEFAULT_VARIANTS = 'no-sia,per-scale,shared';
const DEFAULT_WINDOW = 6;

const { seed: _oneSeed, ...recipeTable } = recipeOptions([cerem]);
const optionTable: Command['options'] = {
  ...recipeTable,
  ...{ variants: { value: 'NAME,…', doc: '' }, seeds: { value: 'N,…', doc: '' } },
  ...{
    windows: { value: 'N,…', doc: '' },
    relations: { value: 'NAME,…', doc: '' },
    longest: { value: 'N', doc: '' },
    rows: { value: 'N', doc: '' },
  },
};

interface Setup extends BenchCorpus {
  variants: readonly string[];
  seeds: readonly number[];
  /** Longest scales: 6 stands for 2 … 6 (the paper's Table 8). */
  windows: readonly number[];
  recipe: CeremRecipe;
}

function chooseVariants(given: string | undefined): string[] {
  const names = Object.keys(variants);
  const chosen = (given ?? DEFAULT_VARIANTS).split(',');
  for (const name of chosen)
    if (!names.includes(name))
      throw new InputError(
        `bench cerem: --variants names "${name}", which is not one of ${names.join(', ')}`,
      );
  return chosen;
}

function chooseWindows(given: string | undefined): number[] {
  const windows = given === undefined ? [DEFAULT_WINDOW] : given.split(',').map(Number);
  for (const window of windows)
    if (!Number.isInteger(window) || window < 2)
      throw new InputError(`bench cerem: --windows must be whole numbers of at least 2, got "${given}"`);
  return windows;
}

/** Reads and checks all that the options name; no device is needed. */
function setUp(args: Arguments, { data }: BenchOptions): Setup {
  const { corpora, schema } = readBenchCorpus(data ?? join(packageRoot(), 'corpora', 'crops'), {
    relations: args.optional('relations')?.split(','),
    longest: args.integer('longest', Number.MAX_SAFE_INTEGER, 1),
    rows: args.integer('rows', Number.MAX_SAFE_INTEGER, 1),
  });
  return {
    ...{ corpora, schema },
    variants: chooseVariants(args.optional('variants')),
    seeds: parseSeeds('cerem', args.optional('seeds') ?? '1'),
    windows: chooseWindows(args.optional('windows')),
    recipe: { ...defaultRecipe(cerem.recipe), ...givenRecipe(args, cerem) },
  };
}

/** One training: the best epoch on the development split, scored on the test split. */
async function trainOne(
  runtime: Runtime,
  { corpora, schema, recipe }: Setup,
  variant: string,
  window: number,
  seed: number,
  log: (line: string) => void,
): Promise<BenchRow> {
  const scales = Array.from({ length: window - 1 }, (_, i) => i + 2);
  const config = { ...cerem.small, scales, encoder: smallEncoder, ...variants[variant] };
  const { train, dev, test } = corpora;
  const planned = planTraining(cerem, {
    ...{ train, dev, extra: schema, config, configName: variant },
    recipe: { ...recipe, seed },
  });
  const started = Date.now();
  const { evaluation, parameters, report } = await trainAndScore(runtime, planned, test, log);
  const { best, step, steps, seconds, memory } = report;
  const { p, r, f1 } = (evaluation.entity ?? evaluation.trigger)!.micro;
  const sum = (of: 'macs' | 'flops') => step.forward[of] + step.backward[of] + step.optimizer[of];
  return {
    ...{ variant, ...(planned.config.sia ? { scales } : {}), seed, f1: 100 * f1, p: 100 * p, r: 100 * r },
    ...(evaluation.triple ? { tripleF1: 100 * evaluation.triple.micro.f1 } : {}),
    ...{ bestEpoch: best.epoch, devScore: 100 * (best.score ?? 0), parameters },
    ...{ macs: sum('macs'), flops: sum('flops'), peakBytes: memory.peakBytes },
    ...{ seconds, totalSeconds: (Date.now() - started) / 1000, steps },
  };
}

export const ceremBench: Bench = {
  doc: 'a small CEREM without segments, with a scale each its projections, and with shared ones, trained and scored',
  readsData: true,
  run: (options) => {
    const setup = setUp(ownOptions('cerem', options.args, optionTable), options);
    return onDevice(async (runtime) => {
      const rows: BenchRow[] = [];
      for (const seed of setup.seeds)
        for (const variant of setup.variants)
          for (const window of variants[variant].sia === false ? [DEFAULT_WINDOW] : setup.windows)
            rows.push(
              await trainOne(runtime, setup, variant, window, seed, (line) =>
                options.log(`${variant}, scales to ${window}, seed ${seed}: ${line}`),
              ),
            );
      const { seed: _first, ...recipe } = setup.recipe;
      const documents = Object.fromEntries(
        splitNames.map((name) => [name, setup.corpora[name].documents.length]),
      );
      return makeDocument('cerem', runtime, rows, [], { recipe, documents });
    });
  },
};
