/** What a runtime asks of tensors and buffers that it is given, before anything is recorded. */
import { InputError } from '../../kernels/errors.ts';
import { bytesOf, type Caps, type DType, type Shape } from '../../kernels/plan.ts';
import type { ReadyPlan } from './ready-plan.ts';
import type { Tensor, TensorRuntime } from './tensor.ts';
import { ARRAYS, checkShape, refuseShared, type Values } from './values.ts';
import type { GPUBuffer } from './webgpu.ts';

const [STORAGE, COPY_SRC, COPY_DST] = [0x80, 0x4, 0x8];

/**
 * The bytes of a tensor in a buffer of somebody else's.
 * @throws InputError for a buffer that no kernel could read, or where it does not fit
 */
export function checkFit(buffer: GPUBuffer, shape: Shape, dtype: DType, offset: number, caps: Caps): number {
  checkShape(shape);
  const bytes = bytesOf(shape, dtype);
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
export function checkData({ dtype, size, shape }: Tensor, data: Values): void {
  const Kind = ARRAYS[dtype];
  if (!(data instanceof Kind)) {
    const given = Object(data).constructor?.name ?? typeof data;
    throw new InputError(`write: a tensor of ${dtype} is written from ${Kind.name}, got ${given}`);
  }
  if (data.length !== size)
    throw new InputError(`write: ${data.length} values do not fill the shape [${shape}]`);
  refuseShared('write', data);
}

/**
 * Errors: InputError for an output that the plan has not or writes over an input, a tensor of another shape or dtype, one in
 * the buffer of an input, or of another output that it overlaps or that a dispatch reads.
 * @param given the inputs of the plan in their order
 */
export function checkOut(
  kernel: string,
  { outputs, inPlace, read, bound }: ReadyPlan,
  given: readonly unknown[],
  out: Readonly<Record<string, Tensor | undefined>>,
): void {
  const names = outputs.map(({ name }) => name);
  for (const [name, tensor] of Object.entries(out)) {
    if (!tensor) continue;
    const at = names.indexOf(name);
    const fail = (why: string): never => {
      throw new InputError(`${kernel}: out "${name}" ${why}`);
    };
    if (at < 0) fail(`is not an output (it gives ${names.join(', ')})`);
    if (inPlace[at] >= 0) fail('is written over an input');
    const { shape, dtype } = outputs[at];
    if (tensor.dtype !== dtype || String(tensor.shape) !== String(shape))
      fail(`must be ${dtype} [${shape}], got ${tensor.dtype} [${tensor.shape}]`);
    for (const { place, name: input } of bound)
      if ((given[place] as Tensor).buffer === tensor.buffer)
        fail(`lies in the buffer of the input "${input}": no dispatch can read and write one`);
    names.slice(0, at).forEach((before, i) => {
      const other = out[before];
      if (!other || other.buffer !== tensor.buffer) return;
      const apart =
        tensor.offset + tensor.bytes <= other.offset || other.offset + other.bytes <= tensor.offset;
      if (!apart) fail(`overlaps the out "${before}"`);
      if (read[at] || read[i])
        fail(`lies in the buffer of the out "${before}", and a dispatch reads one of them`);
    });
  }
}
