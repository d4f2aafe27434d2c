/** Error scopes around what is asked of the device, and the failure that ends a runtime (src/gpu/errors.ts). */
import { GpuValidationError, OutOfMemoryError } from './errors.ts';
import type { GPUDevice } from './webgpu.ts';

export class Guard {
  readonly #device: GPUDevice;
  /** The first failure. */
  failure: Error | undefined;
  /** Settles when every error scope so far has been popped. */
  checked: Promise<unknown> = Promise.resolve();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * Runs `body` under error scopes. What they catch is the failure, and names `what`; unless `refuse` is there to take it.
   */
  run<T>(what: () => string, body: () => T, refuse?: (why: string) => void): T {
    const device = this.#device;
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    try {
      return body();
    } finally {
      const check = async (Kind: typeof GpuValidationError): Promise<void> => {
        const error = await device.popErrorScope();
        if (!error) return;
        if (refuse && Kind === GpuValidationError) refuse(`${what()}: ${error.message}`);
        else this.failure ??= new Kind(`${what()}: ${error.message}`);
      };
      // A scope that cannot be popped belongs to a lost device, which is reported as such.
      const popped = Promise.allSettled([check(GpuValidationError), check(OutOfMemoryError)]);
      this.checked = this.checked.then(() => popped);
    }
  }
}
