/** Statistics of the time that the device itself takes for recorded work. */
import { deviceMs } from '../src/gpu/device-time.ts';
import type { Runtime, Tensor } from '../src/node.ts';
import { summarise, type Summary } from './statistics.ts';

/** A sample lasts at least this long: far above the step of any clock. */
const SAMPLE_MS = 20;
const MAX_REPEATS = 1000;
const SAMPLES = 7;
/** Past three samples, a slow kernel gets no more time than this. */
const BUDGET_MS = 1500;

export interface DeviceTime extends Summary {
  /** What the clock was: timestamp queries around every dispatch, or the wall clock around a submit. */
  clock: 'timestamps' | 'wall';
}

/**
 * Median and quartiles of the device's milliseconds for what one call of `record` records, without compilation,
 * planning, upload and read-back. `record` must leave no more tensors behind the more often it is called.
 */
export async function deviceTime(runtime: Runtime, record: () => void): Promise<DeviceTime> {
  record();
  await runtime.finish(); // compiles
  const once = await deviceMs(runtime, record);
  const repeats = Math.max(1, Math.min(MAX_REPEATS, Math.ceil(SAMPLE_MS / Math.max(once, 1e-3))));
  const samples: number[] = [];
  const begun = performance.now();
  while (samples.length < SAMPLES && (samples.length < 3 || performance.now() - begun < BUDGET_MS))
    samples.push((await deviceMs(runtime, record, repeats)) / repeats);
  return { ...summarise(samples), clock: runtime.caps.timestamps ? 'timestamps' : 'wall' };
}

/** Gives back a kernel's outputs, but for those that are inputs written in place. */
export function releaseOutputs(
  outputs: Readonly<Record<string, Tensor>>,
  inputs: Readonly<Record<string, Tensor | undefined>>,
): void {
  const given = new Set(Object.values(inputs));
  for (const tensor of Object.values(outputs)) if (!given.has(tensor)) tensor.release();
}
