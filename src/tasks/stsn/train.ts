/**
 * Trains an STSN (SPEC section 3): AdamW, linear warm-up and decay, gradient clipping, seeded negatives, a JSON lines
 * log, the best model by dev F1 in the output folder, and in `last/` all that is needed to continue bit for bit.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { InputError, SpanwiseError } from '../../../kernels/errors.ts';
import type { Work } from '../../gpu/meter.ts';
import type { MemoryReport } from '../../gpu/memory.ts';
import { readSafetensorsFile, recoverFolder, writeCheckpointFolder } from '../../io/files.ts';
import { serializeSafetensorsPieces } from '../../io/safetensors.ts';
import type { Stsn } from '../../models/stsn.ts';
import { stream } from '../../nn/random.ts';
import { record } from '../../ops/index.ts';
import { AdamW, clipGradNorm, linearWarmupDecay } from '../../optim/index.ts';
import type { Sentence } from '../dataset.ts';
import { evaluate, type Evaluation } from '../metrics.ts';
import { joinSamples, sampleSentence, type SampleCounts } from '../sampling.ts';
import { spanNotes } from '../spans.ts';
import { tagNotes } from '../tags.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { encodeSentence, makeBatch, type EncodedSentence } from './batch.ts';
import { checkpointFiles, readJsonFile } from './checkpoint.ts';
import { stsnLoss } from './loss.ts';
import { predict } from './predict.ts';

/** How to train; the defaults are the paper's. */
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

export interface Corpus {
  sentences: readonly Sentence[];
  /** Where it came from, for messages. */
  file: string;
}

/** One line of `log.jsonl`. */
export type LogEvent = Readonly<Record<string, unknown>> & { event: string };

export interface TrainOptions {
  model: Stsn;
  tokenizer: Tokenizer;
  train: Corpus;
  /** Without it there is no best model: every epoch's replaces the last. */
  dev?: Corpus;
  recipe: Recipe;
  /** The checkpoint folder. */
  out: string;
  /** Continue from `out/last`. */
  resume?: boolean;
  /** Save `last/` within an epoch too, when this many seconds have passed since the last save. */
  saveSeconds?: number;
  /** Receives every log line, and `{ event: 'step' }` for each step, which is not written. */
  onEvent?: (event: LogEvent) => void;
}

export interface TrainReport {
  steps: number;
  /** Loss parts of the last epoch, means over its steps. */
  loss: Losses;
  best: { epoch: number; score: number; dev?: Evaluation };
  notes: string[];
  /** Work of the last step, by phase. */
  step: Record<'forward' | 'backward' | 'optimizer', Work>;
  submitsPerStep: number;
  memory: MemoryReport;
  /** FLOPs of all training steps of this process, and the wall-clock seconds they took (evaluation, saving apart). */
  flops: number;
  seconds: number;
}

interface Losses {
  loss: number;
  tag: number;
  span: number;
  relation: number;
  gradNorm: number;
}

/** What `last/trainer.json` holds. */
interface State {
  recipe: Recipe;
  data: string;
  epoch: number;
  /** Batches of that epoch already done. */
  batch: number;
  best: number;
  bestEpoch: number;
  logBytes: number;
  sums: Losses;
  counts: SampleCounts;
}

const LAST = 'last';
const ORDER_STREAM = 3;
const noLosses = (): Losses => ({ loss: 0, tag: 0, span: 0, relation: 0, gradNorm: 0 });
const noCounts = (): SampleCounts => ({
  positiveSpans: 0,
  negativeSpans: 0,
  positivePairs: 0,
  negativePairs: 0,
});

function addTo<T extends object>(total: T, part: T): void {
  const sums = total as Record<string, number>;
  for (const [key, value] of Object.entries(part)) sums[key] += value as number;
}

/** Identity of the training data and the model's shape, so that a resumed run cannot silently change them. */
function dataHash(options: TrainOptions): string {
  const hash = createHash('sha256');
  hash.update(
    JSON.stringify([options.train.sentences, options.dev?.sentences ?? null, options.model.config]),
  );
  return hash.digest('hex');
}

/** Mean of NER and RE+ micro F1 (NER alone without relation types): what "best" means. */
export const devScore = (e: Evaluation, relations: boolean): number =>
  relations ? (e.ner.micro.f1 + e.rePlus.micro.f1) / 2 : e.ner.micro.f1;

/** Whether the folder holds a training run that `resume` can continue. */
export const canResume = (out: string): boolean => existsSync(join(out, LAST, 'trainer.json'));

/** The recipe of the run in `out`. Errors: InputError when there is none. */
export function savedRecipe(out: string): Recipe {
  if (existsSync(join(out, LAST))) recoverFolder(join(out, LAST));
  if (!canResume(out))
    throw new InputError(`${out}: holds no training run to resume (no ${LAST}/trainer.json)`);
  return (readJsonFile(join(out, LAST, 'trainer.json'), 'training state') as unknown as State).recipe;
}

/**
 * Trains `options.model` in place. Errors: InputError for data that does not fit the model, SpanwiseError when the
 * loss stops being finite (the last checkpoint stays).
 */
export async function trainStsn(options: TrainOptions): Promise<TrainReport> {
  const { model, tokenizer, recipe, train } = options;
  const { parameters, config } = model;
  const { runtime } = parameters;
  const encode = ({ sentences, file }: Corpus) =>
    sentences.map((s, i) => encodeSentence(s.tokens, tokenizer, config, `${file}: row ${i + 1}`));
  const encoded = encode(train);
  const notes = [
    ...spanNotes(train.sentences, config.maxSpanWidth),
    ...tagNotes(train.sentences, config.tags),
  ];
  if (options.dev) encode(options.dev);

  const optimizer = new AdamW(parameters, { lr: recipe.lr, weightDecay: recipe.weightDecay });
  const state: State = {
    recipe,
    data: dataHash(options),
    epoch: 0,
    batch: 0,
    best: -1,
    bestEpoch: 0,
    logBytes: 0,
    sums: noLosses(),
    counts: noCounts(),
  };
  const last = join(options.out, LAST);
  const logPath = join(options.out, 'log.jsonl');
  const save = async (): Promise<void> => {
    state.logBytes = existsSync(logPath) ? statSync(logPath).size : 0;
    const moments = await optimizer.read();
    writeCheckpointFolder(last, {
      ...(await checkpointFiles(model, tokenizer)),
      'optimizer.safetensors': serializeSafetensorsPieces(moments),
      'trainer.json': `${JSON.stringify(state)}\n`,
    });
  };
  const log = (event: LogEvent): void => {
    appendFileSync(logPath, `${JSON.stringify(event)}\n`);
    options.onEvent?.(event);
  };

  mkdirSync(last, { recursive: true });
  if (options.resume) {
    await resume(last, logPath, state, model, optimizer);
  } else {
    if (existsSync(logPath)) truncateSync(logPath, 0);
    log({
      event: 'start',
      recipe,
      sentences: train.sentences.length,
      dev: options.dev?.sentences.length ?? 0,
      parameters: parameters.count(),
      data: state.data,
      device: runtime.info.name,
      software: runtime.info.software,
      notes,
    });
    // Usable and resumable from the first moment.
    writeCheckpointFolder(options.out, await checkpointFiles(model, tokenizer));
    await save();
  }

  const batches = Math.ceil(train.sentences.length / recipe.batch);
  const total = recipe.epochs * batches;
  const warmup = Math.round(recipe.warmup * total);
  let losses = noLosses();
  let bestDev: Evaluation | undefined;
  let savedAt = Date.now();
  let trainMs = 0;
  let submits = 0;
  let flops = 0;
  const work = {
    forward: runtime.meter.total('forward'),
    backward: runtime.meter.total('backward'),
    optimizer: runtime.meter.total('optimizer'),
  };

  for (; state.epoch < recipe.epochs; state.epoch++) {
    const epochStart = Date.now();
    const order = train.sentences.map((_, i) => i);
    stream(recipe.seed, ORDER_STREAM, state.epoch).shuffle(order);
    for (; state.batch < batches;) {
      const chosen = order.slice(state.batch * recipe.batch, (state.batch + 1) * recipe.batch);
      const step = state.epoch * batches + state.batch;
      const started = Date.now();
      runtime.meter.reset();
      const done = await trainStep(options, encoded, optimizer, chosen, state.epoch, step, {
        lr: recipe.lr * linearWarmupDecay(step, warmup, total),
      });
      trainMs += Date.now() - started;
      submits = runtime.meter.submits;
      flops += runtime.meter.total().flops;
      for (const phase of ['forward', 'backward', 'optimizer'] as const)
        work[phase] = runtime.meter.total(phase);
      addTo(state.sums, done.losses);
      addTo(state.counts, done.counts);
      state.batch++;
      options.onEvent?.({
        event: 'step',
        step: step + 1,
        steps: total,
        epoch: state.epoch + 1,
        ...done.losses,
      });
      if (options.saveSeconds && Date.now() - savedAt > 1000 * options.saveSeconds && state.batch < batches) {
        await save();
        savedAt = Date.now();
      }
    }
    losses = Object.fromEntries(
      Object.entries(state.sums).map(([k, v]) => [k, v / batches]),
    ) as unknown as Losses;
    const dev = options.dev && (await evaluateStsn(model, tokenizer, options.dev));
    const score = dev ? devScore(dev, config.relationTypes.length > 0) : state.epoch + 1;
    const better = score > state.best;
    if (better) {
      state.best = score;
      state.bestEpoch = state.epoch + 1;
      bestDev = dev;
      writeCheckpointFolder(options.out, await checkpointFiles(model, tokenizer));
    }
    log({
      event: 'epoch',
      epoch: state.epoch + 1,
      ...losses,
      ...state.counts,
      ...(dev ? { dev: { ner: dev.ner.micro.f1, re: dev.re.micro.f1, rePlus: dev.rePlus.micro.f1 } } : {}),
      best: better,
      seconds: (Date.now() - epochStart) / 1000,
    });
    const { epoch } = state;
    Object.assign(state, { epoch: epoch + 1, batch: 0, sums: noLosses(), counts: noCounts() });
    await save();
    savedAt = Date.now();
    state.epoch = epoch;
  }
  optimizer.release();
  parameters.zeroGrad();
  return {
    steps: total,
    loss: losses,
    best: { epoch: state.bestEpoch, score: state.best, dev: bestDev },
    notes,
    step: work,
    submitsPerStep: submits,
    memory: runtime.memory.report(),
    flops,
    seconds: trainMs / 1000,
  };
}

/** Puts model, optimizer, state and log back to where `last/` was saved. */
async function resume(
  last: string,
  logPath: string,
  state: State,
  model: Stsn,
  optimizer: AdamW,
): Promise<void> {
  recoverFolder(last);
  const path = join(last, 'trainer.json');
  const saved = readJsonFile(path, 'training state') as unknown as State;
  if (saved.data !== state.data)
    throw new InputError(`${path}: the run was started with other data or another model configuration`);
  if (JSON.stringify(saved.recipe) !== JSON.stringify(state.recipe))
    throw new InputError(`${path}: the run was started with another recipe: ${JSON.stringify(saved.recipe)}`);
  Object.assign(state, saved);
  const { tensors } = readSafetensorsFile(join(last, 'model.safetensors'));
  for (const [name, { tensor }] of model.parameters.all) {
    const values = tensors.get(name);
    if (!values) throw new InputError(`${last}/model.safetensors: missing ${name}`);
    await model.parameters.runtime.write(tensor, values.data);
  }
  optimizer.load(readSafetensorsFile(join(last, 'optimizer.safetensors')).tensors);
  if (existsSync(logPath)) truncateSync(logPath, Math.min(saved.logBytes, statSync(logPath).size));
}

/** One step on the chosen sentences: one submit, one wait. */
async function trainStep(
  options: TrainOptions,
  encoded: readonly EncodedSentence[],
  optimizer: AdamW,
  chosen: readonly number[],
  epoch: number,
  step: number,
  { lr }: { lr: number },
): Promise<{ losses: Losses; counts: SampleCounts }> {
  const { model, recipe, tokenizer, train } = options;
  const { parameters } = model;
  const { runtime } = parameters;
  const { seed } = recipe;
  const sampling = {
    ...model.config,
    negativeSpans: recipe.negativeSpans,
    negativePairs: recipe.negativePairs,
  };
  const samples = joinSamples(
    chosen.map((i) => sampleSentence(train.sentences[i], sampling, { seed, epoch, sentence: i })),
  );
  const batch = makeBatch(
    chosen.map((i) => encoded[i]),
    tokenizer.padId,
  );
  return runtime.scope(async () => {
    parameters.zeroGrad();
    const { result, tape } = await record(runtime, () =>
      stsnLoss(
        model,
        batch,
        chosen.map((i) => train.sentences[i]),
        samples,
        { p: recipe.dropout, seed, offset: step },
      ),
    );
    const parts = [result.loss, result.span, result.relation, ...(result.tag ? [result.tag] : [])];
    tape.backward(result.loss, parts);
    const { scale, norm } = clipGradNorm(parameters, recipe.clip);
    optimizer.step(lr, scale);
    const [loss, span, relation, gradNorm, tag] = await runtime.readAll([
      ...parts.slice(0, 3),
      norm,
      ...parts.slice(3),
    ]);
    const losses = {
      loss: loss[0],
      tag: tag?.[0] ?? 0,
      span: span[0],
      relation: relation[0],
      gradNorm: gradNorm[0],
    };
    if (!Object.values(losses).every(Number.isFinite))
      throw new SpanwiseError(
        `training diverged at step ${step + 1}: ${JSON.stringify(losses)}; try a lower --lr`,
      );
    return { losses, counts: samples.counts };
  });
}

/** Scores a model on a corpus. */
export async function evaluateStsn(model: Stsn, tokenizer: Tokenizer, corpus: Corpus): Promise<Evaluation> {
  const predictions = await predict(
    model,
    tokenizer,
    corpus.sentences.map((s) => s.tokens),
    (i) => `${corpus.file}: row ${i + 1}`,
  );
  return evaluate(corpus.sentences, predictions);
}
