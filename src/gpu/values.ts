/** What shapes and values of tensors may be, and how the host holds them. */
import { InputError } from '../../kernels/errors.ts';
import { sizeOf, type DType, type Shape } from '../../kernels/plan.ts';

/** Errors: dimensions that are no counts; `what` begins the message. */
export function checkShape(shape: Shape, what = ''): void {
  if (shape.some((d) => !Number.isInteger(d) || d < 0))
    throw new InputError(`${what}[${shape}] is not a shape`);
}

/** Values of a tensor on the host; f16 as their bits. */
export type Values = Float32Array | Int32Array | Uint16Array;

export const ARRAYS = { f32: Float32Array, i32: Int32Array, f16: Uint16Array } as const;
const types = Object.keys(ARRAYS) as DType[];

/** Errors: a type of elements that there is not. */
export function checkType(dtype: DType): void {
  if (!types.includes(dtype))
    throw new InputError(`${JSON.stringify(dtype)} is not a type of elements (${types.join(', ')})`);
}

/** The same bytes, with zeros up to a whole word: as a buffer is written. */
export function wholeWords(data: Values): Values {
  if (data.byteLength % 4 === 0) return data;
  const whole = new Uint16Array(data.length + 1);
  whole.set(data);
  return whole;
}

/**
 * The type of values' elements.
 * @throws InputError for values that are of no type of ours, do not fill a shape, or that no device copies
 */
export function checkUpload(data: Values, shape: Shape): DType {
  const dtype = types.find((one) => data instanceof ARRAYS[one]);
  if (!dtype)
    throw new InputError('upload: the values must be a Float32Array, an Int32Array or a Uint16Array (f16)');
  if (data.length !== sizeOf(shape))
    throw new InputError(`upload: ${data.length} values do not fill the shape [${shape}] (${sizeOf(shape)})`);
  refuseShared('upload', data);
  return dtype;
}

/** Errors: values in memory that threads share, which not every WebGPU copies from. */
export function refuseShared(what: string, { buffer }: Values): void {
  if (globalThis.SharedArrayBuffer && buffer instanceof SharedArrayBuffer)
    throw new InputError(`${what}: the values lie in a SharedArrayBuffer: give a copy, values.slice()`);
}
