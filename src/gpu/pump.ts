/**
 * Node only. dawn.node polls for events through `globalThis.setImmediate`, so while something waits for the device it
 * spins, and on a software device takes the core that computes. While a wait is under way the poll is paced to once a
 * millisecond (measured 1.3 to 1.9 times faster on two cores); afterwards `setImmediate` is what it was, and so is
 * `clearImmediate` once the last paced callback has run.
 */
const PACE_MS = 1;
let waiting = 0;
let keepAlive: NodeJS.Timeout | undefined;
/** Paced callbacks that have not run: `clearImmediate` of Node itself must never see these handles. */
const pending = new Set<NodeJS.Timeout>();
/** Undo what `pace` replaced, unless somebody has replaced it again since. */
let restoreSet = (): void => undefined;
let restoreClear: (() => void) | undefined;

/** Replaces both globals. Should somebody wrap and keep them, they pass everything on once no wait is under way. */
function pace(): void {
  const set = globalThis.setImmediate;
  const paced = (callback: (...args: unknown[]) => void, ...args: unknown[]): unknown => {
    if (waiting === 0) return set(callback, ...args);
    const handle = setTimeout(() => {
      pending.delete(handle);
      restoreWhenIdle();
      callback(...args);
    }, PACE_MS);
    pending.add(handle);
    return handle;
  };
  globalThis.setImmediate = paced as unknown as typeof set;
  restoreSet = () => {
    if ((globalThis.setImmediate as unknown) === paced) globalThis.setImmediate = set;
  };
  if (restoreClear) return; // callbacks of an earlier wait are still pending
  const clear = globalThis.clearImmediate;
  const pacedClear = (handle: NodeJS.Immediate | undefined): void => {
    const timeout = handle as unknown as NodeJS.Timeout;
    if (!pending.delete(timeout)) return clear(handle);
    clearTimeout(timeout);
    restoreWhenIdle();
  };
  globalThis.clearImmediate = pacedClear;
  restoreClear = () => {
    if (globalThis.clearImmediate === pacedClear) globalThis.clearImmediate = clear;
  };
}

function restoreWhenIdle(): void {
  if (waiting > 0 || pending.size > 0) return;
  restoreClear?.();
  restoreClear = undefined;
}

/** Waits for a device promise with the pump paced and the process kept alive. */
export async function pacedWait<T>(promise: Promise<T>): Promise<T> {
  if (waiting++ === 0) {
    pace();
    keepAlive = setInterval(() => undefined, 1000);
  }
  try {
    return await promise;
  } finally {
    if (--waiting === 0) {
      restoreSet();
      restoreWhenIdle();
      clearInterval(keepAlive);
    }
  }
}
