/** One kernel and its gradients from host tensors to host tensors: the command line and `verify` run it this way. */
import { backwardRequest, visibleOutputs } from '../../kernels/backward-request.ts';
import { InputError } from '../../kernels/errors.ts';
import {
  checkParams,
  defaultCaps,
  expectSize,
  portOf,
  type Kernel,
  type Params,
  type Port,
} from '../../kernels/plan.ts';
import type { Runtime } from '../gpu/runtime.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { narrowToHalves } from '../io/half.ts';
import { hostTensor, type HostTensor } from '../io/safetensors.ts';
import type { HostInts } from './apply.ts';

/** A kernel with all that it needs, checked. */
export interface KernelRun {
  kernel: Kernel;
  params: Params;
  /** Inputs that go to the device, and those that the plan reads. */
  device: Readonly<Record<string, HostTensor>>;
  host: Readonly<Record<string, HostInts>>;
  /** `grad_<output>` of every float output, rounded where that is f16; absent for a forward run. */
  upstream?: Readonly<Record<string, HostTensor>>;
}

/** `bias (optional)`, `spans (integers)`. */
function describePort({ name, dtype, optional }: Port): string {
  const words = [...(dtype === 'i32' ? ['integers'] : []), ...(optional ? ['optional'] : [])];
  return words.length > 0 ? `${name} (${words.join(', ')})` : name;
}

/** `linear takes x, weight, bias (optional)`. */
const takes = (kernel: Kernel): string =>
  `${kernel.name} takes ${kernel.inputs.map(describePort).join(', ')}`;

/**
 * The port that an input of that name belongs to.
 * @param what names the input's source in the error, such as a file
 * @throws InputError where the kernel has no such input
 */
export function inputPort(kernel: Kernel, name: string, what: string): Port {
  const port = portOf(kernel.inputs, name);
  if (!port) throw new InputError(`${what}: tensor "${name}" is not an input (${takes(kernel)})`);
  return port;
}

/**
 * Checks inputs against a kernel's ports, then shapes, params and integer values against its plan; no device is
 * needed.
 * @param tensors the inputs by name, and with `gradients` also `grad_<output>` for every float output
 * @param what names the source of the tensors in errors
 * @throws InputError for an unknown, missing or mis-typed tensor, all that the kernel's plan refuses, an upstream
 *   gradient of another shape than its output, and `gradients` of a kernel that has none
 */
export function prepareKernelRun(
  kernel: Kernel,
  tensors: ReadonlyMap<string, HostTensor>,
  params: Params,
  gradients: boolean,
  what: string,
): KernelRun {
  checkParams(kernel, params);
  if (gradients && !kernel.backward) throw new InputError(`${kernel.name}: has no gradient`);
  const device: Record<string, HostTensor> = {};
  const host: Record<string, HostInts> = {};
  const upstream: Record<string, HostTensor> = {};
  for (const [name, tensor] of tensors) {
    if (gradients && name.startsWith('grad_') && !portOf(kernel.inputs, name)) {
      upstream[name] = tensor;
      continue;
    }
    const port = inputPort(kernel, name, what);
    if ((port.dtype === 'i32') !== (tensor.dtype === 'i32'))
      throw new InputError(
        `${what}: tensor "${name}" holds ${tensor.dtype === 'f32' ? 'floats, not integers' : 'integers, not floats'}`,
      );
    else if (port.host && tensor.data instanceof Int32Array)
      host[name] = { data: tensor.data, shape: tensor.shape };
    else device[name] = tensor;
  }
  for (const { name, optional } of kernel.inputs)
    if (!optional && !tensors.has(name))
      throw new InputError(`${what}: tensor "${name}" is missing (${takes(kernel)})`);

  for (const [name, { shape }] of tensors) expectSize(what, name, shape);
  const shapes = Object.fromEntries(
    Object.entries({ ...device, ...host }).map(([name, { shape }]) => [name, shape]),
  );
  const hostData = Object.fromEntries(Object.entries(host).map(([name, { data }]) => [name, data]));
  const plan = kernel.plan({ shapes, params, caps: defaultCaps, host: hostData });
  if (!gradients) return { kernel, params, device, host };

  const expected = visibleOutputs(kernel, plan.outputs).filter((name) => plan.outputs[name].dtype !== 'i32');
  for (const name of Object.keys(upstream))
    if (!expected.includes(name.slice('grad_'.length)))
      throw new InputError(
        `${what}: tensor "${name}" is not the gradient of an output (${kernel.name} gives ${expected.join(', ')})`,
      );
  for (const output of expected) {
    const { shape } = plan.outputs[output];
    const given = upstream[`grad_${output}`];
    if (!given) throw new InputError(`${what}: tensor "grad_${output}" is missing`);
    if (given.dtype !== 'f32')
      throw new InputError(`${what}: tensor "grad_${output}" holds integers, not floats`);
    if (given.shape.length !== shape.length || given.shape.some((d, i) => d !== shape[i]))
      throw new InputError(
        `${what}: tensor "grad_${output}" must have the shape [${shape}] of ${output}, got [${given.shape}]`,
      );
  }
  return { kernel, params, device, host, upstream };
}

/**
 * Runs a kernel.
 * @returns its outputs by name (not what is saved for the backward kernel), then, where `upstream` is given,
 *   `grad_<input>` of every float input
 */
export async function runKernel(runtime: Runtime, run: KernelRun): Promise<Map<string, HostTensor>> {
  const { kernel, params, host } = run;
  return runtime.scope(async () => {
    // Of a port that takes nothing else the values go up as f16.
    const stored = (name: string, data: HostTensor['data']) =>
      data instanceof Float32Array && portOf(kernel.inputs, name)?.dtype === 'f16'
        ? narrowToHalves(data)
        : data;
    const upload = (tensors: Readonly<Record<string, HostTensor>>): Record<string, Tensor> =>
      Object.fromEntries(
        Object.entries(tensors).map(([name, { data, shape }]) => [
          name,
          runtime.upload(stored(name, data), shape),
        ]),
      );
    const inputs = upload(run.device);
    const outputs = runtime.kernel(kernel, inputs, { params, host });
    const results = Object.fromEntries(visibleOutputs(kernel, outputs).map((name) => [name, outputs[name]]));
    if (run.upstream) {
      const { upstream } = run;
      const request = backwardRequest(
        kernel,
        { inputs, host, outputs, params },
        (name) => {
          const { data, shape } = upstream[`grad_${name}`];
          const halves = outputs[name].dtype === 'f16' && data instanceof Float32Array;
          return runtime.upload(halves ? narrowToHalves(data) : data, shape);
        },
        Object.keys(inputs).filter((name) => inputs[name].dtype === 'f32'),
      );
      const gradients = runtime.kernel(request.kernel, request.inputs, { ...request, label: 'gradients' });
      for (const name of request.wanted) results[name] = gradients[name];
    }
    const entries = Object.entries(results);
    const values = await runtime.readAll(entries.map(([, tensor]) => tensor));
    return new Map(
      entries.map(([name, { shape }], i): [string, HostTensor] => [name, hostTensor(shape, values[i])]),
    );
  });
}
