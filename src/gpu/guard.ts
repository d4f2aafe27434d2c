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
      const pop = (caught: (why: string) => void): Promise<void> =>
        device.popErrorScope().then(
          (error) => {
            if (error) caught(`${what()}: ${error.message}`);
          },
          () => undefined, // a lost device's, which is reported as such
        );
      const invalid = pop(refuse ?? ((why) => (this.failure ??= new GpuValidationError(why))));
      const full = pop((why) => (this.failure ??= new OutOfMemoryError(why)));
      this.checked = this.checked.then(() => invalid).then(() => full);
    }
  }
}
