/** What `spanwise train` asks of a model. */
import type { Runtime } from '../../gpu/runtime.ts';
import type { RunOptions, TrainingReport } from '../../tasks/training/task.ts';
import type { Arguments, Command } from '../command.ts';
import type { Shown } from './progress.ts';

/** A training whose every input has been read and checked. */
export interface Prepared {
  recipe: Readonly<{ epochs: number }>;
  /** Makes the model and trains it. */
  train(
    runtime: Runtime,
    options: RunOptions,
  ): Promise<{ report: TrainingReport<string, unknown>; parameters: number }>;
}

export interface Trainer {
  /** The options that other models do not have; the values of `files` among them are files. */
  options: Command['options'];
  files: readonly string[];
  /** Reads and checks everything that the options name, before a device is opened. */
  prepare(args: Arguments): Prepared;
  shown: Shown;
}
