/**
 * The training loop of every model: AdamW, linear warm-up and decay, gradient clipping, a JSON lines log, the best
 * model by dev score in the output folder, and in `last/` all that is needed to continue bit for bit. Node only.
 */
import { appendFileSync, existsSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../../kernels/errors.ts';
import { noWork, type Phase, type Work } from '../../gpu/meter.ts';
import { readTextFile, recoverFolder, writeCheckpointFolder, writeFileAtomic } from '../../io/files.ts';
import { AdamW, linearWarmupDecay } from '../../optim/index.ts';
import { CONFIG } from '../checkpoint.ts';
import { CONFIG_FILE, VOCAB_FILE } from '../text/from-files.ts';
import { tokenizerFiles } from '../text/tokenizer.ts';
import { curveSvg, parseLog } from './curve.ts';
import type { TrainingRecipe } from './recipe.ts';
import {
  freshState,
  LAST,
  noCounts,
  noLosses,
  restoreState,
  writeState,
  type TrainingState,
} from './state.ts';
import { trainStep } from './step.ts';
import type { DevScore, Losses, MicroBatch, RunOptions, Task, TrainingReport } from './task.ts';

const LOG = 'log.jsonl';
const CURVE = 'curve.svg';
const phases: readonly Phase[] = ['forward', 'backward', 'optimizer'];

function addTo<K extends string>(total: Record<K, number>, part: Readonly<Record<K, number>>): void {
  for (const key of Object.keys(part) as K[]) total[key] += part[key];
}

/**
 * Trains `task.model` in place. Errors: InputError, before the first step, for a folder that cannot be written or
 * resumed; SpanwiseError when the loss stops being finite (the last checkpoint stays).
 */
export async function train<R extends TrainingRecipe, L extends string, C extends string, E>(
  task: Task<R, L, C, E>,
  options: RunOptions,
): Promise<TrainingReport<L, E>> {
  const { recipe, model } = task;
  const optimizer = new AdamW(model.parameters, { lr: recipe.lr, weightDecay: recipe.weightDecay });
  try {
    return await new Run(task, options, optimizer).train();
  } finally {
    optimizer.release();
    model.parameters.zeroGrad();
  }
}

/** One training run in this process. */
class Run<R extends TrainingRecipe, L extends string, C extends string, E> {
  readonly #task: Task<R, L, C, E>;
  readonly #options: RunOptions;
  readonly #optimizer: AdamW;
  readonly #log: string;
  /** Steps of the run, and of its warm-up. */
  readonly #steps: number;
  readonly #warmup: number;
  #state: TrainingState<R, L, C>;
  #savedAt = 0;
  #bestDev: DevScore<E> | undefined;
  readonly #spent = { steps: 0, ms: 0, flops: 0, submits: 0 };
  readonly #work: Record<Phase, Work> = { forward: noWork(), backward: noWork(), optimizer: noWork() };

  constructor(task: Task<R, L, C, E>, options: RunOptions, optimizer: AdamW) {
    this.#task = task;
    this.#options = options;
    this.#optimizer = optimizer;
    this.#log = join(options.out, LOG);
    this.#steps = task.recipe.epochs * task.batches;
    this.#warmup = Math.round(task.recipe.warmup * this.#steps);
    this.#state = freshState(task);
  }

  async train(): Promise<TrainingReport<L, E>> {
    const { recipe, parts, notes, evaluate, model } = this.#task;
    await (this.#options.resume ? this.#resume() : this.#start());
    let loss = noLosses(parts);
    while (this.#state.epoch < recipe.epochs) loss = await this.#epoch();
    return {
      steps: this.#spent.steps,
      loss,
      best: {
        epoch: this.#state.bestEpoch,
        ...(evaluate && { score: this.#state.best, f1: this.#bestDev?.f1, dev: this.#bestDev?.evaluation }),
      },
      notes: [...notes],
      step: this.#meanWork(),
      submitsPerStep: this.#spent.submits,
      memory: model.parameters.runtime.memory.report(),
      flops: this.#spent.flops,
      seconds: this.#spent.ms / 1000,
    };
  }

  /** A new run: usable and resumable once this is done, and resumable whenever `last/` is there. */
  async #start(): Promise<void> {
    const { model, tokenizer, recipe, data, about, notes } = this.#task;
    const { out, onEvent } = this.#options;
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
      ...about,
      parameters: parameters.count(),
      data,
      device: parameters.runtime.info.name,
      software: parameters.runtime.info.software,
      notes,
    };
    writeFileAtomic(this.#log, `${JSON.stringify(event)}\n`);
    onEvent?.(event);
    await this.#save();
    await this.#saveBest();
  }

  /** Puts model, optimizer, state and log back to where `last/` was saved. */
  async #resume(): Promise<void> {
    const { out } = this.#options;
    this.#state = await restoreState(out, this.#task, this.#optimizer);
    writeCheckpointFolder(join(out, LAST), {});
    if (existsSync(this.#log))
      truncateSync(this.#log, Math.min(this.#state.logBytes, statSync(this.#log).size));
    recoverFolder(out);
    // Killed between its first two checkpoints, a run has a state to resume from and no model yet.
    if (!existsSync(join(out, CONFIG))) await this.#saveBest();
    this.#savedAt = Date.now();
  }

  async #save(): Promise<void> {
    this.#state.logBytes = existsSync(this.#log) ? statSync(this.#log).size : 0;
    await writeState(this.#options.out, this.#state, this.#task, this.#optimizer);
    this.#savedAt = Date.now();
  }

  async #saveBest(): Promise<void> {
    writeCheckpointFolder(this.#options.out, await this.#task.files());
  }

  /** Trains what is left of the current epoch, scores it and saves. Returns the means of its losses. */
  async #epoch(): Promise<Losses<L>> {
    const { parts, counted, batches, evaluate } = this.#task;
    const { saveSeconds = Infinity, onEvent } = this.#options;
    const state = this.#state;
    const started = Date.now();
    const epoch = this.#task.epoch(state.epoch, state.best);
    while (state.batch < batches) {
      if (state.batch > 0 && Date.now() - this.#savedAt > 1000 * saveSeconds) await this.#save();
      const step = state.epoch * batches + state.batch;
      const losses = await this.#step(epoch.batch(state.batch, step), step);
      onEvent?.({ event: 'step', step: step + 1, steps: this.#steps, epoch: state.epoch + 1, ...losses });
    }
    const means = { ...state.sums };
    for (const key of Object.keys(means) as (keyof Losses<L>)[]) means[key] /= batches;
    const { counts } = state;
    const dev = await evaluate?.((what, done, total) =>
      onEvent?.({ event: 'evaluate', epoch: state.epoch + 1, what, done, total }),
    );
    state.epoch++;
    Object.assign(state, { batch: 0, sums: noLosses(parts), counts: noCounts(counted) });
    const score = dev ? dev.score : state.epoch;
    // Of equal scores the later epoch, which has learnt more: early ones may all score 0.
    const best = score >= state.best;
    if (best) {
      Object.assign(state, { best: score, bestEpoch: state.epoch });
      this.#bestDev = dev;
      await this.#saveBest();
    }
    const event = {
      event: 'epoch',
      epoch: state.epoch,
      ...means,
      ...counts,
      ...epoch.about,
      ...(dev && { dev: dev.f1 }),
      best,
      seconds: (Date.now() - started) / 1000,
    };
    appendFileSync(this.#log, `${JSON.stringify(event)}\n`);
    writeFileAtomic(
      join(this.#options.out, CURVE),
      curveSvg(parseLog(readTextFile(this.#log, 'log')), ['loss', ...parts]),
    );
    await this.#save();
    onEvent?.(event);
    return means;
  }

  /** One step, counted in the state. */
  async #step(batch: readonly MicroBatch<L, C>[], step: number): Promise<Losses<L>> {
    const { model, recipe, parts } = this.#task;
    const { parameters } = model;
    const { meter } = parameters.runtime;
    const started = Date.now();
    meter.reset();
    const lr = recipe.lr * linearWarmupDecay(step, this.#warmup, this.#steps);
    const losses = await trainStep(parameters, this.#optimizer, batch, parts, {
      step,
      lr,
      clip: recipe.clip,
    });
    addTo(this.#state.sums, losses);
    for (const { counts } of batch) addTo(this.#state.counts, counts);
    this.#state.batch++;
    this.#spent.steps++;
    this.#spent.ms += Date.now() - started;
    this.#spent.flops += meter.total().flops;
    this.#spent.submits = Math.max(this.#spent.submits, meter.submits);
    for (const phase of phases) addTo<keyof Work>(this.#work[phase], meter.total(phase));
    return losses;
  }

  #meanWork(): Record<Phase, Work> {
    const steps = Math.max(1, this.#spent.steps);
    const mean = (work: Work): Work => {
      const means = { ...work };
      for (const key of Object.keys(means) as (keyof Work)[]) means[key] = Math.round(means[key] / steps);
      return means;
    };
    return {
      forward: mean(this.#work.forward),
      backward: mean(this.#work.backward),
      optimizer: mean(this.#work.optimizer),
    };
  }
}
