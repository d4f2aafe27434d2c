/** `bench linear`: the float32 matrix product against jax-js and gpu.js on one device. */
import { linear } from '../kernels/linear.ts';
import { references } from '../kernels/reference/index.ts';
import type { Runtime } from '../src/node.ts';
import { version } from '../src/cli/versions.ts';
import { checked, makeDocument, onDevice, ownOptions, randomValues } from './harness.ts';
import type { Bench, BenchCheck, BenchOptions, BenchRow } from './harness.ts';
import { loadGpuJs } from './peers/gpu-js.ts';
import { loadJaxJs } from './peers/jax-js.ts';
import { shareDevice } from './peers/navigator.ts';
import type { Peer, Product } from './peers/peer.ts';
import { interleave, pairedRatio, warmUp, type WarmSide } from './statistics.ts';

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

/** Peers by name; one that cannot be loaded says why. */
async function loadPeers(log: BenchOptions['log']): Promise<Map<string, Peer | Error>> {
  const peers = new Map<string, Peer | Error>();
  for (const [name, load] of Object.entries(loaders)) {
    log(`loading ${name}`);
    peers.set(name, await load().catch((error: unknown) => error as Error));
  }
  return peers;
}

/** The product in float64, [M · N]. */
function exactProduct({ M, K, N, x, weight }: Product): ArrayLike<number> {
  const inputs = {
    x: { shape: [M, K], data: Float64Array.from(x) },
    weight: { shape: [N, K], data: Float64Array.from(weight) },
  };
  return references.linear.forward(inputs, {}).out.data;
}

/** One case: a row for every side, those that cannot run or compute wrongly with `error` in place of times. */
async function compare(
  ours: Peer,
  peers: readonly (readonly [string, Peer | Error | undefined])[],
  given: Product,
  options: BenchOptions,
): Promise<{ rows: BenchRow[]; checks: BenchCheck[] }> {
  const { M, K, N } = given;
  const name = `${M}x${K}x${N}`;
  options.log(`${name}: float64 product`);
  const expected = exactProduct(given);
  const warm = async (peer: Peer): Promise<WarmSide<Float32Array>> => {
    options.log(`${name}: ${peer.name}`);
    const run = await peer.product(given);
    return warmUp({ name: peer.name, run, check: (out) => checked(`${peer.name} ${name}`, out, expected) });
  };
  const loaded = new Map([[ours.name, ours]]);
  const sides = [await warm(ours)];
  const failed: BenchRow[] = [];
  for (const [side, peer] of peers)
    try {
      if (!peer || peer instanceof Error) throw peer;
      sides.push(await warm(peer));
      loaded.set(side, peer);
    } catch (error) {
      failed.push({ case: name, peer: side, error: `cannot run: ${reason(error)}` });
    }
  options.log(`${name}: timing`);
  const timed = await interleave(sides, options.full ? { maxRounds: 100, budgetMs: 60_000 } : {});
  const rows: BenchRow[] = timed.map(({ name: side, median, ...timing }) => {
    const { version: itsVersion, runsOn } = loaded.get(side) as Peer;
    return {
      ...{ case: name, peer: side, version: itsVersion, runsOn, ms: median, ...timing },
      gflops: (2 * M * K * N) / median / 1e6,
      ratioToOurs: median / timed[0].median,
    };
  });
  const checks = timed.flatMap((side): BenchCheck[] => {
    if (side.name !== 'jax-js') return [];
    const ratio = pairedRatio(side, timed[0]);
    return [
      {
        claim: `linear ${name} is no slower than jax-js`,
        holds: ratio >= 1,
        measured: `jax-js takes ${ratio.toFixed(2)} times as long, median over pairs of neighbouring runs`,
      },
    ];
  });
  return { rows: [...rows, ...failed], checks };
}

export const linearBench: Bench = {
  doc: 'f32 linear against jax-js and gpu.js on the same device (jax-js is installed into bench/peers)',
  run: (options) => {
    ownOptions('linear', options.args);
    return onDevice(async (runtime) => {
      const rows: BenchRow[] = [];
      const checks: BenchCheck[] = [];
      const restore = await shareDevice(runtime);
      try {
        const peers = await loadPeers(options.log);
        for (const { M, K, N, peers: names } of cases) {
          const given = { M, K, N, x: randomValues([M, K], 1), weight: randomValues([N, K], 2) };
          const others = names.map((name) => [name, peers.get(name)] as const);
          const result = await runtime.scope(() => compare(spanwise(runtime), others, given, options));
          rows.push(...result.rows);
          checks.push(...result.checks);
        }
      } finally {
        restore();
      }
      return makeDocument('linear', runtime, rows, checks);
    });
  },
};
