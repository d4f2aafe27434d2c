/** Counts what a step takes on a device that computes nothing: exact, the same on every machine, without a GPU. */
import { checkCaps, type Caps } from '../../kernels/plan.ts';
import { dryDevice } from '../gpu/dry-device.ts';
import { Runtime } from '../gpu/runtime.ts';
import type { GPUDevice } from '../gpu/webgpu.ts';
import type { Quantities } from './baseline.ts';

const info = { name: 'planned', vendor: '', architecture: '', driver: '', software: false, features: [] };

/** Steps after which one that repeats finds all that it needs: moments, pooled memory, bind groups. */
const WARM_UP = 3;

/** Bytes of WGSL in UTF-8 without comments and indentation, which cost nothing. */
export const wgslBytes = (wgsl: string): number =>
  new TextEncoder().encode(wgsl.replace(/[ \t]*\/\/.*/g, '').replace(/^\s+/gm, '')).length;

const noCalls = () => ({ submits: 0, bindGroups: 0, pipelines: 0, wgslBytes: 0, buffers: 0 });

/** Counts in `calls` what a device is asked for: what a runtime says of itself is not trusted. */
function counting(device: GPUDevice, calls: ReturnType<typeof noCalls>): GPUDevice {
  const own: Partial<GPUDevice> = {
    queue: Object.assign(Object.create(device.queue) as GPUQueue, { submit: () => void calls.submits++ }),
    createBindGroup: (asked) => (calls.bindGroups++, device.createBindGroup(asked)),
    createComputePipelineAsync: (asked) => (calls.pipelines++, device.createComputePipelineAsync(asked)),
    createShaderModule(asked) {
      calls.wgslBytes += wgslBytes(asked.code);
      return device.createShaderModule(asked);
    },
    createBuffer: (asked) => (calls.buffers++, device.createBuffer(asked)),
  };
  return new Proxy(device, {
    get: (target, key: keyof GPUDevice) => own[key] ?? target[key],
  });
}

/**
 * What a step takes that repeats, by part: `step` (submits; bind groups, buffers, pipelines made anew; bytes that it kept),
 * `first steps` (the same of those before it, WGSL of pipelines too), `peak bytes` by label, and the work of each kernel in
 * each phase: `linear, backward`. Nothing is computed: what is read back is 0, and a step must not depend on it.
 * @param caps of the device to plan for (`defaultCaps`: the limits that every WebGPU device grants)
 * @param start builds what is needed, and gives the step, which is taken four times
 * @throws InputError for capabilities that are not whole; what `start` or the step throws
 */
export async function planStep(
  caps: Caps,
  start: (runtime: Runtime) => (() => unknown) | Promise<() => unknown>,
): Promise<Record<string, Quantities>> {
  checkCaps(caps, 'planStep');
  const calls = noCalls();
  const { device, ...opened } = dryDevice({ caps, info });
  const runtime = new Runtime({ ...opened, device: counting(device, calls) });
  const { meter, memory } = runtime;
  try {
    const step = await start(runtime);
    for (let i = 0; i < WARM_UP; i++) await step();
    await runtime.finish();
    const first = { ...calls };
    Object.assign(calls, noCalls());
    meter.reset();
    memory.resetPeak();
    const before = memory.report();
    await step();
    await runtime.finish();
    const { liveBytes, peakBytes, peakHeldBytes, peakByLabel } = memory.report();
    return {
      step: { ...calls, keptBytes: Math.max(0, liveBytes - before.liveBytes) },
      'first steps': first,
      'peak bytes': { tensors: peakBytes, buffers: peakHeldBytes, ...peakByLabel },
      ...Object.fromEntries(
        meter
          .rows()
          .map(({ phase, kernel, work: { gpuNanoseconds: _, ...work } }) => [`${kernel}, ${phase}`, work]),
      ),
    };
  } finally {
    runtime.close();
  }
}
