/** A kernel on a device against its float64 reference. */
import { SpanwiseError } from '../../kernels/errors.ts';
import { kernelNamed } from '../../kernels/index.ts';
import { errorBounds } from '../../kernels/reference/bounds.ts';
import { randomTensors, referenceCases } from '../../kernels/reference/cases.ts';
import { references } from '../../kernels/reference/index.ts';
import { allowed, type Bounds, type ErrorBound } from '../../kernels/reference/rounding.ts';
import { relativeError } from '../../kernels/shared/relative-error.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { widened, type HostTensor } from '../io/safetensors.ts';
import { prepareKernelRun, runKernel } from './run-kernel.ts';

/** The largest relative error of a tensor that counts as agreement, whatever its bound allows. */
export const TOLERANCE = 1e-4;

/** The element that is farthest from its reference, in ULP. */
export interface WorstElement {
  /** Which of the kernel's cases, from 0. */
  case: number;
  tensor: string;
  /** Its coordinates. */
  index: number[];
  /** null where it is no number, or is not there. */
  actual: number | null;
  expected: number;
  /** |actual − expected| in units in the last place of the tensor's largest number; null where it is none. */
  ulps: number | null;
}

export interface Verification {
  kernel: string;
  cases: number;
  /** Largest relative error of an output; null where one is no number or the run failed. */
  forward: number | null;
  /** What rounding may make of it, a priori (docs/accuracy.md): of the output that its bound allows most. */
  forwardBound?: number;
  /** The same of a gradient; undefined for a kernel without gradients. */
  backward?: number | null;
  backwardBound?: number;
  /** Where the bounds come from, or why there are none. */
  bound?: string;
  worst?: WorstElement;
  /** Whether every tensor's relative error is within `TOLERANCE` and within its bound. */
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

/** The relative error that a bound allows a tensor, measured as `relativeError` does. */
const relativeBound = (bound: ErrorBound, { data }: RefTensor): number =>
  relativeError(
    Float64Array.from(data, (x, i) => x + allowed(bound, i)),
    data,
  );

function coordinates(at: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  for (const n of shape.toReversed()) {
    index.unshift(at % n);
    at = Math.floor(at / n);
  }
  return index;
}

/** The element of a tensor that is farthest from its reference; undefined of a tensor without elements. */
function worstOf(
  actual: ArrayLike<number>,
  { shape, data }: RefTensor,
): Omit<WorstElement, 'case' | 'tensor'> | undefined {
  if (data.length === 0) return undefined;
  const error = (i: number): number => {
    const apart = Math.abs(actual[i] - data[i]);
    return Number.isNaN(apart) ? Infinity : apart;
  };
  let [at, magnitude] = [0, 2 ** -126];
  for (let i = 0; i < data.length; i++) {
    if (error(i) > error(at)) at = i;
    magnitude = Math.max(magnitude, Math.abs(data[i]));
  }
  const ulp = 2 ** (Math.floor(Math.log2(magnitude)) - 23);
  return {
    index: coordinates(at, shape),
    actual: orNull(actual[at]),
    expected: data[at],
    ulps: orNull(error(at) / ulp),
  };
}

/** The tensors of one pass of all cases, as far as they have been compared. */
class Pass {
  readonly errors: number[] = [];
  readonly bounds: number[] = [];
  ok = true;
  worst: WorstElement | undefined;

  compare(
    at: number,
    actual: ReadonlyMap<string, HostTensor>,
    expected: RefTensors,
    bounds: Bounds | undefined,
  ): void {
    for (const [tensor, reference] of Object.entries(expected)) {
      const data = actual.get(tensor)?.data ?? [];
      const error = relativeError(data, reference.data);
      this.errors.push(error);
      const bound = bounds && relativeBound(bounds[tensor], reference);
      if (bound !== undefined) this.bounds.push(bound);
      this.ok &&= error <= Math.min(TOLERANCE, bound ?? TOLERANCE);
      const worst = worstOf(data, reference);
      if (worst) this.worst = farther(this.worst, { case: at, tensor, ...worst });
    }
  }

  get bound(): number | undefined {
    return this.bounds.length > 0 ? largest(this.bounds) : undefined;
  }
}

/** The element that is farther off; of two alike the first. */
function farther(a: WorstElement | undefined, b: WorstElement | undefined): WorstElement | undefined {
  if (!a || !b) return a ?? b;
  return (b.ulps ?? Infinity) > (a.ulps ?? Infinity) ? b : a;
}

/**
 * Runs the reference cases of a kernel forward and, where it has gradients, backward.
 * @returns undefined for a kernel that has no reference. A kernel that fails to run is a result, not an error.
 */
export async function verifyKernel(runtime: Runtime, name: string): Promise<Verification | undefined> {
  if (!Object.hasOwn(references, name)) return undefined;
  const kernel = kernelNamed(name);
  const reference = references[name];
  const bounds = errorBounds[name];
  const cases = referenceCases(name);
  const random = randomTensors(2);
  const [forward, backward] = [new Pass(), new Pass()];
  const differentiable = kernel.backward !== undefined && reference.backward !== undefined;
  try {
    for (const [at, { inputs, params }] of cases.entries()) {
      const expected = reference.forward(inputs, params);
      const grads: RefTensors = {};
      if (differentiable)
        for (const [output, { shape, data }] of Object.entries(expected))
          if (data instanceof Float64Array) grads[`grad_${output}`] = random(...shape);
      const tensors = new Map(
        Object.entries({ ...inputs, ...grads }).map(([key, tensor]) => [key, toHost(tensor)]),
      );
      const run = prepareKernelRun(kernel, tensors, params, differentiable, 'verify');
      const results = await runKernel(runtime, run);
      const actual = new Map([...results].map(([key, tensor]) => [key, widened(tensor)]));
      const gradients = differentiable ? (reference.backward?.(inputs, params, grads) ?? {}) : {};
      const checked = { reference, inputs, params, expected, grads, gradients };
      forward.compare(at, actual, expected, bounds.forward?.(checked));
      if (differentiable) backward.compare(at, actual, gradients, bounds.backward?.(checked));
    }
  } catch (error) {
    if (!(error instanceof SpanwiseError)) throw error;
    const message = error.message.split('\n')[0];
    return { kernel: name, cases: cases.length, forward: null, ok: false, error: message };
  }
  return {
    kernel: name,
    cases: cases.length,
    forward: orNull(largest(forward.errors)),
    forwardBound: forward.bound,
    ...(differentiable ? { backward: orNull(largest(backward.errors)), backwardBound: backward.bound } : {}),
    bound: bounds.why,
    worst: farther(forward.worst, backward.worst),
    ok: cases.length > 0 && forward.ok && backward.ok,
  };
}
