/**
 * Failures of the device. One of a batch (ShaderError, GpuValidationError, or an InputError about a wrapped buffer) is told
 * by what waits for the batch, and by all that uses or reads what it was to write; the runtime goes on
 * (src/gpu/refusals.ts). A lost device (DeviceLostError), or one that has no memory left (OutOfMemoryError that the device
 * reported), is the end: every later flush, read and wait rejects. Close the runtime and open another. What is thrown before
 * anything is recorded (a tensor over a limit, a released tensor, an unknown shape) leaves all as it was.
 */
import { SpanwiseError } from '../../kernels/errors.ts';

/** No usable WebGPU adapter: the message says what was tried and what to do next. */
export class DeviceUnavailableError extends SpanwiseError {
  override name = 'DeviceUnavailableError';
}

/** The device is gone (driver reset, unplugged, destroyed). Nothing computed since the last read can be trusted. */
export class DeviceLostError extends SpanwiseError {
  override name = 'DeviceLostError';
}

/** An allocation failed or exceeds a limit; names the buffer's label, the bytes asked for and the limit. */
export class OutOfMemoryError extends SpanwiseError {
  override name = 'OutOfMemoryError';
}

/** WGSL that does not compile or a pipeline that cannot be made; names the kernel and lists the diagnostics. */
export class ShaderError extends SpanwiseError {
  override name = 'ShaderError';
}

/** WebGPU refused a command; names what was being done. */
export class GpuValidationError extends SpanwiseError {
  override name = 'GpuValidationError';
}
