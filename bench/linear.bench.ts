/** `bench linear`: the float32 matrix product against jax-js and gpu.js on one device. */
import { linear } from '../kernels/linear.ts';
import { references } from '../kernels/reference/index.ts';
import type { Runtime } from '../src/node.ts';
import { version } from '../src/cli/versions.ts';
import { checked, makeDocument, onDevice, ownOptions, randomValues } from './harness.ts';
import type { Bench, BenchCheck, BenchOptions, BenchRow } from './harness.ts';
import { loadPeers, reason } from './peers/index.ts';
import { shareDevice } from './peers/navigator.ts';
import type { Peer, PeerCase } from './peers/peer.ts';
import { rivalChecks } from './rival.ts';
import { interleave, warmUp, type WarmSide } from './statistics.ts';

type Outputs = Readonly<Record<string, Float32Array>>;

interface Product {
  M: number;
  K: number;
  N: number;
}

interface LinearCase extends Product {
  peers: readonly string[];
}

/** The square product of every comparison of this kind, and BERT-base's widest layer on 256 tokens. */
const cases: readonly LinearCase[] = [
  { M: 512, K: 512, N: 512, peers: ['jax-js', 'gpu.js'] },
  { M: 256, K: 768, N: 3072, peers: ['jax-js'] },
];

const spanwise = (runtime: Runtime): Peer => ({
  name: 'spanwise',
  version,
  runsOn: 'webgpu',
  prepare({ inputs }) {
    const [x, weight] = [inputs.x, inputs.weight].map(({ data, shape }) => runtime.upload(data, shape));
    return Promise.resolve(() =>
      runtime.scope(async () => ({ out: await runtime.kernel(linear, { x, weight }).out.read() })),
    );
  },
});

/** The product in float64, [M · N]. */
function exactProduct({ x, weight }: PeerCase['inputs']): ArrayLike<number> {
  const inputs = {
    x: { shape: x.shape, data: Float64Array.from(x.data) },
    weight: { shape: weight.shape, data: Float64Array.from(weight.data) },
  };
  return references.linear.forward(inputs, {}).out.data;
}

/** One case: a row for every side, those that cannot run or compute wrongly with `error` in place of times. */
async function compare(
  runtime: Runtime,
  peers: readonly (readonly [string, Peer | Error | undefined])[],
  { M, K, N }: Product,
  options: BenchOptions,
): Promise<{ rows: BenchRow[]; checks: BenchCheck[] }> {
  const given: PeerCase = {
    op: 'matmul',
    inputs: {
      x: { shape: [M, K], data: randomValues([M, K], 1) },
      weight: { shape: [N, K], data: randomValues([N, K], 2) },
    },
  };
  const name = `${M}x${K}x${N}`;
  options.log(`${name}: float64 product`);
  const expected = exactProduct(given.inputs);
  const warm = async (peer: Peer): Promise<WarmSide<Outputs>> => {
    options.log(`${name}: ${peer.name}`);
    const run = await peer.prepare(given);
    if (!run) throw new Error('it has no matrix product');
    const check = ({ out }: Outputs) => checked(`${peer.name} ${name}`, out, expected);
    return warmUp({ name: peer.name, run, check });
  };
  const ours = spanwise(runtime);
  const loaded = new Map([[ours.name, ours]]);
  const sides = [await warm(ours)];
  const failed: BenchRow[] = [];
  for (const [side, peer] of peers)
    try {
      if (!peer || peer instanceof Error) throw peer;
      sides.push(await warm(peer));
      loaded.set(side, peer);
    } catch (error) {
      failed.push({ case: name, peer: side, error: reason(error) });
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
  return { rows: [...rows, ...failed], checks: rivalChecks(`matmul-${name}`, timed, runtime.caps.software) };
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
        const peers = await loadPeers(['jax-js', 'gpu.js'], options.log);
        for (const { peers: names, ...given } of cases) {
          const others = names.map((name) => [name, peers.get(name)] as const);
          const result = await runtime.scope(() => compare(runtime, others, given, options));
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
