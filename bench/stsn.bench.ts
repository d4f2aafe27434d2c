/** `bench stsn`: the ablations of the STSN paper's Tables 4 and 5 on any corpus, trained here. */
import { InputError } from '../kernels/errors.ts';
import { givenRecipe, recipeOptions } from '../src/cli/tables.ts';
import type { Arguments, Command } from '../src/cli/command.ts';
import type { Json } from '../src/models/config.ts';
import type { Stsn, StsnConfig } from '../src/models/stsn.ts';
import type { Runtime } from '../src/node.ts';
import { record } from '../src/ops/index.ts';
import { AdamW, clipGradNorm } from '../src/optim/index.ts';
import { newModel, readEncoder, type PretrainedEncoder } from '../src/tasks/checkpoint.ts';
import { encoderSource, readJsonFile } from '../src/tasks/folder.ts';
import { smallEncoder } from '../src/tasks/small-encoder.ts';
import type { SpanCorpus, SpanRecipe, SpanTypes } from '../src/tasks/spans/model.ts';
import { stsn } from '../src/tasks/spans/stsn.ts';
import { loadTokenizer } from '../src/tasks/text/load.ts';
import type { Tokenizer } from '../src/tasks/text/tokenizer.ts';
import { defaultRecipe } from '../src/tasks/training/recipe.ts';
import { planTraining } from '../src/tasks/training/train.ts';
import { describeCorpus, readSplits, type Splits } from './corpus.ts';
import { makeDocument, onDevice, ownOptions, parseSeeds } from './harness.ts';
import type { Bench, BenchCheck, BenchOptions, BenchRow } from './harness.ts';
import { trainAndScore, type Trained } from './training.ts';

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
const randomRecipe: SpanRecipe = { ...defaultRecipe(stsn.recipe), epochs: 6, lr: 1e-3, batch: 8 };
const FULL_EPOCHS = 20;
const FULL_SEEDS = '1,2,3';

const { seed: _oneSeed, ...recipeTable } = recipeOptions([stsn]);
const optionTable: Command['options'] = {
  ...recipeTable,
  ...{ only: { value: 'NAME,…', doc: '' }, seeds: { value: 'N,…', doc: '' } },
  ...{ encoder: { value: 'DIR', doc: '' }, vocab: { value: 'F', doc: '' }, config: { value: 'F', doc: '' } },
};

interface Setup {
  splits: Splits;
  /** What is scored: the test split, the development split where there is none. */
  scored: SpanCorpus;
  variants: readonly Variant[];
  seeds: readonly number[];
  recipe: SpanRecipe;
  tokenizer: Tokenizer;
  encoder: PretrainedEncoder | undefined;
  /** Whether the whole model has the demo's sizes. */
  small: boolean;
  /** Configuration and name of a variant. */
  configOf(change: Json): { json: Json; config: StsnConfig };
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
async function setUp(args: Arguments, { data, full }: BenchOptions): Promise<Setup> {
  const splits = readSplits(data);
  const { train, dev, test } = splits;
  const scored = test ?? dev;
  if (!scored) throw new InputError(`${data ?? 'the corpus'}: has neither a test nor a development split`);
  const [folder, vocab, file] = ['encoder', 'vocab', 'config'].map((name) => args.optional(name));
  if (folder !== undefined && vocab !== undefined)
    args.fail('--vocab does not go with --encoder, which has its own');
  const encoder = folder === undefined ? undefined : await readEncoder(encoderSource(folder), folder);
  const tokenizer =
    encoder?.tokenizer ??
    (vocab === undefined ? stsn.vocabulary(train, undefined, {}, 'config') : await loadTokenizer(vocab));
  const given = file === undefined ? {} : readJsonFile(file, 'config');
  const base: Json = encoder
    ? { encoder: encoder.json }
    : { ...(file === undefined ? { ...stsn.small, layers: 3 } : {}), encoder: smallEncoder };
  const configOf = (change: Json) => {
    const { encoder: own, ...json } = { ...base, ...given, ...change };
    const config = stsn.complete({ ...json, encoder: own }, file ?? 'config', train, tokenizer);
    return { json: encoder ? json : { ...json, encoder: own }, config };
  };
  for (const corpus of [dev, test]) if (corpus) stsn.check(corpus, configOf({}).config, 'scored');
  const recipe = encoder ? defaultRecipe(stsn.recipe) : randomRecipe;
  return {
    ...{ splits, scored, tokenizer, encoder, configOf },
    variants: chooseVariants(args.optional('only'), full, configOf({}).config),
    small: encoder === undefined && file === undefined,
    seeds: parseSeeds('stsn', args.optional('seeds') ?? (full ? FULL_SEEDS : '1')),
    recipe: { ...recipe, ...(full && { epochs: FULL_EPOCHS }), ...givenRecipe(args, stsn) },
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
  const { parameters } = model;
  const { runtime } = parameters;
  const sentences = scored.sentences.slice(0, recipe.batch);
  const text = JSON.stringify(sentences);
  const batch = stsn.traceBatch({ model, tokenizer, extra: undefined, what: 'model' }, text, scored.file);
  const optimizer = new AdamW(parameters, { lr: 0 });
  runtime.meter.reset();
  await runtime.scope(async () => {
    const { result, tape } = await record(runtime, () => stsn.losses(model, batch));
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

interface Run extends Trained<SpanTypes<Stsn>> {
  cost: StepCost;
}

/** One training, scored, and what a step of it costs. */
async function runOne(
  runtime: Runtime,
  setup: Setup,
  change: Json,
  seed: number,
  log: (line: string) => void,
): Promise<Run> {
  const { encoder, tokenizer, splits, scored, recipe, configOf } = setup;
  const { json, config } = configOf(change);
  const model = newModel(runtime, stsn, config, { ...recipe, seed }, encoder);
  const cost = await stepCost(model, setup);
  model.parameters.release();
  const planned = planTraining(stsn, {
    ...{ train: splits.train, dev: splits.dev, encoder, tokenizer, config: json },
    recipe: { ...recipe, seed },
  });
  return { ...(await trainAndScore(runtime, planned, scored, log)), cost };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

function rowOf({ name, paper }: Variant, config: StsnConfig, runs: readonly Run[]): BenchRow {
  const f1 = (of: 'ner' | 're' | 'rePlus') => runs.map(({ evaluation }) => 100 * evaluation[of].micro.f1);
  const scores = { ner: f1('ner'), re: f1('re'), rePlus: f1('rePlus') };
  const [{ parameters, cost, report }] = runs;
  const { memory, steps, submitsPerStep } = report;
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
    seconds: mean(runs.map((run) => run.report.seconds)),
    bySeed: scores,
    peakBytesByLabel: memory.peakByLabel,
  };
}

/** What the runtime promises of a model as small as the demo's: no step is cut into several submits. */
const submitCheck = (runs: readonly Run[]): BenchCheck => ({
  claim: "the whole model at the demo's sizes trains with one submit a step",
  holds: runs.every(({ report }) => report.submitsPerStep === 1),
  measured: runs.map(({ report }) => report.submitsPerStep).join(', '),
});

export const stsnBench: Bench = {
  doc: "the STSN paper's ablations, trained (default: 8 short trainings on the shipped corpus, under ten minutes)",
  readsData: true,
  run: (options) => {
    const args = ownOptions('stsn', options.args, optionTable);
    return onDevice(async (runtime) => {
      const setup = await setUp(args, options);
      const rows: BenchRow[] = [];
      const checks: BenchCheck[] = [];
      for (const variant of setup.variants) {
        const { config } = setup.configOf(variant.change);
        const runs: Run[] = [];
        for (const seed of setup.seeds)
          runs.push(
            await runOne(runtime, setup, variant.change, seed, (line) =>
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
