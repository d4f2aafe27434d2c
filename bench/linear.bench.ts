/** `bench linear`: the float32 matrix product against jax-js and gpu.js on one device. */
import { linear } from '../kernels/linear.ts';
import { references } from '../kernels/reference/index.ts';
import type { Runtime } from '../src/node.ts';
import { version } from '../src/cli/versions.ts';
import { checked, makeDocument, onDevice, ownOptions, randomValues } from './harness.ts';
import type { Bench, BenchCheck, BenchRow } from './harness.ts';
import { loadGpuJs } from './peers/gpu-js.ts';
import { loadJaxJs } from './peers/jax-js.ts';
import { shareDevice } from './peers/navigator.ts';
import type { Peer, Product } from './peers/peer.ts';
import { interleave, warmUp, type WarmSide } from './statistics.ts';

interface LinearCase extends Pick<Product, 'M' | 'K' | 'N'> {
  peers: readonly string[];
}

/** The square product of every comparison of this kind, and BERT-base's widest layer on 256 tokens. */
const cases: readonly LinearCase[] = [
  { M: 512, K: 512, N: 512, peers: ['jax-js', 'gpu.js'] },
  { M: 256, K: 768, N: 3072, peers: ['jax-js'] },
];

const loaders: Readonly<Record<string, () => Promise<Peer>>> = { 'jax-js': loadJaxJs, 'gpu.js': loadGpuJs };

const spanwise = (runtime: Runtime): Peer => ({
  name: 'spanwise',
  version,
  runsOn: 'webgpu',
  product({ M, K, N, x, weight }) {
    const inputs = { x: runtime.upload(x, [M, K]), weight: runtime.upload(weight, [N, K]) };
    return Promise.resolve(() => runtime.scope(() => runtime.kernel(linear, inputs).out.read()));
  },
});

const reason = (error: unknown): string => (error as Error).message.split('\n')[0].slice(0, 200);

export const linearBench: Bench = {
  doc: 'f32 linear against jax-js and gpu.js on the same device (jax-js is installed into bench/peers)',
  run: ({ args, full, log }) => {
    ownOptions('linear', args);
    return onDevice(async (runtime) => {
      const rows: BenchRow[] = [];
      const checks: BenchCheck[] = [];
      const restore = await shareDevice(runtime);
      try {
        const peers = new Map<string, Peer | string>([['spanwise', spanwise(runtime)]]);
        for (const [name, load] of Object.entries(loaders)) {
          log(`loading ${name}`);
          peers.set(name, await load().catch((error: unknown) => `cannot run: ${reason(error)}`));
        }
        for (const { M, K, N, peers: names } of cases) {
          const name = `${M}x${K}x${N}`;
          const [x, weight] = [randomValues([M, K], 1), randomValues([N, K], 2)];
          log(`${name}: float64 product`);
          const expected = references.linear.forward(
            {
              x: { shape: [M, K], data: Float64Array.from(x) },
              weight: { shape: [N, K], data: Float64Array.from(weight) },
            },
            {},
          ).out.data;
          const warm: WarmSide<Float32Array>[] = [];
          const failed: BenchRow[] = [];
          for (const peer of ['spanwise', ...names].map((side) => [side, peers.get(side)] as const)) {
            const [side, loaded] = peer;
            if (typeof loaded === 'string' || !loaded) {
              failed.push({ case: name, peer: side, error: loaded });
              continue;
            }
            log(`${name}: ${side}`);
            try {
              const run = await loaded.product({ M, K, N, x, weight });
              warm.push(
                await warmUp({ name: side, run, check: (out) => checked(`${side} ${name}`, out, expected) }),
              );
            } catch (error) {
              if (side === 'spanwise') throw error;
              failed.push({ case: name, peer: side, version: loaded.version, error: reason(error) });
            }
          }
          log(`${name}: timing`);
          const timed = await interleave(warm, full ? { maxRounds: 100, budgetMs: 60_000 } : {});
          const [ours] = timed;
          for (const { name: side, median: ms, ...timing } of timed) {
            const { version: its, runsOn } = peers.get(side) as Peer;
            const ratioToOurs = ms / ours.median;
            const gflops = (2 * M * K * N) / ms / 1e6;
            rows.push({ case: name, peer: side, version: its, runsOn, ms, ...timing, gflops, ratioToOurs });
            if (side === 'jax-js')
              checks.push({
                claim: `linear ${name} is no slower than jax-js`,
                holds: ratioToOurs >= 1,
                measured: `jax-js takes ${ratioToOurs.toFixed(2)} times as long`,
              });
          }
          rows.push(...failed);
        }
      } finally {
        restore();
      }
      return makeDocument('linear', runtime, rows, checks);
    });
  },
};
