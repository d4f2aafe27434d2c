/** Runtimes of tests: those of one process share a device, at WebGPU's default limits, and what is compiled for it. */
import test from 'tape';
import { openRuntime as openDevice, Runtime, wrapDevice } from '../src/node.ts';
import { pacedWait } from '../src/gpu/pump.ts';

const owner = await openDevice({ defaultLimits: true });
const { device } = owner;
test.onFinish(() => owner.close());

/** A runtime of its own, with nothing in its memory. `poison` as in `RuntimeOptions`. Closed at the end. */
export function sharedRuntime({ poison = true } = {}): Runtime {
  const runtime = new Runtime(wrapDevice(device), { poison, wait: pacedWait });
  test.onFinish(() => runtime.close());
  return runtime;
}
