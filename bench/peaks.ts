/** What the device can do at most, measured: multiply-adds in registers, and a copy through memory. */
import { ceilDiv, f32, foldGrid, spec, type Plan } from '../kernels/plan.ts';
import type { Runtime } from '../src/node.ts';
import { deviceTime } from './device-time.ts';
import { checked } from './harness.ts';
import benchCopyWgsl from '../shaders/bench/copy.wgsl';
import benchFmaWgsl from '../shaders/bench/fma.wgsl';

export interface Peaks {
  /** 10⁹ FLOP a second, a multiply-add counted as two; from the faster quartile, as a peak should be. */
  gflops: number;
  /** 10⁹ bytes a second, read and written together. */
  gbps: number;
}

/** x ← a·x + b: |a| < 1 keeps the values near their start for a thousand steps, and its sign lets errors cancel. */
const A = -(1 - 2 ** -10);
const B = 1;
const VEC4 = 4;
const LANES = 64;
/** Independent chains: more hide more latency, fewer leave more registers; the best counts. */
const CHAINS = [2, 4, 8];
const LEAST_MS = 20;
const COPY_BYTES = 256 * 2 ** 20;
const SOFTWARE_COPY_BYTES = 32 * 2 ** 20;

function fmaPlan(runtime: Runtime, chains: number, size: number, steps: number): Plan {
  const macs = size * VEC4 * chains * steps;
  return {
    dispatches: [
      {
        label: 'fma',
        shader: benchFmaWgsl,
        entryPoint: 'main',
        constants: { CHAINS: chains },
        bindings: [{ name: 'out', access: 'read_write', tensor: 'out' }],
        uniforms: [size, steps, f32(A), f32(B)],
        workgroups: foldGrid(ceilDiv(size, LANES), runtime.caps),
        macs,
        flops: 2 * macs,
        bytesRead: 0,
        bytesWritten: 16 * size,
      },
    ],
    scratch: {},
    outputs: { out: spec([size, VEC4]) },
    data: {},
  };
}

/** What fma.wgsl computes, in float64. */
function fmaExpected(chains: number, size: number, steps: number): Float64Array {
  const period = Float64Array.from({ length: LANES * VEC4 }, (_, at) => {
    let sum = 0;
    for (let c = 0; c < chains; c++) {
      let x = Math.floor(at / VEC4) + c + (at % VEC4) / 4;
      for (let step = 0; step < steps; step++) x = A * x + B;
      sum += x;
    }
    return sum;
  });
  return Float64Array.from({ length: size * VEC4 }, (_, i) => period[i % period.length]);
}

/** Runs a plan with one output, which it reads back. */
const runOnce = (runtime: Runtime, plan: Plan, inputs = {}): Promise<Float32Array> =>
  runtime.scope(() => runtime.run(plan, inputs).out.read());

async function measureFma(runtime: Runtime): Promise<number> {
  const size = runtime.caps.software ? 2 ** 13 : 2 ** 18;
  let best = 0;
  for (const chains of CHAINS) {
    const checkedSteps = 1024;
    const result = await runOnce(runtime, fmaPlan(runtime, chains, size, checkedSteps));
    checked('fma', result, fmaExpected(chains, size, checkedSteps));
    for (let steps = checkedSteps; ; steps *= 2) {
      const plan = fmaPlan(runtime, chains, size, steps);
      const { q1 } = await deviceTime(runtime, () => runtime.run(plan, {}).out.release());
      best = Math.max(best, plan.dispatches[0].flops / q1 / 1e6);
      if (q1 >= LEAST_MS) break;
    }
  }
  return best;
}

async function measureCopy(runtime: Runtime): Promise<number> {
  const { caps } = runtime;
  const wanted = caps.software ? SOFTWARE_COPY_BYTES : COPY_BYTES;
  const bytes = Math.min(wanted, caps.maxStorageBufferBindingSize, caps.maxBufferSize);
  const size = Math.floor(bytes / 16);
  const values = Float32Array.from({ length: size * VEC4 }, (_, i) => i % 8191);
  const plan: Plan = {
    dispatches: [
      {
        label: 'copy',
        shader: benchCopyWgsl,
        entryPoint: 'main',
        constants: {},
        bindings: [
          { name: 'x', access: 'read', tensor: 'x' },
          { name: 'out', access: 'read_write', tensor: 'out' },
        ],
        uniforms: [size],
        workgroups: foldGrid(ceilDiv(size, LANES), caps),
        macs: 0,
        flops: 0,
        bytesRead: 16 * size,
        bytesWritten: 16 * size,
      },
    ],
    scratch: {},
    outputs: { out: spec([size, VEC4]) },
    data: {},
  };
  return runtime.scope(async () => {
    const inputs = { x: runtime.upload(values, [size, VEC4]) };
    checked('copy', await runOnce(runtime, plan, inputs), values);
    const { q1 } = await deviceTime(runtime, () => runtime.run(plan, inputs).out.release());
    return (32 * size) / q1 / 1e6;
  });
}

/** Measures both peaks, each after its result was compared with float64. */
export async function measurePeaks(runtime: Runtime): Promise<Peaks> {
  return { gflops: await measureFma(runtime), gbps: await measureCopy(runtime) };
}
