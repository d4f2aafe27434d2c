/** What `bench gate` measures: kernels at fixed shapes, on the devices that plans differ by. Nothing touches a device. */
import {
  bytesOf,
  defaultCaps,
  type Caps,
  type Dispatch,
  type Plan,
  type TensorSpec,
} from '../kernels/plan.ts';
import { wgslOf } from '../kernels/wgsl.ts';
import type { Measured, Quantities } from '../src/gate/baseline.ts';
import { wgslBytes } from '../src/gate/plan-step.ts';
import { formCases, passPlans, type FormCase } from './gpu-forms.cases.ts';
import { byPipeline, pipelineKey } from './gpu-forms.rows.ts';

/** What a GPU has beyond the default limits. */
const gpuCaps: Caps = {
  ...defaultCaps,
  maxStorageBuffersPerShaderStage: 10,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxStorageBufferBindingSize: 2 ** 31 - 4,
  maxBufferSize: 2 ** 31,
};

/** Devices by the name that cases have: SwiftShader, WebGPU's default limits, an NVIDIA GPU, an RDNA 3. */
export const gateCaps: Readonly<Record<string, Caps>> = {
  software: {
    ...defaultCaps,
    maxStorageBuffersPerShaderStage: 12,
    maxComputeWorkgroupStorageSize: 32_768,
    maxStorageBufferBindingSize: 2 ** 30,
    maxBufferSize: 2 ** 30,
    subgroupMinSize: 4,
    subgroupMaxSize: 4,
    software: true,
  },
  default: defaultCaps,
  nvidia: {
    ...gpuCaps,
    maxComputeWorkgroupStorageSize: 49_152,
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    vendor: 'nvidia',
  },
  rdna3: {
    ...gpuCaps,
    maxComputeWorkgroupStorageSize: 65_536,
    subgroupMinSize: 32,
    subgroupMaxSize: 64,
    vendor: 'amd',
    architecture: 'rdna-3',
  },
};

/** Rows of 256 tokens in a case of a kernel. */
const BATCH = 1;

const bytesOfAll = (tensors: Readonly<Record<string, TensorSpec>>): number =>
  Object.values(tensors).reduce((sum, { shape, dtype }) => sum + bytesOf(shape, dtype), 0);

/**
 * What running a plan takes.
 * @param wgslBytesOf the bytes of a pipeline's WGSL; each pipeline counts once
 */
export function planQuantities(
  { dispatches, scratch, outputs, data }: Plan,
  wgslBytesOf: (dispatch: Dispatch) => number = (dispatch) => wgslBytes(wgslOf(dispatch)),
): Quantities {
  const sum = (key: 'macs' | 'flops' | 'bytesRead' | 'bytesWritten'): number =>
    dispatches.reduce((total, dispatch) => total + dispatch[key], 0);
  const pipelines = byPipeline(dispatches);
  return {
    macs: sum('macs'),
    flops: sum('flops'),
    bytesRead: sum('bytesRead'),
    bytesWritten: sum('bytesWritten'),
    dispatches: dispatches.length,
    pipelines: pipelines.length,
    wgslBytes: pipelines.reduce((total, one) => total + wgslBytesOf(one), 0),
    scratchBytes: bytesOfAll(scratch),
    outputBytes: bytesOfAll(outputs),
    tableBytes: Object.values(data).reduce((total, table) => total + table.byteLength, 0),
  };
}

/** The cases of kernels: each at the sizes of a base model. */
export const kernelCases = (): FormCase[] => formCases(BATCH);

/** Kernels, forward and backward, on every device; a case is `linear 768x768, software`. */
export function kernelQuantities(cases = kernelCases()): Measured {
  // Many cases share a pipeline, and the text of most is long.
  const known = new Map<string, number>();
  const wgslBytesOf = (dispatch: Dispatch): number => {
    const key = pipelineKey(dispatch);
    const bytes = known.get(key) ?? wgslBytes(wgslOf(dispatch));
    known.set(key, bytes);
    return bytes;
  };
  return Object.fromEntries(
    cases.flatMap((one) =>
      Object.entries(gateCaps).map(([device, caps]) => [
        `${one.name}, ${device}`,
        Object.fromEntries(
          passPlans(one, caps).map(({ pass, plan }) => [pass, planQuantities(plan, wgslBytesOf)]),
        ),
      ]),
    ),
  );
}
