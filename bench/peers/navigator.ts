/** What peers expect of a browser: `navigator.gpu` and WebGPU's constants, here over the device of a runtime. */
import type { Runtime } from '../../src/node.ts';

/**
 * Shows peers a `navigator.gpu` whose one adapter hands out the runtime's own GPUDevice, so that every side computes on
 * the same device and queue.
 * @returns a function that takes it away again
 */
export async function shareDevice({ device }: Runtime): Promise<() => void> {
  const { globals } = await import('webgpu');
  const adapter = {
    info: device.adapterInfo,
    features: device.features,
    limits: device.limits,
    requestDevice: () => Promise.resolve(device),
  };
  const navigator = { userAgent: 'Node.js', gpu: { requestAdapter: () => Promise.resolve(adapter) } };
  const before = new Map<string, PropertyDescriptor | undefined>();
  for (const [name, value] of Object.entries({ ...globals, navigator })) {
    before.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  const { onuncapturederror } = device;
  return () => {
    device.onuncapturederror = onuncapturederror;
    for (const [name, descriptor] of before)
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else Reflect.deleteProperty(globalThis, name);
  };
}
