import { InputError } from '../errors.ts';
import { checkLengths as check } from '../shared/lengths.ts';
import type { RefParams, RefTensor, RefTensors } from './types.ts';

/** Number of elements of a shape; 1 for a scalar's []. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** A float64 tensor of zeros. */
export function zeros(shape: readonly number[]): RefTensor & { data: Float64Array } {
  return { shape: [...shape], data: new Float64Array(sizeOf(shape)) };
}

/** A float64 tensor over `data`, in row-major order. */
export function tensor(shape: readonly number[], data: Float64Array): RefTensor {
  return { shape: [...shape], data };
}

/**
 * Checks a kernel's inputs against symbolic shapes and returns the value of every symbol.
 *
 * A pattern is written as docs/spec.md#kernels writes shapes: `'B L d'`, a number for a fixed axis, `'...'` first for
 * any leading axes (their product comes back as `rows`; every pattern with `...` must agree on them), and `i32` before
 * it for int32 data. A name that ends in `?` may be absent.
 *
 * @throws InputError that names kernel, tensor and axis for a missing tensor, a wrong type, rank, or size.
 */
export function bindShapes(
  kernel: string,
  tensors: RefTensors,
  patterns: Readonly<Record<string, string>>,
): Record<string, number> {
  const sizes: Record<string, number> = {};
  let leading: readonly number[] | undefined;
  for (const [key, pattern] of Object.entries(patterns)) {
    const name = key.replace('?', '');
    const given: RefTensor | undefined = tensors[name];
    if (!given) {
      if (key.endsWith('?')) continue;
      throw new InputError(`${kernel}: input ${name} is missing`);
    }
    const axes = pattern.split(' ').filter((axis) => axis !== '');
    const integer = axes[0] === 'i32';
    if (integer) axes.shift();
    if (given.data instanceof Int32Array !== integer) {
      throw new InputError(`${kernel}: ${name} must hold ${integer ? 'int32' : 'float64'} values`);
    }
    const wrong = () =>
      new InputError(`${kernel}: ${name} has shape [${given.shape.join(',')}], expected [${axes.join(',')}]`);
    if (given.data.length !== sizeOf(given.shape)) {
      throw new InputError(
        `${kernel}: ${name} has ${given.data.length} values for shape [${given.shape.join(',')}]`,
      );
    }
    const free = axes[0] === '...';
    const named = free ? axes.slice(1) : axes;
    const first = given.shape.length - named.length;
    if (free ? first < 0 : first !== 0) throw wrong();
    if (free) {
      const own = given.shape.slice(0, first);
      leading ??= own;
      if (own.join() !== leading.join()) {
        throw new InputError(
          `${kernel}: ${name} has leading axes [${own.join(',')}], others [${leading.join(',')}]`,
        );
      }
      sizes.rows = sizeOf(own);
    }
    named.forEach((axis, i) => {
      const size = given.shape[first + i];
      const expected = /^\d+$/.test(axis) ? Number(axis) : (sizes[axis] ??= size);
      if (size !== expected) {
        throw new InputError(`${kernel}: axis ${axis} of ${name} is ${size}, expected ${expected}`);
      }
    });
  }
  return sizes;
}

/**
 * The upstream gradient `grad_<output>`, checked to be float64 of the output's shape.
 *
 * @throws InputError that names kernel and gradient where it is missing or of another shape.
 */
export function upstream(
  kernel: string,
  grads: RefTensors,
  output: string,
  shape: readonly number[],
): RefTensor['data'] {
  const name = `grad_${output}`;
  bindShapes(kernel, grads, { [name]: shape.join(' ') });
  return grads[name].data;
}

/**
 * A finite numeric parameter; `fallback` where it is absent.
 *
 * @throws InputError that names kernel and parameter where it is missing without a fallback, or not a finite number.
 */
export function numberParam(kernel: string, params: RefParams, name: string, fallback?: number): number {
  const value = params[name] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new InputError(`${kernel}: param ${name} must be a number, got ${JSON.stringify(value)}`);
  }
  return value;
}

/**
 * An integer parameter in [`min`, `max`]; `fallback` where it is absent.
 *
 * @throws InputError that names kernel, parameter and range.
 */
export function integerParam(
  kernel: string,
  params: RefParams,
  name: string,
  range: { min: number; max?: number; fallback?: number },
): number {
  const { min, max = 2 ** 32 - 1, fallback } = range;
  const value = numberParam(kernel, params, name, fallback);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new InputError(`${kernel}: param ${name} must be an integer from ${min} to ${max}, got ${value}`);
  }
  return value;
}

/**
 * Checks that every value of `lengths` i32[B] is in [0, `longest`].
 *
 * @throws InputError that names the row.
 */
export const checkLengths = (kernel: string, lengths: RefTensor, longest?: number): void =>
  check(kernel, lengths.data, longest);
