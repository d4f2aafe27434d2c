/** `bench stsn`: the ablations of the STSN paper's Tables 4 and 5 on any corpus, trained here. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../kernels/errors.ts';
import { recipeOptions, stsnRecipe, stsnRecipeOptions } from '../src/cli/train/recipe.ts';
import type { Arguments, Command } from '../src/cli/command.ts';
import type { MemoryReport } from '../src/gpu/memory.ts';
import type { Json } from '../src/models/config.ts';
import type { Stsn, StsnConfig } from '../src/models/stsn.ts';
import type { Runtime } from '../src/node.ts';
import { record } from '../src/ops/index.ts';
import { AdamW, clipGradNorm } from '../src/optim/index.ts';
import { checkLabels } from '../src/tasks/dataset.ts';
import type { Evaluation } from '../src/tasks/stsn/evaluate.ts';
import { allSamples, joinSamples } from '../src/tasks/sampling.ts';
import { encodeSentence, makeBatch } from '../src/tasks/stsn/batch.ts';
import { readEncoder, readJsonFile, type PretrainedEncoder } from '../src/tasks/checkpoint.ts';
import { loadStsn, randomStsn, stsnFromEncoder } from '../src/tasks/stsn/checkpoint.ts';
import { stsnLoss } from '../src/tasks/stsn/loss.ts';
import { smallEncoder } from '../src/tasks/small-encoder.ts';
import { completeConfig, smallStsn, vocabularyOf } from '../src/tasks/stsn/setup.ts';
import { defaultRecipe, evaluateStsn, trainStsn, type Corpus, type Recipe } from '../src/tasks/stsn/train.ts';
import { loadTokenizer } from '../src/tasks/text/load.ts';
import type { Tokenizer } from '../src/tasks/text/tokenizer.ts';
import { describeCorpus, readSplits, type Splits } from './corpus.ts';
import { makeDocument, onDevice, ownOptions, parseSeeds } from './harness.ts';
import type { Bench, BenchCheck, BenchOptions, BenchRow } from './harness.ts';

interface Variant {
  name: string;
  /** The row of the paper's Table 5 or 4. */
  paper: string;
  /** What differs from the whole model. */
  change: Json;
  full?: boolean;
}

/** The whole model has three layers unless `--config` says otherwise. */
const variants: readonly Variant[] = [
  { name: 'full', paper: 'STSN', change: {} },
  { name: 'no-label', paper: 'w/o Label', change: { label: false } },
  { name: 'ner-to-re', paper: 'w/o Bi-Interaction†', change: { interaction: 'ner-to-re' } },
  { name: 're-to-ner', paper: 'w/o Bi-Interaction‡', change: { interaction: 're-to-ner' } },
  { name: 'no-interaction', paper: 'w/o Interaction', change: { interaction: 'none' } },
  ...[1, 2, 3, 4, 5, 6].map((layers) => ({
    name: `layers-${layers}`,
    paper: `${layers} AttentionLayer${layers > 1 ? 's' : ''}`,
    change: { layers },
    full: layers > 4,
  })),
];

/** From random weights: a small model, a high rate, few epochs, so that eight trainings end within ten minutes. */
const randomRecipe: Recipe = { ...defaultRecipe, epochs: 6, lr: 1e-3, batch: 8 };
const FULL_EPOCHS = 20;
const FULL_SEEDS = '1,2,3';

const { seed: _oneSeed, ...recipeTable } = { ...recipeOptions, ...stsnRecipeOptions };
const optionTable: Command['options'] = {
  ...recipeTable,
  ...{ only: { value: 'NAME,…', doc: '' }, seeds: { value: 'N,…', doc: '' } },
  ...{ encoder: { value: 'DIR', doc: '' }, vocab: { value: 'F', doc: '' }, config: { value: 'F', doc: '' } },
};

interface Setup {
  splits: Splits;
  /** What is scored: the test split, the development split where there is none. */
  scored: Corpus;
  variants: readonly Variant[];
  seeds: readonly number[];
  recipe: Recipe;
  tokenizer: Tokenizer;
  encoder: PretrainedEncoder | undefined;
  /** Whether the whole model has the demo's sizes. */
  small: boolean;
  configOf(change: Json): StsnConfig;
}

function chooseVariants(only: string | undefined, full: boolean, whole: StsnConfig): Variant[] {
  if (only === undefined)
    return variants.filter((v) => (full || !v.full) && v.change.layers !== whole.layers);
  return only.split(',').map((name) => {
    const found = variants.find((variant) => variant.name === name);
    if (!found)
      throw new InputError(
        `bench stsn: --only names "${name}", which is not one of ${variants.map((v) => v.name).join(', ')}`,
      );
    return found;
  });
}

/** Reads and checks all that the options name; no device is needed. */
function setUp(args: Arguments, { data, full }: BenchOptions): Setup {
  const splits = readSplits(data);
  const { train, dev, test } = splits;
  const scored = test ?? dev;
  if (!scored) throw new InputError(`${data ?? 'the corpus'}: has neither a test nor a development split`);
  const [folder, vocab, file] = ['encoder', 'vocab', 'config'].map((name) => args.optional(name));
  if (folder !== undefined && vocab !== undefined)
    args.fail('--vocab does not go with --encoder, which has its own');
  const encoder = folder === undefined ? undefined : readEncoder(folder);
  const tokenizer =
    encoder?.tokenizer ?? (vocab === undefined ? vocabularyOf(train.sentences) : loadTokenizer(vocab));
  const given = file === undefined ? {} : readJsonFile(file, 'config');
  const base: Json = encoder
    ? { encoder: encoder.json }
    : { ...(file === undefined ? { ...smallStsn, layers: 3 } : {}), encoder: smallEncoder };
  const configOf = (change: Json) =>
    completeConfig({ ...base, ...given, ...change }, file ?? 'config', train.sentences, tokenizer);
  for (const corpus of [dev, test]) if (corpus) checkLabels(corpus.sentences, configOf({}), corpus.file);
  const recipe = encoder ? defaultRecipe : randomRecipe;
  return {
    ...{ splits, scored, tokenizer, encoder, configOf },
    variants: chooseVariants(args.optional('only'), full, configOf({})),
    small: encoder === undefined && file === undefined,
    seeds: parseSeeds('stsn', args.optional('seeds') ?? (full ? FULL_SEEDS : '1')),
    recipe: stsnRecipe(args, full ? { ...recipe, epochs: FULL_EPOCHS } : recipe),
  };
}

interface StepCost {
  forwardMacs: number;
  forwardFlops: number;
  stepMacs: number;
  stepFlops: number;
}

/**
 * The work of a forward pass with its losses, and of a training step, on the first `batch` sentences of what is scored
 * with all their spans and pairs: the same for every variant. The step's rate is 0, so the weights stay.
 */
async function stepCost(model: Stsn, { scored, recipe, tokenizer }: Setup): Promise<StepCost> {
  const { config, parameters } = model;
  const { runtime } = parameters;
  const sentences = scored.sentences.slice(0, recipe.batch);
  const encoded = sentences.map((s, i) =>
    encodeSentence(s.tokens, tokenizer, config, `${scored.file}: row ${i + 1}`),
  );
  const samples = joinSamples(sentences.map((s) => allSamples(s, config)));
  const optimizer = new AdamW(parameters, { lr: 0 });
  runtime.meter.reset();
  await runtime.scope(async () => {
    const batch = makeBatch(encoded, tokenizer.padId);
    const { result, tape } = await record(runtime, () => stsnLoss(model, batch, sentences, samples));
    tape.backward(result.loss);
    optimizer.step(0, clipGradNorm(parameters, recipe.clip).scale);
    await runtime.finish();
  });
  optimizer.release();
  parameters.zeroGrad();
  const [forward, step] = [runtime.meter.total('forward'), runtime.meter.total()];
  return {
    ...{ forwardMacs: forward.macs, forwardFlops: forward.flops },
    ...{ stepMacs: step.macs, stepFlops: step.flops },
  };
}

interface Trained {
  evaluation: Evaluation;
  cost: StepCost;
  parameters: number;
  memory: MemoryReport;
  seconds: number;
  steps: number;
  submitsPerStep: number;
}

/** One training: the best epoch on the development split (the last without one), scored. */
async function trainOne(
  runtime: Runtime,
  setup: Setup,
  config: StsnConfig,
  seed: number,
  log: (line: string) => void,
): Promise<Trained> {
  const { encoder, tokenizer, splits, scored, recipe } = setup;
  const model = encoder ? stsnFromEncoder(runtime, config, encoder, seed) : randomStsn(runtime, config, seed);
  const parameters = model.parameters.count();
  const out = mkdtempSync(join(tmpdir(), 'spanwise-bench-'));
  try {
    const cost = await stepCost(model, setup);
    runtime.memory.resetPeak();
    const report = await trainStsn({
      ...{ model, tokenizer, train: splits.train, dev: splits.dev, out },
      recipe: { ...recipe, seed },
      onEvent: (event) => {
        if (event.event === 'step') log(`step ${String(event.step)} of ${String(event.steps)}`);
      },
    });
    model.parameters.release();
    const best = loadStsn(runtime, out);
    const evaluation = await evaluateStsn(best.model, best.tokenizer, scored);
    best.model.parameters.release();
    const { memory, seconds, steps, submitsPerStep } = report;
    return { evaluation, cost, parameters, memory, seconds, steps, submitsPerStep };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

function rowOf({ name, paper }: Variant, config: StsnConfig, runs: readonly Trained[]): BenchRow {
  const f1 = (of: 'ner' | 're' | 'rePlus') => runs.map(({ evaluation }) => 100 * evaluation[of].micro.f1);
  const scores = { ner: f1('ner'), re: f1('re'), rePlus: f1('rePlus') };
  const [{ parameters, cost, memory, steps, submitsPerStep }] = runs;
  return {
    variant: name,
    paper,
    layers: config.label ? config.layers : 0,
    ner: mean(scores.ner),
    re: mean(scores.re),
    rePlus: mean(scores.rePlus),
    parameters,
    ...cost,
    peakBytes: memory.peakBytes,
    steps,
    submitsPerStep,
    seconds: mean(runs.map((run) => run.seconds)),
    bySeed: scores,
    peakBytesByLabel: memory.peakByLabel,
  };
}

/** What the runtime promises of a model as small as the demo's: no step is cut into several submits. */
const submitCheck = (runs: readonly Trained[]): BenchCheck => ({
  claim: "the whole model at the demo's sizes trains with one submit a step",
  holds: runs.every(({ submitsPerStep }) => submitsPerStep === 1),
  measured: runs.map(({ submitsPerStep }) => submitsPerStep).join(', '),
});

export const stsnBench: Bench = {
  doc: "the STSN paper's ablations, trained (default: 8 short trainings on the shipped corpus, under ten minutes)",
  readsData: true,
  run: (options) => {
    const setup = setUp(ownOptions('stsn', options.args, optionTable), options);
    return onDevice(async (runtime) => {
      const rows: BenchRow[] = [];
      const checks: BenchCheck[] = [];
      for (const variant of setup.variants) {
        const config = setup.configOf(variant.change);
        const runs: Trained[] = [];
        for (const seed of setup.seeds)
          runs.push(
            await trainOne(runtime, setup, config, seed, (line) =>
              options.log(`${variant.name}, seed ${seed}: ${line}`),
            ),
          );
        rows.push(rowOf(variant, config, runs));
        if (variant.name === 'full' && setup.small) checks.push(submitCheck(runs));
      }
      const { splits, scored, seeds, encoder } = setup;
      const { seed: _first, ...recipe } = setup.recipe;
      return makeDocument('stsn', runtime, rows, checks, {
        ...{ recipe, seeds, trainedOn: describeCorpus(splits.train), scoredOn: describeCorpus(scored) },
        encoder: encoder ? encoder.path : 'random weights',
      });
    });
  },
};
