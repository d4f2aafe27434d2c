/**
 * Node only. dawn.node polls for events through `globalThis.setImmediate`, so while something waits for the device it
 * spins, and on a software device takes the core that computes. While a wait is under way the poll is paced to once a
 * millisecond (measured 1.3 to 1.9 times faster on two cores); afterwards `setImmediate` is what it was.
 */
const PACE_MS = 1;
let waiting = 0;
let original: typeof globalThis.setImmediate | undefined;
let keepAlive: NodeJS.Timeout | undefined;

/** Waits for a device promise with the pump paced and the process kept alive. */
export async function pacedWait<T>(promise: Promise<T>): Promise<T> {
  if (waiting++ === 0) {
    original = globalThis.setImmediate;
    const paced = (callback: (...args: unknown[]) => void, ...args: unknown[]) =>
      setTimeout(callback, PACE_MS, ...args);
    globalThis.setImmediate = paced as unknown as typeof globalThis.setImmediate;
    keepAlive = setInterval(() => undefined, 1000);
  }
  try {
    return await promise;
  } finally {
    if (--waiting === 0) {
      if (original) globalThis.setImmediate = original;
      clearInterval(keepAlive);
    }
  }
}
