/**
 * Failures of the device. They are sticky: a runtime that met one (ShaderError, GpuValidationError, DeviceLostError, an
 * OutOfMemoryError that the device reported) rejects every later flush, read and wait with it, because commands that
 * did not run leave tensors undefined. Close it and open another. What is thrown before anything is recorded (a tensor
 * over a limit, a released tensor, an unknown shape) leaves the runtime as it was, and so does what a device says of
 * a wrapped buffer: an InputError, of what was computed with it alone (src/gpu/refusals.ts).
 */
import { SpanwiseError } from '../../kernels/errors.ts';

/** No usable WebGPU adapter: the message says what was tried and what to do next. */
export class DeviceUnavailableError extends SpanwiseError {}

/** The device is gone (driver reset, unplugged, destroyed). Nothing computed since the last read can be trusted. */
export class DeviceLostError extends SpanwiseError {}

/** An allocation failed or exceeds a limit; names the buffer's label, the bytes asked for and the limit. */
export class OutOfMemoryError extends SpanwiseError {}

/** WGSL that does not compile or a pipeline that cannot be made; names the kernel and lists the diagnostics. */
export class ShaderError extends SpanwiseError {}

/** WebGPU refused a command; names what was being done. */
export class GpuValidationError extends SpanwiseError {}
