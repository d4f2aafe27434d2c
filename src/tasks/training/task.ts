/** What a model brings to the shared training loop, and what the loop reports. */
import type { Tensor } from '../../gpu/tensor.ts';
import type { MemoryReport } from '../../gpu/memory.ts';
import type { Phase, Work } from '../../gpu/meter.ts';
import type { FileContent } from '../../io/files.ts';
import type { Json } from '../../models/config.ts';
import type { Model } from '../checkpoint.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { TrainingRecipe } from './recipe.ts';

/** Loss parts by name, `loss` their sum, and the gradient norm before clipping; of one step, or means over steps. */
export type Losses<L extends string> = Record<'loss' | L | 'gradNorm', number>;

/** How a run's state reads: what its recipe holds, and which losses and samples it counts. */
export interface StateFormat<R extends TrainingRecipe, L extends string, C extends string> {
  /** Errors: InputError naming `what` and the key. */
  parseRecipe(json: Json, what: string): R;
  /** Names of the loss parts, and of what is counted of the samples, in the log's order. */
  parts: readonly L[];
  counted: readonly C[];
}

/** SHA-256 of what a resumed run must share with the one it continues. */
export interface Fingerprint {
  train: string;
  dev: string;
  /** Configuration and tokenizer. */
  model: string;
}

/** A part of a step's batch that goes through the model at once. */
export interface MicroBatch<L extends string, C extends string> {
  /** What its mean weighs in the step's: the shares of a step add up to 1. */
  share: number;
  counts: Record<C, number>;
  /** Runs the model under the tape. A part may be absent, and counts as 0. */
  losses(): { loss: Tensor } & { readonly [part in L]?: Tensor };
}

export interface Epoch<L extends string, C extends string> {
  /** What the epoch's line of the log says besides losses, counts and scores. */
  about?: Readonly<Record<string, unknown>>;
  /**
   * One batch: at least one part.
   * @param batch from 0, in the epoch
   * @param step from 0, over the whole run
   */
  batch(batch: number, step: number): MicroBatch<L, C>[];
}

/** A model's score on the dev corpus. */
export interface DevScore<E> {
  /** What "best" means: higher is better. */
  score: number;
  /** F1 scores by name, for the log. */
  f1: Readonly<Record<string, number>>;
  evaluation: E;
}

/** Tells how far an evaluation is: `what` names the things counted. */
export type EvaluationProgress = (what: string, done: number, total: number) => void;

/** One training, as the loop sees it. `E`: what its evaluation gives. */
export interface Task<R extends TrainingRecipe, L extends string, C extends string, E> extends StateFormat<
  R,
  L,
  C
> {
  model: Model;
  tokenizer: Tokenizer;
  recipe: R;
  data: Fingerprint;
  /** What the log's first line says of the data. */
  about: Readonly<Record<string, unknown>>;
  notes: readonly string[];
  /** Batches of every epoch. */
  batches: number;
  /**
   * The batches of an epoch, which depend on nothing but these.
   * @param epoch from 0
   * @param best the best score so far, −1 before the first
   */
  epoch(epoch: number, best: number): Epoch<L, C>;
  /** Absent without a dev corpus: there is no best model then, every epoch's replaces the last. */
  evaluate?: (progress: EvaluationProgress) => Promise<DevScore<E>>;
  /** The files of a checkpoint of the model, by name. */
  files(): Promise<Record<string, FileContent>>;
}

/** One line of `log.jsonl`. */
export type LogEvent = Readonly<Record<string, unknown>> & { event: string };

/** How any training runs. */
export interface RunOptions {
  /** The checkpoint folder; other files in it stay. */
  out: string;
  /** Continue from `out/last`. */
  resume?: boolean;
  /** Save `last/` within an epoch too, when this many seconds have passed since the last save. */
  saveSeconds?: number;
  /**
   * Receives every log line, and what is not written: `{ event: 'step' }` for each step, `{ event: 'evaluate' }` while
   * the dev corpus is scored.
   */
  onEvent?: (event: LogEvent) => void;
}

export interface TrainingReport<L extends string, E> {
  /** Steps made by this process: fewer than the run's where it was resumed. */
  steps: number;
  /** Losses of the last epoch, means over its steps; zeros where a finished run was resumed. */
  loss: Losses<L>;
  /** Without a dev corpus the epoch alone; without `f1` and `dev` where the best epoch came before the resume. */
  best: { epoch: number; score?: number; f1?: Readonly<Record<string, number>>; dev?: E };
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
