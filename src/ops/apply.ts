/** Runs a kernel on tensors and puts it on the tape: all differentiable operations go through here. */
import { InputError, SpanwiseError } from '../../kernels/errors.ts';
import type { Kernel, Params, Shape } from '../../kernels/plan.ts';
import type { BackwardInput, KernelPlan } from '../gpu/kernel-plan.ts';
import { ARRAYS } from '../gpu/values.ts';
import type { GradientPlace, Node, Tensor, TensorRuntime } from '../gpu/tensor.ts';

/**
 * An integer input: host values and their shape. An operation has read them when it returns, and so has its backward.
 */
export interface HostInts {
  data: Int32Array;
  shape: Shape;
}

export type Inputs = Readonly<Record<string, Tensor | HostInts | undefined>>;

/**
 * The kernel's outputs by name, without those saved for its backward kernel alone. Where a tape records and an input
 * requires a gradient, the backward kernel is recorded. Errors: such an input and no backward kernel, naming the op
 * (nothing has run then).
 */
export function apply(
  runtime: TensorRuntime,
  kernel: Kernel,
  inputs: Inputs,
  params: Params = {},
): Record<string, Tensor> {
  const { plan, outputs } = run(runtime, kernel, inputs, params);
  const results: Record<string, Tensor> = {};
  for (let i = 0; i < outputs.length; i++)
    if (plan.visible[i]) results[plan.ready.outputs[i].name] = outputs[i];
  return results;
}

/** The same of a kernel with one output to look at, which is returned. */
export function applyOne(
  runtime: TensorRuntime,
  kernel: Kernel,
  inputs: Inputs,
  params: Params,
  output: string,
): Tensor {
  const { plan, outputs } = run(runtime, kernel, inputs, params);
  const named = plan.ready.outputs;
  let at = 0;
  while (named[at].name !== output) at++;
  return outputs[at];
}

/** Runs a kernel and records it. @returns its plan, and the outputs as they stand there: of those not visible some are released */
function run(
  runtime: TensorRuntime,
  kernel: Kernel,
  inputs: Inputs,
  params: Params,
): { plan: KernelPlan; outputs: readonly Tensor[] } {
  const names = Object.keys(inputs);
  const given: (Tensor | HostInts)[] = new Array(names.length);
  /** Places of the inputs that require a gradient. */
  const differentiable: number[] = [];
  const { tape } = runtime;
  let count = 0;
  for (const name of names) {
    const input = inputs[name];
    if (!input) continue;
    if (tape && (input as Partial<Tensor>).requiresGrad) differentiable.push(count);
    names[count] = name;
    given[count++] = input;
  }
  if (count < names.length) names.length = given.length = count;
  if (differentiable.length > 0 && !kernel.backward)
    throw new SpanwiseError(`${kernel.name}: has no backward, and its input requires a gradient`);
  const plan = runtime.plan({ kernel, names, given, params });
  const outputs = runtime.execute(plan.ready, given, 'activations');
  if (tape && differentiable.length > 0)
    tape.record(new KernelRun(runtime, plan, given, outputs, differentiable));
  else for (let i = 0; i < outputs.length; i++) if (!plan.visible[i]) outputs[i].release();
  return { plan, outputs };
}

/** A run of a kernel on the tape. */
class KernelRun implements Node {
  readonly op: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly #runtime: TensorRuntime;
  readonly #plan: KernelPlan;
  readonly #given: readonly (Tensor | HostInts)[];
  readonly #differentiable: readonly number[];
  /** When it ran, in terms of `TensorRuntime.writes`. */
  readonly #ranAt: number;

  constructor(
    runtime: TensorRuntime,
    plan: KernelPlan,
    given: readonly (Tensor | HostInts)[],
    outputs: readonly Tensor[],
    differentiable: readonly number[],
  ) {
    this.op = plan.kernel.name;
    this.#runtime = runtime;
    this.#plan = plan;
    this.#given = given;
    this.outputs = outputs;
    this.#differentiable = differentiable;
    this.#ranAt = runtime.writes;
    const inputs: Tensor[] = new Array(differentiable.length);
    for (let i = 0; i < inputs.length; i++) inputs[i] = given[differentiable[i]] as Tensor;
    this.inputs = inputs;
  }

  backward(grads: readonly (Tensor | undefined)[], places: readonly (GradientPlace | undefined)[]): Tensor[] {
    const runtime = this.#runtime;
    const { plan, inputs, gradients, added } = this.#plan.backward(this.#differentiable, places);
    let zeros: Tensor[] | undefined;
    const given: (Tensor | HostInts | undefined)[] = new Array(inputs.length);
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i];
      if (input?.from === 'gradients') {
        let grad = grads[input.at];
        if (!grad) {
          const { size, shape, dtype } = this.outputs[input.at];
          grad = runtime.upload(new ARRAYS[dtype](size), shape, 'gradients');
          (zeros ??= []).push(grad);
        }
        given[i] = grad;
      } else given[i] = input && this.#saved(input);
    }
    // What no dispatch reads may have been released, and its memory be another's.
    for (const { place } of plan.ready.bound) {
      const input = inputs[place];
      if (input && input.from !== 'gradients') this.#checkUnwritten(input);
    }
    let into: (Tensor | undefined)[] | undefined;
    for (let i = 0; i < places.length; i++) {
      const place = places[i];
      const at = gradients[i];
      // One buffer cannot be read and written in one dispatch, and places may share one.
      if (place && (place.add ? added[i] : !plan.ready.read[at])) (into ??= [])[at] = place.tensor;
    }
    const made = runtime.execute(plan.ready, given, 'gradients', into);
    if (zeros) for (const tensor of zeros) tensor.release();
    const results: Tensor[] = new Array(gradients.length);
    for (let i = 0; i < results.length; i++) results[i] = made[gradients[i]];
    return results;
  }

  #saved({ from, at }: BackwardInput): Tensor {
    return (from === 'inputs' ? this.#given : this.outputs)[at] as Tensor;
  }

  /** Errors: what the backward reads was written over since the forward, as PyTorch's version counters tell. */
  #checkUnwritten(input: BackwardInput): void {
    const { shape, released, writtenAt } = this.#saved(input);
    if (released || writtenAt <= this.#ranAt) return; // a released one is refused where it is bound
    const { names, ready } = this.#plan;
    const name = input.from === 'inputs' ? names[input.at] : ready.outputs[input.at].name;
    throw new InputError(
      `${this.op}: one of the variables needed for gradient computation has been modified in place: "${name}" ` +
        `[${shape}] was written between forward and backward`,
    );
  }
}
