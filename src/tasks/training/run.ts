/**
 * The training loop of every model: AdamW, linear warm-up and decay, gradient clipping, a JSON lines log, the best
 * model by dev score, and in `last/` all that is needed to continue bit for bit.
 */
import { InputError, SpanwiseError } from '../../../kernels/errors.ts';
import type { MemoryReport } from '../../gpu/memory.ts';
import { noWork, type Phase, type Work } from '../../gpu/meter.ts';
import { AdamW, GradScaler, linearWarmupDecay } from '../../optim/index.ts';
import { CONFIG, WEIGHTS, checkpointFiles } from '../checkpoint.ts';
import type { Definition, Epochs, MicroBatch, TrainingInput, Types } from '../definition.ts';
import type { TypedScores } from '../metrics.ts';
import { TOKENIZER_FILES } from '../text/from-files.ts';
import { tokenizerFiles } from '../text/tokenizer.ts';
import { BEYOND_F16, type Precision } from '../../nn/parameters.ts';
import { inTurn } from '../turns.ts';
import { curveSvg, parseLog, wholeLines, type LogEvent } from './curve.ts';
import { forecastStep } from './forecast.ts';
import { parseRecipe } from './recipe.ts';
import {
  fingerprint,
  freshState,
  noCounts,
  noLosses,
  restoreState,
  writeState,
  type LossValues,
  type TrainingState,
} from './state.ts';
import { startStep, type StartedStep } from './step.ts';
import { LAST, storedFile, type Storage } from './storage.ts';

export const LOG = 'log.jsonl';
export const CURVE = 'curve.svg';
/** No weight is as large: float32 cannot hold its square. */
const LARGEST = 2 ** 64;

const phases: readonly Phase[] = ['forward', 'backward', 'optimizer'];

/** A model's score on the dev corpus. */
export interface DevScore<E> {
  /** What "best" means: higher is better. */
  score: number;
  /** F1 scores by name, for the log. */
  f1: Readonly<Record<string, number>>;
  evaluation: E;
}

/** How any training runs. */
export interface RunOptions<T extends Types = Types> {
  storage: Storage;
  /** Continue from what the storage holds. */
  resume?: boolean;
  /** Tell before the first step what one on the longest batch takes: `{ event: 'forecast' }`, see `forecastStep`. */
  forecast?: boolean;
  /** Stop after so many epochs without a better one by dev score; epochs at the start that score 0 do not count. */
  patience?: number;
  /** Save `last/` within an epoch too, when this many seconds have passed since the last save. */
  saveSeconds?: number;
  /**
   * Receives every log line, and what is not written: `{ event: 'resume' }` where a run goes on, `{ event: 'step' }` for
   * each step, `{ event: 'evaluate' }` while the dev corpus is scored, `{ event: 'recover', note }` where a device was lost.
   */
  onEvent?: (event: LogEvent) => void;
  /**
   * An AbortSignal that asks the run to stop: it saves after the step that it is at, or gives up a scoring, and rejects with
   * the reason.
   */
  signal?: { readonly aborted: boolean; readonly reason: unknown; throwIfAborted(): void };
  /** What was noticed on the way here, for the log and the report. */
  notes?: readonly string[];
  /**
   * Scores the model as it is on the dev corpus, where the definition's own way is not what counts. It has no turn on the
   * runtime: see `train`.
   */
  evaluate?: (
    progress: (what: string, done: number, total: number) => void,
  ) => Promise<DevScore<T['evaluation']>>;
}

export interface TrainingReport<E = unknown> {
  /** Steps made by this process: fewer than the run's where it was resumed. */
  steps: number;
  /** In f16: how many of them were skipped, since their gradients were not finite. */
  skipped?: number;
  /** Losses of the last epoch, means over its steps, of the parts that the model has; zeros where a finished run was resumed. */
  loss: LossValues;
  /** Without a dev corpus the epoch alone; without `f1` and `dev` where the best epoch came before the resume. */
  best: { epoch: number; score?: number; f1?: Readonly<Record<string, number>>; dev?: E };
  notes: string[];
  /** Epochs done, where `patience` ended the run before the last. */
  stopped?: number;
  /** Mean work of those steps, by phase. */
  step: Record<Phase, Work>;
  /** The most that any of them took. */
  submitsPerStep: number;
  memory: MemoryReport;
  /** FLOPs of those steps, and the wall-clock seconds they took (evaluation, saving apart). */
  flops: number;
  seconds: number;
}

function addTo<K extends string>(total: Record<K, number>, part: Readonly<Record<K, number>>): void {
  for (const key of Object.keys(part) as K[]) total[key] += part[key];
}

/** The micro F1 scores that an evaluation has, by the definition's names: none of what the data have nothing of. */
export const f1Scores = (
  { scores }: Pick<Definition, 'scores'>,
  evaluation: object,
): Record<string, number> =>
  Object.fromEntries(
    Object.keys(scores).flatMap((name) => {
      const found = (evaluation as Record<string, TypedScores | undefined>)[name];
      if (!found || found.micro.support === 0) return [];
      return [[name, found.micro.f1] as const];
    }),
  );

/**
 * Trains `input.model` in place.
 * @throws InputError, before the first step, for a recipe out of range, data that does not fit the model, a storage that
 *   cannot be written or resumed; SpanwiseError when the loss or a weight stops being finite (the last checkpoint stays)
 */
export async function trainModel<T extends Types>(
  definition: Definition<T>,
  given: TrainingInput<T>,
  options: RunOptions<T>,
): Promise<TrainingReport<T['evaluation']>> {
  const recipe = parseRecipe<T['recipe']>(definition.recipe, { ...(given.recipe as object) }, 'recipe');
  const input = { ...given, recipe };
  const { model } = input;
  const { patience = 1, saveSeconds = 0 } = options;
  if (!(Number.isSafeInteger(patience) && patience >= 1))
    throw new InputError(`option "patience" must be a whole number of at least 1, got ${patience}`);
  if (options.patience !== undefined && !input.dev)
    throw new InputError('option "patience" needs dev data, whose scores it waits for');
  if (!(saveSeconds >= 0))
    throw new InputError(`option "saveSeconds" must be at least 0, got ${saveSeconds}`);
  definition.check(input.train, model.config);
  if (input.dev) definition.check(input.dev, model.config, 'scored');
  const epochs = definition.epochs(input);
  const optimizer = new AdamW(model.parameters, { lr: recipe.lr, weightDecay: recipe.weightDecay });
  const scaler = model.parameters.precision === 'mixed' ? new GradScaler(optimizer) : undefined;
  const data = await fingerprint(input, epochs.identity);
  const fresh = freshState(definition, recipe, data, scaler?.save());
  try {
    return await new Run(definition, input, epochs, options, { optimizer, scaler }, fresh).train();
  } finally {
    optimizer.release();
    model.parameters.zeroGrad();
  }
}

/** One training run in this process. */
class Run<T extends Types> {
  readonly #definition: Definition<T>;
  readonly #input: TrainingInput<T>;
  readonly #epochs: Epochs<T['batch']>;
  readonly #options: RunOptions<T>;
  readonly #optimizer: AdamW;
  readonly #scaler: GradScaler | undefined;
  #notes: readonly string[];
  /** Steps of the run, and of its warm-up. */
  readonly #steps: number;
  readonly #warmup: number;
  #state: TrainingState<T['recipe']>;
  #log = '';
  #savedAt = 0;
  #bestDev: DevScore<T['evaluation']> | undefined;
  /** The step whose losses nobody has waited for yet. */
  #started: (StartedStep & { step: number }) | undefined;
  readonly #spent = { steps: 0, skipped: 0, ms: 0, flops: 0, submits: 0 };
  readonly #work: Record<Phase, Work> = { forward: noWork(), backward: noWork(), optimizer: noWork() };

  constructor(
    definition: Definition<T>,
    input: TrainingInput<T>,
    epochs: Epochs<T['batch']>,
    options: RunOptions<T>,
    { optimizer, scaler }: { optimizer: AdamW; scaler?: GradScaler },
    fresh: TrainingState<T['recipe']>,
  ) {
    this.#definition = definition;
    this.#input = input;
    this.#epochs = epochs;
    this.#options = options;
    this.#optimizer = optimizer;
    this.#scaler = scaler;
    this.#notes = [...(options.notes ?? []), ...epochs.notes];
    this.#steps = input.recipe.epochs * epochs.batches;
    this.#warmup = Math.round(input.recipe.warmup * this.#steps);
    this.#state = fresh;
  }

  async train(): Promise<TrainingReport<T['evaluation']>> {
    const { recipe, model, dev } = this.#input;
    await (this.#options.resume ? this.#resume() : this.#start());
    if (this.#options.forecast && this.#state.epoch < recipe.epochs) {
      const forecast = await forecastStep(this.#definition, this.#input, this.#epochs);
      this.#options.onEvent?.({ event: 'forecast', ...forecast });
    }
    let loss = noLosses(this.#definition.parts);
    while (this.#state.epoch < recipe.epochs && !this.#isPatienceOver()) loss = await this.#epoch();
    return {
      steps: this.#spent.steps,
      ...(this.#scaler && { skipped: this.#spent.skipped }),
      loss,
      best: {
        epoch: this.#state.bestEpoch,
        ...(dev && { score: this.#state.best, f1: this.#bestDev?.f1, dev: this.#bestDev?.evaluation }),
      },
      notes: [...this.#notes],
      ...(this.#state.epoch < recipe.epochs && { stopped: this.#state.epoch }),
      step: this.#meanWork(),
      submitsPerStep: this.#spent.submits,
      memory: model.parameters.runtime.memory.report(),
      flops: this.#spent.flops,
      seconds: this.#spent.ms / 1000,
    };
  }

  #isPatienceOver(): boolean {
    const { patience = Infinity } = this.#options;
    return this.#state.epoch - this.#state.risenEpoch >= patience;
  }

  /** A new run: usable and resumable once this is done, and resumable whenever `last/` is there. */
  async #start(): Promise<void> {
    const { model, tokenizer, recipe } = this.#input;
    const { storage, onEvent } = this.#options;
    const { parameters } = model;
    const own = tokenizerFiles(tokenizer);
    for (const name of TOKENIZER_FILES)
      if (!(name in own) && (await storedFile(storage, name)))
        throw new InputError(
          `${storage.name}/${name}: would be taken for a part of the model's tokenizer; choose another folder`,
        );
    await this.#refuseOthers();
    // Writes nothing, and says whether it could before anything is computed.
    await storage.write(LAST, {});
    const event = {
      event: 'start',
      recipe,
      ...this.#precision,
      ...this.#epochs.about,
      parameters: parameters.count(),
      data: this.#state.data,
      device: parameters.runtime.info.name,
      software: parameters.runtime.info.software,
      notes: this.#notes,
    };
    this.#log = `${JSON.stringify(event)}\n`;
    await storage.write('', { [LOG]: this.#log });
    onEvent?.(event);
    await this.#save();
    await this.#saveBest();
  }

  /** Errors: InputError for a file in the storage that a new run would write over, and that no run made. */
  async #refuseOthers(): Promise<void> {
    const { storage } = this.#options;
    const { extra } = this.#definition;
    for (const name of [WEIGHTS, CURVE, LOG, ...(extra ? [extra.file] : [])]) {
      const found = await storedFile(storage, name);
      // A run that ended before its first save has left its log.
      const isOurs = name === LOG && new TextDecoder().decode(found?.subarray(0, 16)) === '{"event":"start"';
      if (found && !isOurs)
        throw new InputError(`${storage.name}/${name}: would be written over; choose another folder`);
    }
  }

  /** Puts model, optimizer, state and log back to where `last/` was saved. */
  async #resume(): Promise<void> {
    const { storage } = this.#options;
    this.#state = await restoreState(
      this.#definition,
      storage,
      this.#input,
      this.#state,
      this.#epochs.batches,
      this.#optimizer,
    );
    if (this.#state.scaler) this.#scaler?.load(this.#state.scaler);
    await storage.write(LAST, {});
    await this.#resumeLog();
    this.#extend();
    await storage.write('', { [LOG]: this.#log });
    // Killed between its first two checkpoints, a run has a state to resume from and no model yet.
    if (!(await storedFile(storage, CONFIG))) await this.#saveBest();
    this.#savedAt = Date.now();
    const { epoch, batch, best, bestEpoch } = this.#state;
    this.#options.onEvent?.({
      ...{ event: 'resume', recipe: this.#input.recipe, epoch, batch, best, bestEpoch },
      ...this.#precision,
      ...this.#epochs.about,
      parameters: this.#input.model.parameters.count(),
      notes: this.#notes,
    });
  }

  /** Told of a run that is not in f32. */
  get #precision(): { precision?: Precision } {
    return this.#scaler ? { precision: 'f16' } : {};
  }

  /** The log as it was when the state was saved, or as much of it as there is. */
  async #resumeLog(): Promise<void> {
    const { storage } = this.#options;
    const { logBytes } = this.#state;
    const log = (await storedFile(storage, LOG)) ?? new Uint8Array();
    const what = `${storage.name}/${LOG}`;
    this.#log = wholeLines(new TextDecoder().decode(log.subarray(0, logBytes)), what);
    const lost = logBytes - new TextEncoder().encode(this.#log).length;
    if (lost > 0)
      this.#notes = [
        ...this.#notes,
        `${what}: its last ${lost} bytes are lost or torn, and left out; the model is whole`,
      ];
  }

  /** Makes a run of fewer epochs the one that is asked for: from the next step on its rate is the longer run's. */
  #extend(): void {
    const { recipe } = this.#input;
    const [from, to] = [this.#state.recipe.epochs, recipe.epochs];
    if (from === to) return;
    this.#state.recipe = recipe;
    this.#log += `${JSON.stringify({ event: 'extend', from, to })}\n`;
    this.#notes = [
      ...this.#notes,
      `made longer, from ${from} epochs to ${to}: the rate rises to what it is there in a run of ${to}, which is not the ` +
        `run that ${to} epochs from the start would have been`,
    ];
  }

  async #save(): Promise<void> {
    this.#state.logBytes = new TextEncoder().encode(this.#log).length;
    if (this.#scaler) this.#state.scaler = this.#scaler.save();
    await writeState(this.#definition, this.#options.storage, this.#state, this.#input, this.#optimizer);
    this.#savedAt = Date.now();
  }

  async #saveFinite(): Promise<void> {
    await this.#checkWeights();
    await this.#save();
  }

  /** Errors: SpanwiseError where the last step has made weights of which only the loss of a next one would tell. */
  async #checkWeights(): Promise<void> {
    const { epoch, batch } = this.#state;
    const { parameters } = this.#input.model;
    for (const [name, { data }] of await parameters.read()) {
      const halves = parameters.all.get(name)?.slot.used.dtype === 'f16';
      const odd = data.find((value) => !(Math.abs(value) < (halves ? BEYOND_F16 : LARGEST)));
      if (odd !== undefined)
        throw new SpanwiseError(
          `training diverged at step ${epoch * this.#epochs.batches + batch} (${name} holds ${odd}` +
            `${halves ? ', beyond f16' : ''}); try a lower lr`,
        );
    }
  }

  async #saveBest(): Promise<void> {
    await this.#options.storage.write('', await checkpointFiles(this.#definition, this.#input));
  }

  /** The dev score of the model as it is; undefined without a dev corpus. */
  async #score(): Promise<DevScore<T['evaluation']> | undefined> {
    const { dev, model, extra } = this.#input;
    if (!dev) return undefined;
    const { onEvent, evaluate, signal } = this.#options;
    const progress = (what: string, done: number, total: number): void => {
      signal?.throwIfAborted();
      onEvent?.({ event: 'evaluate', epoch: this.#state.epoch + 1, what, done, total });
    };
    if (evaluate) return evaluate(progress);
    const definition = this.#definition;
    const evaluation = await inTurn(model.parameters.runtime, () =>
      definition.evaluate(this.#input, dev, { ...definition.devOptions?.(dev, extra), progress }),
    );
    return {
      score: definition.best(evaluation, model.config),
      f1: f1Scores(definition, evaluation),
      evaluation,
    };
  }

  /** Trains what is left of the current epoch, scores it and saves. Returns the means of its losses. */
  async #epoch(): Promise<LossValues> {
    const { parts, counted } = this.#definition;
    const { batches } = this.#epochs;
    const { saveSeconds = Infinity, onEvent, storage, signal } = this.#options;
    const state = this.#state;
    const started = Date.now();
    const epoch = this.#epochs.epoch(state.epoch, state.best);
    while (state.batch < batches) {
      if (signal?.aborted) {
        await this.#settle();
        if (state.batch > 0) await this.#saveFinite();
        throw signal.reason;
      }
      if (state.batch > 0 && Date.now() - this.#savedAt > 1000 * saveSeconds) {
        await this.#settle();
        await this.#saveFinite();
      }
      const step = state.epoch * batches + state.batch;
      const started = await this.#step(epoch.batch(state.batch, step), step);
      // Those of the step before, while the device is at this one.
      await this.#settle();
      this.#started = { ...started, step };
    }
    const own = state.unscored ?? Object.keys((await this.#settle()) ?? {});
    await this.#checkWeights();
    // Over the steps that were not skipped.
    const skipped = this.#scaler?.skipped ?? 0;
    const steps = batches - skipped;
    const means = Object.fromEntries(own.map((key) => [key, steps > 0 ? state.sums[key] / steps : NaN]));
    const { counts } = state;
    const dev = await this.#score().catch(async (error: unknown) => {
      if (signal?.aborted && error === signal.reason) {
        state.unscored = own;
        await this.#save();
      }
      throw error;
    });
    state.epoch++;
    delete state.unscored;
    Object.assign(state, { batch: 0, sums: noLosses(parts), counts: noCounts(counted) });
    if (this.#scaler) this.#scaler.skipped = 0;
    const score = dev ? dev.score : state.epoch;
    // Of equal scores the later epoch, which has learnt more: early ones may all score 0.
    const best = score >= state.best;
    // A score of 0 does not count against the patience: early epochs find nothing.
    if (score > state.best || (score === 0 && state.best <= 0)) state.risenEpoch = state.epoch;
    if (best) {
      Object.assign(state, { best: score, bestEpoch: state.epoch });
      this.#bestDev = dev;
    }
    const event = {
      event: 'epoch',
      epoch: state.epoch,
      ...means,
      ...counts,
      ...(this.#scaler && { skipped }),
      ...epoch.about,
      ...(dev && { dev: dev.f1 }),
      best,
      seconds: (Date.now() - started) / 1000,
    };
    const line = `${JSON.stringify(event)}\n`;
    // First, for it fails where the folder has been taken away: the others would make a new one.
    await storage.append(LOG, line);
    this.#log += line;
    if (best) await this.#saveBest();
    await storage.write('', {
      [CURVE]: curveSvg(
        parseLog(this.#log),
        ['loss', ...parts.filter((part) => part in means)],
        this.#definition.scores,
      ),
    });
    await this.#save();
    onEvent?.(event);
    return means;
  }

  /** Waits for the losses of the step that was started last, and counts them in the state. */
  async #settle(): Promise<LossValues | undefined> {
    if (!this.#started) return undefined;
    const { step, losses } = this.#started;
    this.#started = undefined;
    const from = Date.now();
    const values = await losses;
    this.#spent.ms += Date.now() - from;
    if (Number.isFinite(values.gradNorm)) addTo(this.#state.sums, values);
    else this.#spent.skipped++;
    const epoch = this.#state.epoch + 1;
    this.#options.onEvent?.({ event: 'step', step: step + 1, steps: this.#steps, epoch, ...values });
    return values;
  }

  /** Starts a step, counted in the state but for its losses: a turn, between which others may use the runtime. */
  #step(batch: readonly MicroBatch<T['batch']>[], step: number): Promise<StartedStep> {
    return inTurn(this.#input.model.parameters.runtime, () => this.#stepInTurn(batch, step));
  }

  async #stepInTurn(batch: readonly MicroBatch<T['batch']>[], step: number): Promise<StartedStep> {
    const { model, recipe } = this.#input;
    const { meter } = model.parameters.runtime;
    const started = Date.now();
    meter.reset();
    const lr = recipe.lr * linearWarmupDecay(step, this.#warmup, this.#steps);
    const made = await startStep(this.#definition, model, this.#optimizer, batch, {
      ...{ step, lr, clip: recipe.clip, scaler: this.#scaler },
    });
    for (const { counts } of batch) addTo(this.#state.counts, counts);
    this.#state.batch++;
    this.#spent.steps++;
    this.#spent.ms += Date.now() - started;
    this.#spent.flops += meter.total().flops;
    this.#spent.submits = Math.max(this.#spent.submits, meter.submits);
    for (const phase of phases) addTo<keyof Work>(this.#work[phase], meter.total(phase));
    return made;
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
