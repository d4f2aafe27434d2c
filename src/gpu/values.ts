/** What shapes and values of tensors may be. */
import { InputError } from '../../kernels/errors.ts';
import { sizeOf, type DType, type Shape } from '../../kernels/plan.ts';

/** Errors: dimensions that are no counts; `what` begins the message. */
export function checkShape(shape: Shape, what = ''): void {
  if (shape.some((d) => !Number.isInteger(d) || d < 0))
    throw new InputError(`${what}[${shape}] is not a shape`);
}

/** Errors: a type of elements that there is not. */
export function checkType(dtype: DType): void {
  if (dtype !== 'f32' && dtype !== 'i32')
    throw new InputError(`${JSON.stringify(dtype)} is not a type of elements (f32, i32)`);
}

/** Errors: InputError for values that are of no type of ours, do not fill a shape, or that no device copies. */
export function checkUpload(data: Float32Array | Int32Array, shape: Shape): void {
  if (!(data instanceof Float32Array || data instanceof Int32Array))
    throw new InputError('upload: the values must be a Float32Array or an Int32Array');
  if (data.length !== sizeOf(shape))
    throw new InputError(`upload: ${data.length} values do not fill the shape [${shape}] (${sizeOf(shape)})`);
  refuseShared('upload', data);
}

/** Errors: values in memory that threads share, which not every WebGPU copies from. */
export function refuseShared(what: string, { buffer }: Float32Array | Int32Array): void {
  if (globalThis.SharedArrayBuffer && buffer instanceof SharedArrayBuffer)
    throw new InputError(`${what}: the values lie in a SharedArrayBuffer: give a copy, values.slice()`);
}
