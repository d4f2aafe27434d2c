/** What the benchmarks that train share: one training into a folder of its own, its best model scored. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel, type Runtime } from '../src/node.ts';
import type { Types } from '../src/tasks/definition.ts';
import { folderStorage } from '../src/tasks/folder.ts';
import type { TrainingReport } from '../src/tasks/training/run.ts';
import { runTraining, type Planned } from '../src/tasks/training/train.ts';

export interface Trained<T extends Types = Types> {
  /** Of the best epoch's model (the last without a dev corpus). */
  evaluation: T['evaluation'];
  parameters: number;
  report: TrainingReport<T['evaluation']>;
}

/** One training into a folder, the weights as the plan's recipe seeds them. */
export async function trainInto<T extends Types>(
  runtime: Runtime,
  planned: Planned<T>,
  folder: string,
  log: (line: string) => void,
): Promise<Omit<Trained<T>, 'evaluation'>> {
  runtime.memory.resetPeak();
  return runTraining(runtime, planned, {
    storage: folderStorage(folder),
    onEvent: (event) => {
      if (event.event === 'step') log(`step ${String(event.step)} of ${String(event.steps)}`);
    },
  });
}

/** One training, and the scores of its model on a corpus. */
export async function trainAndScore<T extends Types>(
  runtime: Runtime,
  planned: Planned<T>,
  scored: T['corpus'],
  log: (line: string) => void,
  options?: T['options'],
): Promise<Trained<T>> {
  const out = mkdtempSync(join(tmpdir(), 'spanwise-bench-'));
  try {
    const trained = await trainInto(runtime, planned, out, log);
    const best = await loadModel(runtime, out, planned.definition);
    const evaluation = await best.evaluate(scored, options);
    best.release();
    return { ...trained, evaluation };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
