/** `bench peers`: Spanwise's kernels and others on the same device, with the same data, read back whole. */
import { InputError } from '../kernels/errors.ts';
import { version } from '../src/cli/versions.ts';
import type { Runtime } from '../src/node.ts';
import { checked, makeDocument, onDevice, ownOptions } from './harness.ts';
import type { Bench, BenchCheck, BenchOptions, BenchRow } from './harness.ts';
import { loadPeers, peerLoaders, reason } from './peers/index.ts';
import { shareDevice } from './peers/navigator.ts';
import type { Peer } from './peers/peer.ts';
import { peersCases, type PeersCase } from './peers.cases.ts';
import { rivalChecks } from './rival.ts';
import { interleave, warmUp, type Sampling, type WarmSide } from './statistics.ts';

const OURS = 'spanwise';

/** Some peers take 20 s a run on a software device: three runs are then enough to say so. */
const SAMPLING: Sampling = { minRounds: 3, maxRounds: 15, budgetMs: 15_000 };
const FULL_SAMPLING: Sampling = { minRounds: 7, maxRounds: 50, budgetMs: 60_000 };

type Outputs = Readonly<Record<string, Float32Array>>;

/** The largest relative error; every output that float64 gives must be there. */
function check(what: string, outputs: Outputs, expected: Readonly<Record<string, Float64Array>>): number {
  const errors = Object.entries(expected).map(([name, values]) =>
    checked(`${what} ${name}`, outputs[name] ?? [], values),
  );
  return Math.max(...errors);
}

/** A row for every side: a peer that does not offer the case has none, one that fails or is wrong has an error. */
async function compare(
  runtime: Runtime,
  one: PeersCase,
  peers: ReadonlyMap<string, Peer | Error>,
  { log, full }: BenchOptions,
): Promise<{ rows: BenchRow[]; checks: BenchCheck[] }> {
  const { name } = one;
  log(`${name}: float64`);
  const expected = one.expected();
  const expectedOfPeers = one.expectedOfPeers();
  log(`${name}: ${OURS}`);
  const sides: WarmSide<Outputs>[] = [
    await warmUp({
      name: OURS,
      run: one.ours(runtime),
      check: (outputs) => check(`${OURS} ${name}`, outputs, expected),
    }),
  ];
  const about = new Map([[OURS, { version, runsOn: 'webgpu' }]]);
  const failed: BenchRow[] = [];
  for (const [peerName, peer] of peers) {
    log(`${name}: ${peerName}`);
    try {
      if (peer instanceof Error) throw peer;
      const run = await peer.prepare(one.given);
      if (!run) continue;
      const side = {
        ...{ name: peerName, run },
        check: (outputs: Outputs) => check(`${peerName} ${name}`, outputs, expectedOfPeers),
      };
      sides.push(await warmUp(side));
      about.set(peerName, peer);
    } catch (error) {
      const known = peer instanceof Error ? {} : { version: peer.version, runsOn: peer.runsOn };
      failed.push({ case: name, peer: peerName, ...known, error: reason(error) });
    }
  }
  log(`${name}: timing`);
  const timed = await interleave(sides, full ? FULL_SAMPLING : SAMPLING);
  const [ours] = timed;
  const rows = timed.map(({ name: peer, median, ...rest }): BenchRow => {
    const { version: itsVersion, runsOn } = about.get(peer) as Pick<Peer, 'version' | 'runsOn'>;
    return {
      ...{ case: name, peer, version: itsVersion, runsOn, ms: median, relativeError: rest.relativeError },
      ratioToOurs: median / ours.median,
      ...{ q1: rest.q1, q3: rest.q3, samples: rest.samples, firstMs: rest.firstMs, rounds: rest.rounds },
    };
  });
  return { rows: [...rows, ...failed], checks: rivalChecks(name, timed, runtime.caps.software) };
}

/** The names that an option lists, or all. Errors: InputError for one that there is not. */
function chosen(option: string, text: string | undefined, all: readonly string[]): string[] {
  if (text === undefined) return [...all];
  const names = text.split(',');
  for (const name of names)
    if (!all.includes(name))
      throw new InputError(`bench peers: --${option} names "${name}", which is not one of ${all.join(', ')}`);
  return all.filter((name) => names.includes(name));
}

export const peersBench: Bench = {
  doc: 'the kernels against jax-js, gpu.js, tfjs-webgpu and onnxruntime (installed into bench/peers, 600 MB)',
  run: (options) => {
    const own = ownOptions('peers', options.args, {
      peers: { value: 'NAME,…', doc: '' },
      cases: { value: 'NAME,…', doc: '' },
    });
    const names = chosen('peers', own.optional('peers'), Object.keys(peerLoaders));
    const cases = chosen('cases', own.optional('cases'), Object.keys(peersCases));
    return onDevice(async (runtime) => {
      const rows: BenchRow[] = [];
      const checks: BenchCheck[] = [];
      const restore = await shareDevice(runtime);
      try {
        const peers = await loadPeers(names, options.log);
        for (const name of cases) {
          const result = await runtime.scope(() => compare(runtime, peersCases[name](), peers, options));
          rows.push(...result.rows);
          checks.push(...result.checks);
        }
      } finally {
        restore();
      }
      return makeDocument('peers', runtime, rows, checks);
    });
  },
};
