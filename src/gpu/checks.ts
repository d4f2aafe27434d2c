/** What a runtime asks of tensors and buffers that it is given, before anything is recorded. */
import { InputError } from '../../kernels/errors.ts';
import { sizeOf, type Caps, type Shape } from '../../kernels/plan.ts';
import type { Tensor, TensorRuntime } from './tensor.ts';
import type { GPUBuffer } from './webgpu.ts';

const [STORAGE, COPY_SRC, COPY_DST] = [0x80, 0x4, 0x8];

/** Errors: dimensions that are no counts. */
export function checkShape(shape: Shape): void {
  if (shape.some((d) => !Number.isInteger(d) || d < 0)) throw new InputError(`[${shape}] is not a shape`);
}

/**
 * The bytes of a tensor in a buffer of somebody else's.
 * @throws InputError for a buffer that no kernel could read, or where it does not fit
 */
export function checkFit(buffer: GPUBuffer, shape: Shape, offset: number, caps: Caps): number {
  checkShape(shape);
  const bytes = 4 * sizeOf(shape);
  const alignment = caps.minStorageBufferOffsetAlignment;
  if (!(buffer.usage & STORAGE)) throw new InputError('wrap: the usage of the buffer must include STORAGE');
  if (!Number.isInteger(offset) || offset < 0 || offset % alignment !== 0)
    throw new InputError(`wrap: the offset must be a multiple of ${alignment} bytes, got ${offset}`);
  if (buffer.size < offset + bytes)
    throw new InputError(
      `wrap: a buffer of ${buffer.size} bytes cannot hold the shape [${shape}] (${bytes} bytes)` +
        (offset > 0 ? ` from byte ${offset} on` : ''),
    );
  return bytes;
}

/** Errors: a tensor of another runtime, or over a wrapped buffer that the host cannot get at. */
export function checkAccess(what: 'read' | 'write', tensor: Tensor, runtime: TensorRuntime): void {
  if (tensor.runtime !== runtime)
    throw new InputError(`${what}: the tensor [${tensor.shape}] is of another runtime`);
  const { external, buffer } = tensor.block;
  if (external && !(buffer.usage & (what === 'read' ? COPY_SRC : COPY_DST)))
    throw new InputError(
      `${what}: the usage of the wrapped buffer must include ${what === 'read' ? 'COPY_SRC' : 'COPY_DST'}`,
    );
}

/** Errors: InputError for values of another type or number than a tensor's. */
export function checkData({ dtype, size, shape }: Tensor, data: Float32Array | Int32Array): void {
  const Kind = dtype === 'i32' ? Int32Array : Float32Array;
  if (!(data instanceof Kind)) {
    const given = Object(data).constructor?.name ?? typeof data;
    throw new InputError(`write: a tensor of ${dtype} is written from ${Kind.name}, got ${given}`);
  }
  if (data.length !== size)
    throw new InputError(`write: ${data.length} values do not fill the shape [${shape}]`);
}
