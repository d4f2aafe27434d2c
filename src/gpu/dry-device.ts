/**
 * A device that computes nothing and keeps nothing: a runtime on it plans, counts and allocates as on one of the same
 * capabilities, so that its meter and its memory tell what work would take. Whatever is read back is 0.
 */
import type { Caps } from '../../kernels/plan.ts';
import type { DeviceInfo, OpenedDevice } from './device.ts';
import type { GPUDevice } from './webgpu.ts';

/** Stands for every object whose methods only hand on commands. */
function silent(): unknown {
  const target = (): void => undefined;
  return new Proxy(target, {
    // Nothing of it is awaited.
    get: (_, key) => (key === 'then' ? undefined : silent()),
    apply: () => silent(),
  });
}

const dryBuffer = ({ size }: { size: number }) => ({
  size,
  mapAsync: () => Promise.resolve(),
  getMappedRange: (offset = 0, bytes = size - offset) => new ArrayBuffer(bytes),
  unmap: () => undefined,
  destroy: () => undefined,
});

/**
 * @param like the device that work is planned for
 * @param onWrite told of what the host writes to buffers
 */
export function dryDevice(
  { caps, info }: { caps: Caps; info: DeviceInfo },
  onWrite: (...written: Parameters<GPUQueue['writeBuffer']>) => void = () => undefined,
): OpenedDevice {
  const own: Readonly<Record<string, unknown>> = {
    lost: new Promise(() => undefined),
    createBuffer: dryBuffer,
    popErrorScope: () => Promise.resolve(null),
    createComputePipelineAsync: () => Promise.resolve(silent()),
    queue: {
      submit: () => undefined,
      writeBuffer: onWrite,
      onSubmittedWorkDone: () => Promise.resolve(),
    },
  };
  const device = new Proxy(own, { get: (_, key) => own[String(key)] ?? silent() });
  return { device: device as unknown as GPUDevice, caps, info, owned: false };
}
