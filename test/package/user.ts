/** What a user of the package writes: a program, and a file for the compilers. */

/** One kernel, one operation with its gradient. Prints first what would show were it started twice. */
export const program = `
import { kernelNamed, linear, openRuntime, record, scale, sum } from 'spanwise/node';
console.log('starts');
const runtime = await openRuntime();
const x = runtime.upload(new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3]);
const { out } = runtime.kernel(kernelNamed('softmax'), { x: runtime.upload(new Float32Array([1, 2, 3]), [3]) });
console.log([...(await out.read())].map((value) => value.toFixed(2)).join(' '));
const weight = runtime.upload(new Float32Array([1, 0, 0, 0, 1, 1]), [2, 3]);
weight.requiresGrad = true;
const { result: loss, tape } = await record(runtime, () => sum(scale(linear(x, weight), 0.5)));
tape.backward(loss);
console.log([...(await loss.read())].join(' '));
console.log([...(await weight.grad.read())].join(' '));
runtime.close();
`;

/** Of every entry something, its result by its type. */
export const sample = `
import { openDevice, type Runtime, Tensor, wrapDevice, type OpenedDevice } from 'spanwise';
import { kernelNamed, type Kernel, type Plan } from 'spanwise/kernels';
import { softmax } from 'spanwise/kernels/softmax';
import { linear, openRuntime, record, sum } from 'spanwise/node';

export const kernel: Kernel = kernelNamed('softmax');
export const same: boolean = kernel === softmax;
// @ts-expect-error: a kernel is no number
export const number: number = softmax;
export type Planned = Plan;
export async function gradient(): Promise<ArrayLike<number> | undefined> {
  const runtime: Runtime = await openRuntime({ fallback: false });
  const weight: Tensor = runtime.upload(new Float32Array([1, 2]), [1, 2]);
  const { result, tape } = await record(runtime, () => sum(linear(weight, weight)));
  tape.backward(result);
  return weight.grad?.read();
}
// @ts-expect-error: names of kernels are strings, so the declarations are there
kernelNamed(1);
export const ways: [typeof openDevice, (device: Runtime['device']) => OpenedDevice] = [openDevice, wrapDevice];
`;

/** For a program that has WebGPU's types: they are those that the package takes and gives. */
export const withWebGpu = `
export const opened = (gpu: GPU): Promise<OpenedDevice> => openDevice(gpu);
export const limit = (runtime: Runtime): number => runtime.device.limits.maxBufferSize;
export const wrapped = (runtime: Runtime, buffer: GPUBuffer): GPUBuffer => runtime.wrap(buffer, [4]).buffer;
// @ts-expect-error: a number is no device
wrapDevice(1);
`;
