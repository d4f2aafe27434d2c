/** The time that the device itself takes for recorded work. */
import type { Runtime } from './runtime.ts';

/**
 * The device's milliseconds of `repeats` recordings in one submit: by timestamp queries around every dispatch where the
 * device has them, else by the wall clock around the submit. Resets the meter.
 */
export async function deviceMs(runtime: Runtime, record: () => void, repeats = 1): Promise<number> {
  const recordAll = () => {
    for (let i = 0; i < repeats; i++) record();
  };
  runtime.meter.reset();
  if (runtime.caps.timestamps) {
    await runtime.profile(() => Promise.resolve(recordAll()));
    return runtime.meter.total().gpuNanoseconds / 1e6;
  }
  recordAll();
  const started = performance.now();
  await runtime.finish();
  return performance.now() - started;
}
