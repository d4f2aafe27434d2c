/**
 * What WGSL lets a device do to a float32 number (https://www.w3.org/TR/WGSL/#floating-point-accuracy), in units of
 * `ULP`, and the sums that error bounds are made of.
 */
import type { Reference, RefParams, RefTensor, RefTensors } from './types.ts';

/** One unit in the last place relative to the number: WGSL names no rounding mode, so this, not its half, is a rounding. */
export const ULP = 2 ** -23;

/** + − * are correctly rounded; fma may be a product and a sum. */
export const ROUNDED = 1;
export const DIVISION = 2.5;
/** 1 / inverseSqrt(x), whose own is 2. */
export const SQUARE_ROOT = 4.5;
/** exp(x) and exp2(x) for |x| ≤ range, and the same where x is a difference that was rounded itself. */
export const exponential = (range: number): number => 3 + 2 * range;
export const exponentialOfDifference = (range: number): number => exponential(range) + range;
/** Absolute, of log(x): 3 ULP of it, or 2^-21 where x is in [1/2, 2]. */
export const logarithm = (largest: number): number => Math.max(3 * largest, 4);
/** Absolute: 1e-5, which is more than sinh / cosh for the |x| ≤ 15 that shaders let through. */
export const HYPERBOLIC_TANGENT = 1e-5 / ULP;
/** An error of at most `ulps` roundings of a number as large as `of`: of each element, or of all alike. */
export interface ErrorBound {
  ulps: number;
  of: ArrayLike<number> | number;
}

/** By the name of a tensor. */
export type Bounds = Record<string, ErrorBound>;

/** A case that a device ran, and what the reference says of it. */
export interface Checked {
  reference: Reference;
  inputs: RefTensors;
  params: RefParams;
  /** Outputs. */
  expected: RefTensors;
  /** Of the outputs: what the backward was given; none forward. */
  grads: RefTensors;
  /** Of the inputs. */
  gradients: RefTensors;
}

export interface KernelBounds {
  /** Where the roundings come from, in a line. */
  why: string;
  forward(checked: Checked): Bounds;
  backward?(checked: Checked): Bounds;
}

/** Relative to each element: of results in which nothing cancels. */
export const relative = (results: RefTensors, ulps: number): Bounds =>
  Object.fromEntries(
    Object.entries(results).map(([name, tensor]) => [name, { ulps, of: magnitudes(tensor).data }]),
  );

/** The absolute error that a bound allows element i: γ = n·ULP / (1 − n·ULP) for n roundings one after the other. */
export function allowed({ ulps, of }: ErrorBound, i: number): number {
  const gamma = ulps * ULP < 1 ? (ulps * ULP) / (1 - ulps * ULP) : Infinity;
  return ulps === 0 ? 0 : gamma * (typeof of === 'number' ? of : of[i]);
}

/** The magnitudes of a tensor; ids, lengths and masks as they are. */
export const magnitudes = ({ shape, data }: RefTensor): RefTensor => ({
  shape,
  data: data instanceof Int32Array ? data : data.map(Math.abs),
});

export const allMagnitudes = (tensors: RefTensors): RefTensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, magnitudes(tensor)]));

/** The largest magnitude of a tensor. */
export const largestOf = ({ data }: RefTensor): number => {
  let largest = 0;
  for (const value of data) largest = Math.max(largest, Math.abs(value));
  return largest;
};
