/** The public interface, browser-safe. Node adds `openRuntime` in `spanwise/node`. */
export * from '../kernels/index.ts';
export { openDevice, wrapDevice, type DeviceInfo, type OpenedDevice } from './gpu/device.ts';
export * from './gpu/errors.ts';
export type { Label, MemoryReport } from './gpu/memory.ts';
export type { Phase, Work } from './gpu/meter.ts';
export { Runtime, type RuntimeOptions } from './gpu/runtime.ts';
export { Tensor } from './gpu/tensor.ts';
