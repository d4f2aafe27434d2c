/** Runs a kernel on tensors and puts it on the tape: all differentiable operations go through here. */
import { backwardRequest, visibleOutputs } from '../../kernels/backward-request.ts';
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
  if (differentiable.length > 0 && !kernel.backward)
    throw new SpanwiseError(`${kernel.name}: has no backward, and its input requires a gradient`);
  const outputs = runtime.kernel(kernel, tensors, { params, host });
  const visible = visibleOutputs(kernel, outputs);
  const saved = Object.keys(outputs).filter((name) => !visible.includes(name));
  const results = Object.fromEntries(visible.map((name) => [name, outputs[name]]));
  if (!tape || differentiable.length === 0) {
    for (const name of saved) outputs[name].release();
    return results;
  }

  tape.record({
    op: kernel.name,
    inputs: differentiable.map(([, tensor]) => tensor),
    outputs: visible.map((name) => outputs[name]),
    saved: saved.map((name) => outputs[name]),
    backward(grads, places) {
      const zeros: Tensor[] = [];
      const zerosLike = ({ size, shape }: Tensor): Tensor => {
        zeros.push(runtime.upload(new Float32Array(size), shape, 'gradients'));
        return zeros[zeros.length - 1];
      };
      const request = backwardRequest(
        kernel,
        { inputs: tensors, host, outputs, params },
        (name) => grads[visible.indexOf(name)] ?? zerosLike(outputs[name]),
        differentiable.map(([name]) => name),
      );
      const { adds = [] } = request.kernel;
      const used = request.wanted.map((name, i) =>
        places[i]?.add && !adds.includes(name) ? undefined : places[i],
      );
      const gradients = runtime.kernel(request.kernel, request.inputs, {
        ...request,
        into: Object.fromEntries(request.wanted.map((name, i) => [name, used[i]?.tensor])),
        add: request.wanted.filter((_, i) => used[i]?.add),
        label: 'gradients',
      });
      for (const tensor of zeros) tensor.release();
      return request.wanted.map((name) => gradients[name]);
    },
  });
  return results;
}
