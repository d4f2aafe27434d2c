import type { Test } from 'tape';
import { philox4x32 } from '../../../kernels/shared/philox.ts';
import type { Reference, RefParams, RefTensor, RefTensors } from '../../../kernels/reference/types.ts';

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
let drawn = 0;

/** A float64 tensor of uniform values in (−`spread`, `spread`), different at every call, the same in every run. */
export function random(shape: readonly number[], spread = 1): RefTensor & { data: Float64Array } {
  const data = Float64Array.from({ length: sizeOf(shape) }, () => {
    const [word] = philox4x32([drawn++, 0, 0, 0], [7, 0]);
    return spread * (((word + 0.5) / 2 ** 32) * 2 - 1);
  });
  return { shape, data };
}

/** A float64 tensor of the values given. */
export function floats(
  shape: readonly number[],
  data: readonly number[],
): RefTensor & { data: Float64Array } {
  return { shape, data: Float64Array.from(data) };
}

/** An int32 tensor of the values given. */
export function ints(shape: readonly number[], data: readonly number[]): RefTensor & { data: Int32Array } {
  return { shape, data: Int32Array.from(data) };
}

/** ‖a − b‖₂ / max(‖b‖₂, 1e-3), the relative error of a tensor; NaN where either holds one. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), 1e-3);
}

/** Random upstream gradients for a kernel's outputs. */
export function upstreamOf(outputs: RefTensors): RefTensors {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { shape }]) => [`grad_${name}`, random(shape, 3)]),
  );
}

/**
 * Asserts that `reference.backward` returns the gradient of every float input, and nothing else, within 1e-6 relative
 * of central differences (step 1e-6) of Σ upstream · output for a random upstream gradient.
 */
export function gradcheck(
  t: Test,
  label: string,
  reference: Reference,
  inputs: RefTensors,
  params: RefParams = {},
): void {
  const upstream = upstreamOf(reference.forward(inputs, params));
  const loss = () => {
    const outputs = reference.forward(inputs, params);
    let sum = 0;
    for (const [name, { data }] of Object.entries(outputs)) {
      for (let i = 0; i < data.length; i++) sum += data[i] * upstream[`grad_${name}`].data[i];
    }
    return sum;
  };
  const gradients = reference.backward!(inputs, params, upstream);
  const floatNames = Object.keys(inputs).filter((name) => inputs[name].data instanceof Float64Array);
  const expectedNames = floatNames.map((name) => `grad_${name}`).sort();
  t.deepEqual(Object.keys(gradients).sort(), expectedNames, `${label}: one gradient per float input`);
  for (const name of floatNames) {
    const { data, shape } = inputs[name];
    const numeric = new Float64Array(data.length);
    for (let i = 0; i < data.length; i++) {
      const value = data[i];
      data[i] = value + 1e-6;
      const above = loss();
      data[i] = value - 1e-6;
      const below = loss();
      data[i] = value;
      numeric[i] = (above - below) / 2e-6;
    }
    const gradient = gradients[`grad_${name}`];
    t.deepEqual([...gradient.shape], [...shape], `${label}: grad_${name} has the shape of ${name}`);
    const error = relativeError(gradient.data, numeric);
    t.ok(
      gradient.data.length === numeric.length && error < 1e-6,
      `${label}: grad_${name} off by ${error.toExponential(1)}`,
    );
  }
}
