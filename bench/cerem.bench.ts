/** `bench cerem`: what Segment Information Attention is worth, on any corpus of documents, trained here. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../kernels/shared/errors.ts';
import type { Arguments, Command } from '../src/cli/command.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import { ceremRecipe, ceremRecipeOptions, recipeOptions } from '../src/cli/train/recipe.ts';
import { Fields, type Json } from '../src/models/config.ts';
import type { Runtime } from '../src/node.ts';
import { loadCerem, randomCerem } from '../src/tasks/cerem/checkpoint.ts';
import { evaluateCerem } from '../src/tasks/cerem/evaluate.ts';
import { readCorpusFolder } from '../src/tasks/cerem/corpus-folder.ts';
import { parseSchema, type Schema } from '../src/tasks/cerem/schema.ts';
import { completeCeremConfig, smallCerem, vocabularyOf } from '../src/tasks/cerem/setup.ts';
import {
  defaultCeremRecipe,
  trainCerem,
  type CeremRecipe,
  type DocumentCorpus,
} from '../src/tasks/cerem/train.ts';
import { readJsonFile } from '../src/tasks/checkpoint.ts';
import { smallEncoder } from '../src/tasks/small-encoder.ts';
import type { Tokenizer } from '../src/tasks/text/tokenizer.ts';
import { makeDocument, onDevice, ownOptions, parseSeeds } from './harness.ts';
import type { Bench, BenchOptions, BenchRow } from './harness.ts';

/** What differs from the small model: the paper's Table 6 without segments, its own form, and the fused one. */
const variants: Readonly<Record<string, Json>> = {
  'no-sia': { sia: false },
  'per-scale': { projections: 'per-scale' },
  shared: { projections: 'shared' },
};

const { seed: _oneSeed, ...recipeTable } = { ...recipeOptions, ...ceremRecipeOptions };
const optionTable: Command['options'] = {
  ...recipeTable,
  ...{ variants: { value: 'NAME,…', doc: '' }, seeds: { value: 'N,…', doc: '' } },
};

const splitNames = ['train', 'dev', 'test'] as const;
type Corpora = Record<(typeof splitNames)[number], DocumentCorpus>;

interface Setup {
  corpora: Corpora;
  schema: Schema;
  tokenizer: Tokenizer;
  variants: readonly string[];
  seeds: readonly number[];
  recipe: CeremRecipe;
}

/** A file beside the splits: rows of each, and a prompt for each entity type. */
const SUBSET = 'small.json';

/** The rows of a split that `numbers` names, from 0. */
function pick({ documents, file }: DocumentCorpus, numbers: unknown, what: string): DocumentCorpus {
  if (!Array.isArray(numbers)) throw new InputError(`${what} must be a list of row numbers`);
  return {
    file,
    documents: numbers.map((number: unknown) => {
      const document = typeof number === 'number' ? documents[number] : undefined;
      if (!document) throw new InputError(`${what}: ${String(number)} is not a row of ${file}`);
      return document;
    }),
  };
}

/** The splits of a folder and what to ask: by its `small.json`, or whole (see `readCorpusFolder`). */
function readFolder(folder: string): { corpora: Corpora; schema: Schema } {
  const { schema, ...corpora } = readCorpusFolder(folder);
  const subset = join(folder, SUBSET);
  if (!existsSync(subset)) return { corpora, schema };
  const json = readJsonFile(subset, 'subset');
  for (const name of splitNames) corpora[name] = pick(corpora[name], json[name], `${subset}: "${name}"`);
  return { corpora, schema: parseSchema({ entities: new Fields(json, subset).object('prompts') }, subset) };
}

function chooseVariants(given: string | undefined): string[] {
  const names = Object.keys(variants);
  const chosen = given?.split(',') ?? names;
  for (const name of chosen)
    if (!names.includes(name))
      throw new InputError(
        `bench cerem: --variants names "${name}", which is not one of ${names.join(', ')}`,
      );
  return chosen;
}

/** Reads and checks all that the options name; no device is needed. */
function setUp(args: Arguments, { data }: BenchOptions): Setup {
  const { corpora, schema } = readFolder(data ?? join(packageRoot(), 'corpora', 'crops'));
  return {
    ...{ corpora, schema },
    tokenizer: vocabularyOf(corpora.train.documents, schema),
    variants: chooseVariants(args.optional('variants')),
    seeds: parseSeeds('cerem', args.optional('seeds') ?? '1'),
    recipe: ceremRecipe(args, defaultCeremRecipe),
  };
}

/** One training: the best epoch on the development split, scored on the test split. */
async function trainOne(
  runtime: Runtime,
  { corpora, schema, tokenizer, recipe }: Setup,
  variant: string,
  seed: number,
  log: (line: string) => void,
): Promise<BenchRow> {
  const json = { ...smallCerem, encoder: smallEncoder, ...variants[variant] };
  const config = completeCeremConfig(json, variant, tokenizer);
  const out = mkdtempSync(join(tmpdir(), 'spanwise-bench-'));
  try {
    runtime.memory.resetPeak();
    const started = Date.now();
    const model = randomCerem(runtime, config, seed, { constant: recipe.mixInit });
    const parameters = model.parameters.count();
    const { train, dev, test } = corpora;
    const { best, step, steps, seconds, memory } = await trainCerem({
      ...{ model, tokenizer, train, dev, schema, out },
      recipe: { ...recipe, seed },
      onEvent: (event) => {
        if (event.event === 'step') log(`step ${String(event.step)} of ${String(event.steps)}`);
      },
    });
    model.parameters.release();
    const saved = loadCerem(runtime, out);
    const scores = await evaluateCerem(saved.model, saved.tokenizer, test.documents, schema);
    saved.model.parameters.release();
    const { p, r, f1 } = (scores.entity ?? scores.trigger)!.micro;
    const sum = (of: 'macs' | 'flops') => step.forward[of] + step.backward[of] + step.optimizer[of];
    return {
      ...{ variant, seed, f1: 100 * f1, p: 100 * p, r: 100 * r },
      ...(scores.triple ? { tripleF1: 100 * scores.triple.micro.f1 } : {}),
      ...{ bestEpoch: best.epoch, devScore: 100 * (best.score ?? 0), parameters },
      ...{ macs: sum('macs'), flops: sum('flops'), peakBytes: memory.peakBytes },
      ...{ seconds, totalSeconds: (Date.now() - started) / 1000, steps },
    };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

export const ceremBench: Bench = {
  doc: 'a small CEREM without segments, with a scale each its projections, and with shared ones, trained and scored',
  heeds: ['data'],
  run: (options) => {
    const setup = setUp(ownOptions('cerem', options.args, optionTable), options);
    return onDevice(async (runtime) => {
      const rows: BenchRow[] = [];
      for (const seed of setup.seeds)
        for (const variant of setup.variants)
          rows.push(
            await trainOne(runtime, setup, variant, seed, (line) =>
              options.log(`${variant}, seed ${seed}: ${line}`),
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
