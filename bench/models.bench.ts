/** `bench models`: the registry's systems side by side on one corpus, with the same encoder, seeds and epochs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../kernels/errors.ts';
import type { Arguments, Command } from '../src/cli/command.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import { givenRecipe, recipeOptions } from '../src/cli/tables.ts';
import type { Json } from '../src/models/config.ts';
import { loadModel, type Runtime } from '../src/node.ts';
import { readEncoder } from '../src/tasks/checkpoint.ts';
import { corpusExtra, readSplits, type Splits } from '../src/tasks/corpus-file.ts';
import type { Corpus, Definition, Evaluated } from '../src/tasks/definition.ts';
import { encoderSource } from '../src/tasks/folder.ts';
import type { LoadedModel } from '../src/tasks/model.ts';
import { definitions } from '../src/tasks/registry.ts';
import { f1Scores } from '../src/tasks/training/run.ts';
import { planTraining, type Planned } from '../src/tasks/training/train.ts';
import { makeDocument, onDevice, ownOptions, parseSeeds } from './harness.ts';
import type { Bench, BenchOptions, BenchRow } from './harness.ts';
import { trainInto } from './training.ts';

/** From random weights: high rate, few epochs, so that all systems end within a quarter of an hour on two cores. */
const RECIPE = { epochs: 6, lr: 1e-3, batch: 8 };
const FULL_EPOCHS = 20;
const FULL_SEEDS = '1,2,3';

const { seed: _oneSeed, ...recipeTable } = recipeOptions();
const optionTable: Command['options'] = {
  ...recipeTable,
  ...{ only: { value: 'NAME,…', doc: '' }, seeds: { value: 'N,…', doc: '' } },
  encoder: { value: 'DIR', doc: '' },
};

/** A model, or one of the models that a system has: what of its configuration makes it that one. */
interface Part {
  variant: string;
  overrides: Json;
}

interface System {
  definition: Definition;
  parts: readonly Part[];
  scored: Corpus;
  /** By seed, a training of each part. */
  plans: readonly { seed: number; planned: readonly Planned[] }[];
}

interface Setup {
  systems: readonly System[];
  seeds: readonly number[];
  /** A line for each definition that cannot read the corpus. */
  notes: readonly string[];
  recipe: Json;
  encoder: string;
}

/** The models that a system's demo trains, by what sets them apart: its stages, or the whole and one that lacks a paper's part. */
function partsOf({ demo }: Definition): Part[] {
  const configs = demo?.variants.map(({ config }) => config) ?? [];
  const alike = (key: string) => new Set(configs.map((config) => JSON.stringify(config[key]))).size === 1;
  return configs.length > 1
    ? demo!.variants.map(({ name, config }) => ({
        variant: name,
        overrides: Object.fromEntries(Object.entries(config).filter(([key]) => !alike(key))),
      }))
    : [{ variant: 'small', overrides: {} }];
}

function choose(only: string | undefined): readonly Definition[] {
  if (only === undefined) return definitions;
  return only.split(',').map((name) => {
    const found = definitions.find((definition) => definition.name === name);
    if (!found)
      throw new InputError(
        `bench models: --only names "${name}", which is not one of ${definitions.map((d) => d.name).join(', ')}`,
      );
    return found;
  });
}

/** Reads and checks all that the options name; no device is needed. */
async function setUp(args: Arguments, { data, full }: BenchOptions): Promise<Setup> {
  const folder = data ?? join(packageRoot(), 'corpora', 'expeditions');
  const chosen = choose(args.optional('only'));
  const seeds = parseSeeds('models', args.optional('seeds') ?? (full ? FULL_SEEDS : '1'));
  const path = args.optional('encoder');
  const encoder = path === undefined ? undefined : await readEncoder(encoderSource(path), path);
  const common = { ...(encoder ? {} : RECIPE), ...(full && { epochs: FULL_EPOCHS }) };
  const refused: InputError[] = [];
  const systems = chosen.flatMap((definition): System[] => {
    let splits: Splits<Corpus> & { train: Corpus };
    try {
      splits = readSplits(definition, folder, ['train']);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      refused.push(error);
      return [];
    }
    const { train, dev, test } = splits;
    const scored = test ?? dev;
    if (!scored) throw new InputError(`${folder}: has neither a test nor a development split`);
    const extra = corpusExtra(definition, folder, train);
    const given = givenRecipe(args, definition);
    const parts = partsOf(definition);
    const plans = seeds.map((seed) => ({
      seed,
      planned: parts.map(({ overrides }) =>
        planTraining(definition, {
          ...{ train, dev, extra, encoder, overrides },
          recipe: { ...common, ...given, seed },
        }),
      ),
    }));
    for (const { config } of plans[0].planned) definition.check(scored, config, 'scored');
    return [{ definition, parts, scored, plans }];
  });
  if (systems.length === 0) throw refused[0];
  const left = chosen.filter((definition) => !systems.some((system) => system.definition === definition));
  return {
    ...{ systems, seeds, encoder: encoder?.path ?? 'random weights' },
    notes: left.map(({ name }, i) => `${name} is left out: ${refused[i].message}`),
    recipe: Object.fromEntries(
      systems.map(({ definition, plans }) => {
        const { seed: _seed, ...recipe } = plans[0].planned[0].recipe;
        return [definition.name, recipe];
      }),
    ),
  };
}

interface Costs {
  parameters: number;
  forwardFlops: number;
  stepFlops: number;
  stepMacs: number;
  peakBytes: number;
  seconds: number;
  steps: number;
}

/** A training of one part into a folder: its cost. */
async function train(
  runtime: Runtime,
  planned: Planned,
  folder: string,
  log: (line: string) => void,
): Promise<Costs> {
  const { parameters, report } = await trainInto(runtime, planned, folder, log);
  const { step, memory, seconds, steps } = report;
  const sum = (of: 'macs' | 'flops') => step.forward[of] + step.backward[of] + step.optimizer[of];
  return {
    ...{ parameters, forwardFlops: step.forward.flops, stepFlops: sum('flops'), stepMacs: sum('macs') },
    ...{ peakBytes: memory.peakBytes, seconds, steps },
  };
}

/** What a system of several models costs: they are trained one after the other. */
const together = (costs: readonly Costs[]): Costs => {
  const sum = (of: keyof Costs) => costs.reduce((total, cost) => total + cost[of], 0);
  return {
    ...{ parameters: sum('parameters'), forwardFlops: sum('forwardFlops') },
    ...{ stepFlops: sum('stepFlops'), stepMacs: sum('stepMacs') },
    ...{ peakBytes: Math.max(...costs.map(({ peakBytes }) => peakBytes)) },
    ...{ seconds: sum('seconds'), steps: sum('steps') },
  };
};

/** The F1 scores in percent, and the work of reading a sentence. */
async function score(
  runtime: Runtime,
  { definition, scored }: System,
  model: LoadedModel,
  options?: object,
): Promise<BenchRow> {
  runtime.meter.reset();
  const evaluation: Evaluated = await model.evaluate(scored, options);
  const { flops } = runtime.meter.total();
  const scores = Object.entries(f1Scores(definition, evaluation)).map(([name, f1]) => [name, 100 * f1]);
  return {
    ...(Object.fromEntries(scores) as Record<string, number>),
    sentenceFlops: Math.round(flops / definition.texts(scored).length),
  };
}

/** The rows of a system and a seed: one for each part, and one for all parts together. */
async function runSystem(
  runtime: Runtime,
  system: System,
  { seed, planned }: System['plans'][number],
  log: (line: string) => void,
): Promise<BenchRow[]> {
  const { definition, parts } = system;
  const root = mkdtempSync(join(tmpdir(), 'spanwise-bench-'));
  const models: LoadedModel[] = [];
  try {
    const folders = parts.map((_, i) => join(root, String(i)));
    const costs: Costs[] = [];
    // Before any is loaded: none weighs in the peak of another.
    for (const [i, plan] of planned.entries())
      costs.push(
        await train(runtime, plan, folders[i], (line) =>
          log(`${definition.name} ${parts[i].variant}, seed ${seed}: ${line}`),
        ),
      );
    for (const folder of folders) models.push(await loadModel(runtime, folder, definition));
    const row = async (variant: string, model: LoadedModel, cost: Costs, options?: object) => ({
      ...{ model: definition.name, variant, seed },
      ...(await score(runtime, system, model, options)),
      ...cost,
    });
    const rows: BenchRow[] = [];
    for (const [i, { variant }] of parts.entries()) rows.push(await row(variant, models[i], costs[i]));
    if (definition.demo?.stages)
      rows.push(await row('together', models[0], together(costs), definition.demo.stages(models)));
    return rows;
  } finally {
    for (const model of models) model.release();
    rmSync(root, { recursive: true, force: true });
  }
}

/** Of the rows of one model and variant, one for each seed: the mean scores, and how far apart they lie. */
function meanRow(rows: readonly BenchRow[], scores: readonly string[]): BenchRow {
  const [{ model, variant }] = rows;
  const found = scores.filter((name) => rows[0][name] !== undefined);
  const entries = [...found, 'seconds'].flatMap((name): [string, number][] => {
    const values = rows.map((row) => Number(row[name]));
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return [
      [name, mean],
      [`${name}Spread`, Math.max(...values) - Math.min(...values)],
    ];
  });
  return { model, variant, seed: 'mean', ...Object.fromEntries(entries) };
}

export const modelsBench: Bench = {
  doc: 'all systems trained side by side on one corpus: F1, FLOPs, memory, time (default: a quarter of an hour)',
  readsData: true,
  run: async (options) => {
    const args = ownOptions('models', options.args, optionTable);
    const setup = await setUp(args, options);
    for (const note of setup.notes) options.log(note);
    return onDevice(async (runtime) => {
      const rows: BenchRow[] = [];
      for (const system of setup.systems) {
        const own: BenchRow[][] = [];
        for (const plan of system.plans) own.push(await runSystem(runtime, system, plan, options.log));
        rows.push(...own.flat());
        if (own.length > 1)
          rows.push(
            ...own[0].map((_, i) =>
              meanRow(
                own.map((seedRows) => seedRows[i]),
                Object.keys(system.definition.scores),
              ),
            ),
          );
      }
      const { seeds, notes, recipe, encoder } = setup;
      return makeDocument('models', runtime, rows, [], { seeds, notes, recipe, encoder });
    });
  },
};
