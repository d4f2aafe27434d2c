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
import { hostTensor, narrowed, widened, type StoredTensor } from '../io/safetensors.ts';
import type { HostInts } from './apply.ts';

/** A kernel with all that it needs, checked. */
export interface KernelRun {
  kernel: Kernel;
  params: Params;
  /** Inputs that go to the device, stored as it takes them, and those that the plan reads. */
  device: Readonly<Record<string, StoredTensor>>;
  host: Readonly<Record<string, HostInts>>;
  /** `grad_<output>` of every float output, stored as that is; absent for a forward run. */
  upstream?: Readonly<Record<string, StoredTensor>>;
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

/** As a port takes it: f16 where that takes nothing else, or takes f16 too and is given them. */
const fitted = (tensor: StoredTensor, { dtype, f16 }: Pick<Port, 'dtype' | 'f16'>): StoredTensor =>
  dtype === 'f16' ? narrowed(tensor) : f16 ? tensor : widened(tensor);

/**
 * Checks inputs against a kernel's ports, then shapes, params and integer values against its plan; no device is
 * needed. f16 stay so where a port takes them, and are widened where not; what is f16 alone is rounded to it.
 * @param tensors the inputs by name, and with `gradients` also `grad_<output>` for every float output
 * @param what names the source of the tensors in errors
 * @throws InputError for an unknown, missing or mis-typed tensor, all that the kernel's plan refuses, an upstream
 *   gradient of another shape than its output, and `gradients` of a kernel that has none
 */
export function prepareKernelRun(
  kernel: Kernel,
  tensors: ReadonlyMap<string, StoredTensor>,
  params: Params,
  gradients: boolean,
  what: string,
): KernelRun {
  checkParams(kernel, params);
  if (gradients && !kernel.backward) throw new InputError(`${kernel.name}: has no gradient`);
  const device: Record<string, StoredTensor> = {};
  const host: Record<string, HostInts> = {};
  const upstream: Record<string, StoredTensor> = {};
  for (const [name, tensor] of tensors) {
    if (gradients && name.startsWith('grad_') && !portOf(kernel.inputs, name)) {
      upstream[name] = tensor;
      continue;
    }
    const port = inputPort(kernel, name, what);
    if ((port.dtype === 'i32') !== (tensor.dtype === 'i32'))
      throw new InputError(
        `${what}: tensor "${name}" holds ${tensor.dtype === 'i32' ? 'integers, not floats' : 'floats, not integers'}`,
      );
    else if (port.host && tensor.data instanceof Int32Array)
      host[name] = { data: tensor.data, shape: tensor.shape };
    else device[name] = fitted(tensor, port);
  }
  for (const { name, optional } of kernel.inputs)
    if (!optional && !tensors.has(name))
      throw new InputError(`${what}: tensor "${name}" is missing (${takes(kernel)})`);

  for (const [name, { shape }] of tensors) expectSize(what, name, shape);
  const shapes = Object.fromEntries(
    Object.entries({ ...device, ...host }).map(([name, { shape }]) => [name, shape]),
  );
  const hostData = Object.fromEntries(Object.entries(host).map(([name, { data }]) => [name, data]));
  const f16 = Object.keys(device).filter((name) => device[name].dtype === 'f16');
  const plan = kernel.plan({ shapes, params, caps: defaultCaps, host: hostData, f16 });
  if (!gradients) return { kernel, params, device, host };

  const expected = visibleOutputs(kernel, plan.outputs).filter((name) => plan.outputs[name].dtype !== 'i32');
  for (const name of Object.keys(upstream))
    if (!expected.includes(name.slice('grad_'.length)))
      throw new InputError(
        `${what}: tensor "${name}" is not the gradient of an output (${kernel.name} gives ${expected.join(', ')})`,
      );
  for (const output of expected) {
    const { shape, dtype } = plan.outputs[output];
    const given = upstream[`grad_${output}`];
    if (!given) throw new InputError(`${what}: tensor "grad_${output}" is missing`);
    if (given.dtype === 'i32')
      throw new InputError(`${what}: tensor "grad_${output}" holds integers, not floats`);
    if (given.shape.length !== shape.length || given.shape.some((d, i) => d !== shape[i]))
      throw new InputError(
        `${what}: tensor "grad_${output}" must have the shape [${shape}] of ${output}, got [${given.shape}]`,
      );
    upstream[`grad_${output}`] = fitted(given, { dtype });
  }
  return { kernel, params, device, host, upstream };
}

/**
 * Runs a kernel.
 * @returns its outputs by name (not what is saved for the backward kernel), then, where `upstream` is given,
 *   `grad_<input>` of every float input
 */
export async function runKernel(runtime: Runtime, run: KernelRun): Promise<Map<string, StoredTensor>> {
  const { kernel, params, host } = run;
  return runtime.scope(async () => {
    const upload = ({ data, shape }: StoredTensor): Tensor => runtime.upload(data, shape);
    const inputs = Object.fromEntries(
      Object.entries(run.device).map(([name, tensor]) => [name, upload(tensor)]),
    );
    const outputs = runtime.kernel(kernel, inputs, { params, host });
    const results = Object.fromEntries(visibleOutputs(kernel, outputs).map((name) => [name, outputs[name]]));
    if (run.upstream) {
      const { upstream } = run;
      const request = backwardRequest(
        kernel,
        { inputs, host, outputs, params },
        (name) => upload(upstream[`grad_${name}`]),
        Object.keys(inputs).filter((name) => inputs[name].dtype !== 'i32'),
      );
      const gradients = runtime.kernel(request.kernel, request.inputs, { ...request, label: 'gradients' });
      for (const name of request.wanted) results[name] = gradients[name];
    }
    const entries = Object.entries(results);
    const values = await runtime.readAll(entries.map(([, tensor]) => tensor));
    return new Map(
      entries.map(([name, { shape, dtype }], i): [string, StoredTensor] => {
        const tensor = hostTensor(shape, values[i]);
        return [name, dtype === 'f16' ? narrowed(tensor) : tensor];
      }),
    );
  });
}
