/** A kernel on a device against its float64 reference. */
import { SpanwiseError } from '../../kernels/errors.ts';
import { kernelNamed } from '../../kernels/index.ts';
import { randomTensors, referenceCases } from '../../kernels/reference/cases.ts';
import { references } from '../../kernels/reference/index.ts';
import { relativeError } from '../../kernels/shared/relative-error.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import type { Runtime } from '../gpu/runtime.ts';
import type { HostTensor } from '../io/safetensors.ts';
import { prepareKernelRun, runKernel } from './run-kernel.ts';

/** The largest relative error of a tensor that counts as agreement: float32 sums of a few hundred terms stay below. */
export const TOLERANCE = 1e-4;

export interface Verification {
  kernel: string;
  cases: number;
  /** Largest relative error of an output; null where one is no number or the run failed. */
  forward: number | null;
  /** The same of a gradient; undefined for a kernel without gradients. */
  backward?: number | null;
  ok: boolean;
  /** Why the run failed, where it did. */
  error?: string;
}

/** A reference tensor as the host holds it for a device. */
export const toHost = ({ shape, data }: RefTensor): HostTensor =>
  data instanceof Int32Array
    ? { shape, dtype: 'i32', data }
    : { shape, dtype: 'f32', data: Float32Array.from(data) };

/** NaN where any is NaN, 0 of none. */
const largest = (values: readonly number[]): number => Math.max(0, ...values);

/** JSON has no NaN. */
const orNull = (value: number): number | null => (Number.isFinite(value) ? value : null);

/**
 * Runs the reference cases of a kernel forward and, where it has gradients, backward.
 * @returns undefined for a kernel that has no reference. A kernel that fails to run is a result, not an error.
 */
export async function verifyKernel(runtime: Runtime, name: string): Promise<Verification | undefined> {
  if (!Object.hasOwn(references, name)) return undefined;
  const kernel = kernelNamed(name);
  const reference = references[name];
  const cases = referenceCases(name);
  const random = randomTensors(2);
  const forward: number[] = [];
  const backward: number[] = [];
  const differentiable = kernel.backward !== undefined && reference.backward !== undefined;
  try {
    for (const { inputs, params } of cases) {
      const expected = reference.forward(inputs, params);
      const grads: RefTensors = {};
      if (differentiable)
        for (const [output, { shape, data }] of Object.entries(expected))
          if (data instanceof Float64Array) grads[`grad_${output}`] = random(...shape);
      const tensors = new Map(
        Object.entries({ ...inputs, ...grads }).map(([key, tensor]) => [key, toHost(tensor)]),
      );
      const run = prepareKernelRun(kernel, tensors, params, differentiable, 'verify');
      const actual = await runKernel(runtime, run);
      const error = (key: string, { data }: RefTensor): number =>
        relativeError(actual.get(key)?.data ?? [], data);
      for (const [key, tensor] of Object.entries(expected)) forward.push(error(key, tensor));
      const gradients = differentiable ? reference.backward?.(inputs, params, grads) : undefined;
      for (const [key, tensor] of Object.entries(gradients ?? {})) backward.push(error(key, tensor));
    }
  } catch (error) {
    if (!(error instanceof SpanwiseError)) throw error;
    const message = error.message.split('\n')[0];
    return { kernel: name, cases: cases.length, forward: null, ok: false, error: message };
  }
  return {
    kernel: name,
    cases: cases.length,
    forward: orNull(largest(forward)),
    ...(differentiable ? { backward: orNull(largest(backward)) } : {}),
    ok: cases.length > 0 && largest([...forward, ...backward]) <= TOLERANCE,
  };
}
