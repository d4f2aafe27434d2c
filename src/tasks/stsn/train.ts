/**
 * Trains an STSN (SPEC section 3): AdamW, linear warm-up and decay, gradient clipping, seeded negatives, a JSON lines
 * log, the best model by dev F1 in the output folder, and in `last/` all that is needed to continue bit for bit.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { InputError, SpanwiseError } from '../../../kernels/errors.ts';
import { noWork, type Phase, type Work } from '../../gpu/meter.ts';
import type { MemoryReport } from '../../gpu/memory.ts';
import { recoverFolder, writeCheckpointFolder, writeFileAtomic } from '../../io/files.ts';
import type { Stsn } from '../../models/stsn.ts';
import { stream } from '../../nn/random.ts';
import { record } from '../../ops/index.ts';
import { AdamW, clipGradNorm, linearWarmupDecay } from '../../optim/index.ts';
import { CONFIG } from '../checkpoint.ts';
import { checkLabels, type Sentence } from '../dataset.ts';
import { evaluate, type Evaluation } from '../metrics.ts';
import { joinSamples, sampleSentence, type SampleCounts } from '../sampling.ts';
import { spanNotes } from '../spans.ts';
import { tagNotes } from '../tags.ts';
import { CONFIG_FILE, VOCAB_FILE } from '../text/from-files.ts';
import { tokenizerFiles, type Tokenizer } from '../text/tokenizer.ts';
import { encodeSentence, makeBatch, type EncodedSentence } from './batch.ts';
import { checkpointFiles } from './checkpoint.ts';
import { stsnLoss } from './loss.ts';
import { predict } from './predict.ts';
import { parseRecipe, type Recipe } from './recipe.ts';
import { checkTags } from './setup.ts';
import {
  LAST,
  noCounts,
  noLosses,
  restoreState,
  writeState,
  type Fingerprint,
  type Losses,
  type TrainingState,
} from './state.ts';

export { defaultRecipe, type Recipe } from './recipe.ts';
export { canResume, savedRecipe } from './state.ts';

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
  /** The checkpoint folder; other files in it stay. */
  out: string;
  /** What was noticed on the way here, for the log and the report. */
  notes?: readonly string[];
  /** Continue from `out/last`. */
  resume?: boolean;
  /** Save `last/` within an epoch too, when this many seconds have passed since the last save. */
  saveSeconds?: number;
  /** Receives every log line, and `{ event: 'step' }` for each step, which is not written. */
  onEvent?: (event: LogEvent) => void;
}

export interface TrainReport {
  /** Steps made by this process: fewer than the run's where it was resumed. */
  steps: number;
  /** Loss parts of the last epoch, means over its steps; zeros where a finished run was resumed. */
  loss: Losses;
  /** `score` and `dev` are absent without a dev corpus, and where the best epoch came before the resume. */
  best: { epoch: number; score?: number; dev?: Evaluation };
  notes: string[];
  /** Mean work of those steps, by phase. */
  step: Record<Phase, Work>;
  /** The most that any of them took. */
  submitsPerStep: number;
  memory: MemoryReport;
  /** FLOPs of those steps, and the wall-clock seconds they took (evaluation, saving apart). */
  flops: number;
  seconds: number;
}

const LOG = 'log.jsonl';
const phases: readonly Phase[] = ['forward', 'backward', 'optimizer'];
const ORDER_STREAM = 3;

function addTo<T extends object>(total: T, part: T): void {
  const sums = total as Record<string, number>;
  for (const [key, value] of Object.entries(part)) sums[key] += value as number;
}

/** Identity of the data and the model's shape, so that a resumed run cannot silently change them. */
function fingerprint({ train, dev, model, tokenizer }: TrainOptions): Fingerprint {
  const hash = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex');
  return {
    train: hash(train.sentences),
    dev: hash(dev?.sentences ?? null),
    model: hash([model.config, tokenizerFiles(tokenizer)]),
  };
}

/** Mean of NER and RE+ micro F1 (NER alone without relation types): what "best" means. */
export const devScore = (e: Evaluation, relations: boolean): number =>
  relations ? (e.ner.micro.f1 + e.rePlus.micro.f1) / 2 : e.ner.micro.f1;

/**
 * A corpus as the model takes it. Errors: InputError naming file and row, for a label that the model does not have and
 * for whatever `encodeSentence` refuses.
 */
function encodeCorpus({ model, tokenizer }: TrainOptions, { sentences, file }: Corpus): EncodedSentence[] {
  if (sentences.length === 0) throw new InputError(`${file}: holds no sentence`);
  checkLabels(sentences, model.config, file);
  return sentences.map((s, i) => encodeSentence(s.tokens, tokenizer, model.config, `${file}: row ${i + 1}`));
}

/**
 * Trains `options.model` in place. Errors: InputError, before the first step, for a recipe out of range, data that does
 * not fit the model, a folder that cannot be written or resumed; SpanwiseError when the loss stops being finite (the
 * last checkpoint stays).
 */
export async function trainStsn(options: TrainOptions): Promise<TrainReport> {
  const recipe = parseRecipe({ ...options.recipe }, 'recipe');
  const { parameters, config } = options.model;
  checkTags(config, `${options.out}: config`);
  const encoded = encodeCorpus(options, options.train);
  if (options.dev) encodeCorpus(options, options.dev);
  const optimizer = new AdamW(parameters, { lr: recipe.lr, weightDecay: recipe.weightDecay });
  try {
    return await new Run({ ...options, recipe }, encoded, optimizer).train();
  } finally {
    optimizer.release();
    parameters.zeroGrad();
  }
}

/** One training run in this process. */
class Run {
  readonly #options: TrainOptions;
  readonly #encoded: readonly EncodedSentence[];
  readonly #optimizer: AdamW;
  readonly #log: string;
  readonly #notes: string[];
  /** Steps of an epoch, of the run, and of its warm-up. */
  readonly #batches: number;
  readonly #steps: number;
  readonly #warmup: number;
  #state: TrainingState;
  #savedAt = 0;
  #bestDev: Evaluation | undefined;
  readonly #spent = { steps: 0, ms: 0, flops: 0, submits: 0 };
  readonly #work: Record<Phase, Work> = { forward: noWork(), backward: noWork(), optimizer: noWork() };

  constructor(options: TrainOptions, encoded: readonly EncodedSentence[], optimizer: AdamW) {
    const { model, recipe, train } = options;
    this.#options = options;
    this.#encoded = encoded;
    this.#optimizer = optimizer;
    this.#log = join(options.out, LOG);
    this.#notes = [
      ...(options.notes ?? []),
      ...spanNotes(train.sentences, model.config.maxSpanWidth),
      ...(model.config.label ? tagNotes(train.sentences, model.config.tags) : []),
    ];
    this.#batches = Math.ceil(train.sentences.length / recipe.batch);
    this.#steps = recipe.epochs * this.#batches;
    this.#warmup = Math.round(recipe.warmup * this.#steps);
    this.#state = {
      recipe,
      data: fingerprint(options),
      epoch: 0,
      batch: 0,
      best: -1,
      bestEpoch: 0,
      logBytes: 0,
      sums: noLosses(),
      counts: noCounts(),
    };
  }

  async train(): Promise<TrainReport> {
    const { recipe, resume } = this.#options;
    await (resume ? this.#resume() : this.#start());
    let loss = noLosses();
    while (this.#state.epoch < recipe.epochs) loss = await this.#epoch();
    return {
      steps: this.#spent.steps,
      loss,
      best: {
        epoch: this.#state.bestEpoch,
        ...(this.#options.dev && { score: this.#state.best, dev: this.#bestDev }),
      },
      notes: this.#notes,
      step: this.#meanWork(),
      submitsPerStep: this.#spent.submits,
      memory: this.#options.model.parameters.runtime.memory.report(),
      flops: this.#spent.flops,
      seconds: this.#spent.ms / 1000,
    };
  }

  /** A new run: usable and resumable once this is done, and resumable whenever `last/` is there. */
  async #start(): Promise<void> {
    const { model, tokenizer, train, dev, out, recipe, onEvent } = this.#options;
    const { parameters } = model;
    const own = tokenizerFiles(tokenizer);
    for (const name of [VOCAB_FILE, CONFIG_FILE])
      if (!(name in own) && existsSync(join(out, name)))
        throw new InputError(
          `${join(out, name)}: would be taken for a part of the model's tokenizer; choose another folder`,
        );
    // Writes nothing but the folder, and says what is wrong with it before anything is computed.
    writeCheckpointFolder(join(out, LAST), {});
    const event = {
      event: 'start',
      recipe,
      sentences: train.sentences.length,
      dev: dev?.sentences.length ?? 0,
      parameters: parameters.count(),
      data: this.#state.data,
      device: parameters.runtime.info.name,
      software: parameters.runtime.info.software,
      notes: this.#notes,
    };
    writeFileAtomic(this.#log, `${JSON.stringify(event)}\n`);
    onEvent?.(event);
    await this.#save();
    await this.#saveBest();
  }

  /** Puts model, optimizer, state and log back to where `last/` was saved. */
  async #resume(): Promise<void> {
    const { out, model } = this.#options;
    this.#state = await restoreState(out, this.#state, this.#batches, model, this.#optimizer);
    writeCheckpointFolder(join(out, LAST), {});
    if (existsSync(this.#log))
      truncateSync(this.#log, Math.min(this.#state.logBytes, statSync(this.#log).size));
    recoverFolder(out);
    // Killed between its first two checkpoints, a run has a state to resume from and no model yet.
    if (!existsSync(join(out, CONFIG))) await this.#saveBest();
    this.#savedAt = Date.now();
  }

  async #save(): Promise<void> {
    const { out, model, tokenizer } = this.#options;
    this.#state.logBytes = existsSync(this.#log) ? statSync(this.#log).size : 0;
    await writeState(out, this.#state, model, tokenizer, this.#optimizer);
    this.#savedAt = Date.now();
  }

  async #saveBest(): Promise<void> {
    const { out, model, tokenizer } = this.#options;
    writeCheckpointFolder(out, await checkpointFiles(model, tokenizer));
  }

  /** Trains what is left of the current epoch, scores it and saves. Returns the means of its losses. */
  async #epoch(): Promise<Losses> {
    const { model, tokenizer, train, dev, recipe, saveSeconds = Infinity, onEvent } = this.#options;
    const state = this.#state;
    const started = Date.now();
    const order = train.sentences.map((_, i) => i);
    stream(recipe.seed, ORDER_STREAM, state.epoch).shuffle(order);
    while (state.batch < this.#batches) {
      if (state.batch > 0 && Date.now() - this.#savedAt > 1000 * saveSeconds) await this.#save();
      const step = state.epoch * this.#batches + state.batch;
      const losses = await this.#step(
        order.slice(state.batch * recipe.batch, (state.batch + 1) * recipe.batch),
        step,
      );
      onEvent?.({ event: 'step', step: step + 1, steps: this.#steps, epoch: state.epoch + 1, ...losses });
    }
    const means = Object.fromEntries(
      Object.entries(state.sums).map(([key, sum]) => [key, sum / this.#batches]),
    ) as unknown as Losses;
    const { counts } = state;
    const scores = dev && (await evaluateStsn(model, tokenizer, dev));
    state.epoch++;
    Object.assign(state, { batch: 0, sums: noLosses(), counts: noCounts() });
    const score = scores ? devScore(scores, model.config.relationTypes.length > 0) : state.epoch;
    // Of equal scores the later epoch, which has learnt more: early ones may all score 0.
    const best = score >= state.best;
    if (best) {
      Object.assign(state, { best: score, bestEpoch: state.epoch });
      this.#bestDev = scores;
      await this.#saveBest();
    }
    const event = {
      event: 'epoch',
      epoch: state.epoch,
      ...means,
      ...counts,
      ...(scores && {
        dev: { ner: scores.ner.micro.f1, re: scores.re.micro.f1, rePlus: scores.rePlus.micro.f1 },
      }),
      best,
      seconds: (Date.now() - started) / 1000,
    };
    appendFileSync(this.#log, `${JSON.stringify(event)}\n`);
    await this.#save();
    onEvent?.(event);
    return means;
  }

  /** One step on the chosen sentences, counted in the state. */
  async #step(chosen: readonly number[], step: number): Promise<Losses> {
    const { meter } = this.#options.model.parameters.runtime;
    const started = Date.now();
    meter.reset();
    const lr = this.#options.recipe.lr * linearWarmupDecay(step, this.#warmup, this.#steps);
    const { losses, counts } = await trainStep(
      this.#options,
      this.#encoded,
      this.#optimizer,
      chosen,
      this.#state.epoch,
      step,
      lr,
    );
    addTo(this.#state.sums, losses);
    addTo(this.#state.counts, counts);
    this.#state.batch++;
    this.#spent.steps++;
    this.#spent.ms += Date.now() - started;
    this.#spent.flops += meter.total().flops;
    this.#spent.submits = Math.max(this.#spent.submits, meter.submits);
    for (const phase of phases) addTo(this.#work[phase], meter.total(phase));
    return losses;
  }

  #meanWork(): Record<Phase, Work> {
    const steps = Math.max(1, this.#spent.steps);
    const mean = (work: Work) =>
      Object.fromEntries(
        Object.entries(work).map(([key, total]) => [key, Math.round(total / steps)]),
      ) as unknown as Work;
    return {
      forward: mean(this.#work.forward),
      backward: mean(this.#work.backward),
      optimizer: mean(this.#work.optimizer),
    };
  }
}

/**
 * One step on the chosen sentences: one submit, one wait.
 * @param step from 0, over the whole run
 */
async function trainStep(
  options: TrainOptions,
  encoded: readonly EncodedSentence[],
  optimizer: AdamW,
  chosen: readonly number[],
  epoch: number,
  step: number,
  lr: number,
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
    if (!Object.values(losses).every(Number.isFinite)) {
      const found = Object.entries(losses).map(([name, value]) => `${name} ${value}`);
      throw new SpanwiseError(
        `training diverged at step ${step + 1} (${found.join(', ')}); try a lower --lr`,
      );
    }
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
