/** gpu.js: a JavaScript function per output element, translated to WGSL. */
import { packageVersion } from '../../src/cli/versions.ts';
import type { Peer } from './peer.ts';

type Handle = object;
interface Thread {
  thread: { x: number; y: number };
}
/** A kernel of gpu.js in pipeline mode gives handles of device memory; else rows. */
interface GpuJsKernel<Result> {
  (...inputs: readonly unknown[]): Promise<Result>;
}
interface GpuJs {
  createKernel<Result>(
    body: (this: Thread, ...inputs: never[]) => number,
    settings: Readonly<Record<string, unknown>>,
  ): GpuJsKernel<Result>;
}

/** Loads gpu.js in its webgpu mode on the shared device. Errors: it is not installed, or refuses the device. */
export async function loadGpuJs(): Promise<Peer> {
  const { GPU } = (await import('gpu.js')) as unknown as { GPU: new (settings: object) => GpuJs };
  const gpu = new GPU({ mode: 'webgpu' });
  return {
    name: 'gpu.js',
    version: packageVersion('gpu.js') ?? 'unknown',
    runsOn: 'webgpu, same device',
    async prepare({ op, inputs }) {
      if (op !== 'matmul') return undefined;
      const [x, weight] = [inputs.x.data, inputs.weight.data];
      const [[M, K], [N]] = [inputs.x.shape, inputs.weight.shape];
      // gpu.js takes matrices as rows, and leaves on the device what a pipeline kernel made.
      const upload = async (
        values: Float32Array | Int32Array,
        rows: number,
        columns: number,
      ): Promise<Handle> => {
        const copy = gpu.createKernel<Handle>(
          function (this: Thread, a: number[][]) {
            return a[this.thread.y][this.thread.x];
          } as never,
          { output: [columns, rows], pipeline: true },
        );
        return copy(Array.from({ length: rows }, (_, i) => values.subarray(i * columns, (i + 1) * columns)));
      };
      const a = await upload(x, M, K);
      const b = await upload(weight, N, K);
      const multiply = gpu.createKernel<Float32Array[]>(
        function (this: Thread & { constants: { K: number } }, left: number[][], right: number[][]) {
          let sum = 0;
          for (let k = 0; k < this.constants.K; k++) {
            sum += left[this.thread.y][k] * right[this.thread.x][k];
          }
          return sum;
        } as never,
        { output: [N, M], constants: { K } },
      );
      return async () => {
        const rows = await multiply(a, b);
        const out = new Float32Array(M * N);
        rows.forEach((row, i) => out.set(row, i * N));
        return { out };
      };
    },
  };
}
