/** Turns on a runtime: its scopes nest, so that pieces of work must not interleave. */
import type { Runtime } from '../gpu/runtime.ts';

/** The last work asked of a runtime. */
const lastWork = new WeakMap<Runtime, Promise<unknown>>();

/** Runs `work` after everything that was asked of the runtime before it, whether that failed or not. It must ask for no turn itself. */
export function inTurn<R>(runtime: Runtime, work: () => Promise<R>): Promise<R> {
  const turn = (lastWork.get(runtime) ?? Promise.resolve()).then(work, work);
  lastWork.set(
    runtime,
    turn.catch(() => undefined),
  );
  return turn;
}
