/** Runs a kernel on tensors and puts it on the tape: all differentiable operations go through here. */
import { SpanwiseError } from '../../kernels/errors.ts';
import type { Kernel, Params, Shape } from '../../kernels/plan.ts';
import { Tensor, type TensorRuntime } from '../gpu/tensor.ts';

/**
 * An integer input: host values and their shape. An operation has read them when it returns; under a tape its backward
 * reads them again, so they must not change before that.
 */
export interface HostInts {
  data: Int32Array;
  shape: Shape;
}

export type Inputs = Readonly<Record<string, Tensor | HostInts | undefined>>;

/**
 * The kernel's outputs by name, without those saved for its backward kernel alone. Where a tape records and an input requires a gradient, the
 * backward kernel is recorded. Errors: such an input and no backward kernel, naming the op (nothing has run then).
 */
export function apply(
  runtime: TensorRuntime,
  kernel: Kernel,
  inputs: Inputs,
  params: Params = {},
): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  const host: Record<string, HostInts> = {};
  for (const [name, value] of Object.entries(inputs))
    if (value instanceof Tensor) tensors[name] = value;
    else if (value) host[name] = value;
  const tape = runtime.tape;
  const differentiable = tape ? Object.entries(tensors).filter(([, tensor]) => tensor.requiresGrad) : [];
  const backward = kernel.backward;
  if (differentiable.length > 0 && !backward)
    throw new SpanwiseError(`${kernel.name}: has no backward, and its input requires a gradient`);
  const outputs = runtime.kernel(kernel, tensors, { params, host });
  const saved = kernel.outputs.filter((port) => port.saved && outputs[port.name]).map((port) => port.name);
  const visible = Object.keys(outputs).filter((name) => !saved.includes(name));
  const results = Object.fromEntries(visible.map((name) => [name, outputs[name]]));
  if (!tape || !backward || differentiable.length === 0) {
    for (const name of saved) outputs[name].release();
    return results;
  }

  const wanted = differentiable.map(([name]) => `grad_${name}`);
  const needed = new Set(backward.inputs.map((port) => port.name));
  const pick = (from: Readonly<Record<string, Tensor>>) =>
    Object.fromEntries(Object.entries(from).filter(([name]) => needed.has(name)));
  const known = new Set(backward.params.map((p) => p.name));
  const backwardParams = Object.fromEntries(Object.entries(params).filter(([name]) => known.has(name)));
  tape.record({
    op: kernel.name,
    inputs: differentiable.map(([, tensor]) => tensor),
    outputs: visible.map((name) => outputs[name]),
    saved: saved.map((name) => outputs[name]),
    backward(grads) {
      const zeros: Tensor[] = [];
      const zerosLike = ({ size, shape }: Tensor): Tensor => {
        zeros.push(runtime.upload(new Float32Array(size), shape, 'gradients'));
        return zeros[zeros.length - 1];
      };
      const upstream = Object.fromEntries(
        visible.map((name, i) => [`grad_${name}`, grads[i] ?? zerosLike(outputs[name])]),
      );
      const backwardHost = Object.fromEntries(Object.entries(host).filter(([name]) => needed.has(name)));
      const gradients = runtime.kernel(
        backward,
        { ...pick(tensors), ...pick(outputs), ...upstream },
        { params: backwardParams, host: backwardHost, wanted, label: 'gradients' },
      );
      for (const tensor of zeros) tensor.release();
      return wanted.map((name) => gradients[name]);
    },
  });
  return results;
}
