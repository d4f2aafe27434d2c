/**
 * `bench sia`: segment-attention over all scales against self-attention and against SIA scale by scale. Times are the
 * device's own, by timestamp queries where it has them; costs and memory are the plans'.
 */
import { InputError } from '../kernels/errors.ts';
import type { Caps, Shape } from '../kernels/plan.ts';
import type { Runtime, Tensor } from '../src/node.ts';
import { deviceMs } from '../src/gpu/device-time.ts';
import { makeDocument, onDevice, ownOptions } from './harness.ts';
import type { Bench, BenchCheck, BenchOptions, BenchRow } from './harness.ts';
import { costOf, runComposition, type Composition, type Cost } from './sia.composition.ts';
import { checkOutputs, exactBlocks, siaInputs, type Expected, type Values } from './sia.expected.ts';
import * as sia from './sia.sides.ts';
import type { Pass, SiaSide } from './sia.sides.ts';
import { interleave, pairedRatio, warmUp, type Sampling, type Side, type Timed } from './statistics.ts';

const TOKENS = [128, 256, 512];
/** The length of everything that is not by length: the other forms, and with --full the numbers of scales. */
const FORMS_TOKENS = 256;
const SCALE_SETS = [1, 2, 3, 4, 5, 6].map((count) => Array.from({ length: count }, (_, i) => i + 2));
const PASSES: readonly Pass[] = ['forward', 'backward'];

const DEVICE_SAMPLING: Sampling = { minRounds: 5, maxRounds: 15, budgetMs: 18_000 };
const WALL_SAMPLING: Sampling = { minRounds: 3, maxRounds: 9, budgetMs: 5_000 };

/** Memory is planned, not run, up to here. */
const MEMORY_TOKENS = [64, 128, 256, 512, 1024, 2048, 4096, 8192];
const LONG_TOKENS = 4096;
const LONG_SCRATCH_BYTES = 2 * 2 ** 20;

/** What is asserted of a software device (issue figures at 256 and 512 tokens); a GPU's table is there to be read. */
const LIMITS = {
  forward: { toSelf: 1.25, toBestSelf: 1.45, naive: 4 },
  backward: { toSelf: 1.2, toBestSelf: 1.45, naive: undefined },
};

interface Run {
  outputs: Readonly<Record<string, Tensor>>;
  ms?: number;
}

interface Measured {
  device: Timed;
  wall: Timed;
  cost: Cost;
}

/** A side with its inputs on the device. */
interface Prepared {
  side: SiaSide;
  composition: Composition;
  tensors: Readonly<Record<string, Tensor>>;
  expected: Expected;
  columns: number;
}

const compositionOf = (side: SiaSide, pass: Pass): Composition => side[pass];

async function readAll(outputs: Readonly<Record<string, Tensor>>, names: readonly string[]): Promise<Values> {
  const values: Record<string, Float32Array> = {};
  for (const name of names) values[name] = await outputs[name].read();
  return values;
}

/** Uploads, and for a backward runs the forward that it needs tensors of. */
function prepare(runtime: Runtime, pass: Pass, tokens: number, side: SiaSide, expected: Expected): Prepared {
  const { columns, values } = siaInputs(tokens, side);
  const tensors: Record<string, Tensor> = {};
  for (const name of ['q', 'k', 'v', ...(pass === 'backward' ? ['grad_out'] : [])])
    tensors[name] = runtime.upload(values[name], [1, tokens, columns]);
  if (!side.perScale) tensors.weights = runtime.upload(values.weights, [side.scales.length]);
  if (pass === 'backward') {
    const results = [...new Set([...side.forward.results, ...side.kept])];
    Object.assign(tensors, runComposition(runtime, { ...side.forward, results }, tensors));
  }
  return { side, composition: compositionOf(side, pass), tensors, expected, columns };
}

/** A side for `interleave`: it keeps the outputs of its last run, and no others. */
function timedSide(
  runtime: Runtime,
  what: string,
  { side, composition, tensors, expected, columns }: Prepared,
  clock: 'device' | 'wall',
): Side<Run> {
  let outputs: Readonly<Record<string, Tensor>> = {};
  const record = (): void => {
    for (const tensor of Object.values(outputs)) tensor.release();
    outputs = runComposition(runtime, composition, tensors);
  };
  return {
    name: side.name,
    async run() {
      if (clock === 'device') return { ms: await deviceMs(runtime, record), outputs };
      record();
      await runtime.finish();
      return { outputs };
    },
    async check(run) {
      const names = composition.results.filter((name) => name !== 'lse');
      return checkOutputs(`${what} ${side.name}`, await readAll(run.outputs, names), columns, expected);
    },
    ms: (run) => run.ms as number,
  };
}

/** Checks and times sides in turn: their device time, then the wall clock from recording to the device's end. */
async function measure(
  runtime: Runtime,
  what: string,
  pass: Pass,
  tokens: number,
  sides: readonly SiaSide[],
  { log }: Pick<BenchOptions, 'log'>,
): Promise<Map<string, Measured>> {
  const prepared: Prepared[] = [];
  const exact = new Map<string, Expected>();
  for (const side of sides) {
    const key = `${side.scales.join()} ${side.perScale}`;
    let expected = exact.get(key);
    if (!expected) {
      log(`${what}: float64, scales ${side.scales.join()}`);
      expected = { blocks: exactBlocks(pass, side, siaInputs(tokens, side)) };
    }
    log(`${what}: ${side.name}`);
    const one = prepare(runtime, pass, tokens, side, expected);
    // The first of its kind, checked in float64, speaks for the columns that float64 leaves out.
    if (!exact.has(key)) {
      const first = await runtime.scope(() =>
        readAll(
          runComposition(runtime, one.composition, one.tensors),
          one.composition.results.filter((name) => name !== 'lse'),
        ),
      );
      checkOutputs(`${what} ${side.name}`, first, one.columns, expected);
      exact.set(key, { ...expected, whole: first });
    }
    prepared.push({ ...one, expected: exact.get(key) as Expected });
  }
  const timed = async (clock: 'device' | 'wall', sampling: Sampling): Promise<Timed[]> => {
    const warm = [];
    for (const one of prepared) {
      const side = timedSide(runtime, what, one, clock);
      warm.push(
        await warmUp(clock === 'device' && runtime.caps.timestamps ? side : { ...side, ms: undefined }),
      );
    }
    log(`${what}: timing, ${clock}`);
    return interleave(warm, sampling);
  };
  const device = await timed('device', DEVICE_SAMPLING);
  const wall = await timed('wall', WALL_SAMPLING);
  return new Map(
    prepared.map(({ side, tensors }, i) => {
      const shapes = Object.entries(tensors).map(([name, { shape }]): [string, Shape] => [name, shape]);
      const cost = passCost(side, pass, Object.fromEntries(shapes), runtime.caps);
      return [side.name, { device: device[i], wall: wall[i], cost }];
    }),
  );
}

/** A backward's memory counts what its forward leaves to it beside `out`. */
function passCost(side: SiaSide, pass: Pass, shapes: Readonly<Record<string, Shape>>, caps: Caps): Cost {
  const { macs, flops, bytes, scratchBytes } = costOf(compositionOf(side, pass), shapes, caps);
  const kept = pass === 'forward' ? [] : side.kept;
  const keptBytes = kept.reduce((sum, name) => sum + 4 * shapes[name].reduce((n, d) => n * d, 1), 0);
  return { macs, flops, bytes, scratchBytes: scratchBytes + keptBytes };
}

const quartiles = ({ q1, q3, samples }: Timed) => ({ q1, q3, samples });
const pick = (all: Map<string, Measured>, name: string): Measured => all.get(name) as Measured;
const byName = <T>(all: Map<string, Measured>, of: (one: Measured) => T): Record<string, T> =>
  Object.fromEntries([...all].map(([name, one]) => [name, of(one)]));

/** One row of the contract (docs/spec.md#benchmarks), and what is asserted of it. */
async function compare(
  runtime: Runtime,
  tokens: number,
  scales: readonly number[],
  pass: Pass,
  options: BenchOptions,
): Promise<{ row: BenchRow; checks: BenchCheck[] }> {
  const what = `${pass} L=${tokens}, scales ${scales.join()}`;
  const { flash, strips } = sia.otherForms(tokens, [1], runtime.caps);
  const selves = [
    sia.segmentSide('self', tokens, [1]),
    sia.attentionSide(),
    sia.segmentSide('self, flash', tokens, [1], { form: flash }),
    sia.segmentSide('self, strips', tokens, [1], { form: strips }),
  ];
  const sides = [sia.naiveSide(tokens, scales), sia.segmentSide('sia', tokens, scales), ...selves];
  const all = await runtime.scope(() => measure(runtime, what, pass, tokens, sides, options));
  const [ours, self, naive] = ['sia', 'self', 'naive'].map((name) => pick(all, name));
  const best = selves
    .map(({ name }) => pick(all, name))
    .reduce((a, b) => (b.device.median < a.device.median ? b : a));
  const ms = ({ device }: Measured): number => device.median;
  const row = {
    ...{ L: tokens, heads: sia.HEADS, headSize: sia.HEAD_SIZE, scales, pass },
    ...{ selfMs: ms(self), bestSelfMs: ms(best), siaMs: ms(ours), naiveMs: ms(naive) },
    ...{ ratioToSelf: ms(ours) / ms(self), ratioToBestSelf: ms(ours) / ms(best) },
    ratioToNaive: ms(naive) / ms(ours),
    ...ours.cost,
    naiveScratchBytes: naive.cost.scratchBytes,
    bestSelf: best.device.name,
    clock: runtime.caps.timestamps ? 'timestamps' : 'wall',
    relativeError: Math.max(...[...all.values()].map(({ device }) => device.relativeError)),
    quartiles: byName(all, ({ device }) => quartiles(device)),
    wallMs: byName(all, ({ wall }) => wall.median),
    firstMs: byName(all, ({ device }) => device.firstMs),
  };
  return { row, checks: assertions(runtime, what, pass, tokens, { ours, self, best, naive }) };
}

function assertions(
  runtime: Runtime,
  what: string,
  pass: Pass,
  tokens: number,
  { ours, self, best, naive }: Readonly<Record<'ours' | 'self' | 'best' | 'naive', Measured>>,
): BenchCheck[] {
  if (!runtime.caps.software || tokens < FORMS_TOKENS) return [];
  const limits = LIMITS[pass];
  const toSelf = pairedRatio(ours.device, self.device);
  const toBest = pairedRatio(ours.device, best.device);
  const toNaive = pairedRatio(naive.device, ours.device);
  const times = (ratio: number) => `${ratio.toFixed(2)}, median over the rounds`;
  return [
    {
      claim: `${what}: at most ${limits.toSelf} of self-attention in the same structure`,
      holds: toSelf <= limits.toSelf,
      measured: times(toSelf),
    },
    {
      claim: `${what}: at most ${limits.toBestSelf} of the fastest self-attention (${best.device.name})`,
      holds: toBest <= limits.toBestSelf,
      measured: times(toBest),
    },
    ...(limits.naive === undefined
      ? []
      : [
          {
            claim: `${what}: at least ${limits.naive} times as fast as scale by scale`,
            holds: toNaive >= limits.naive,
            measured: times(toNaive),
          },
        ]),
  ];
}

/** The forms that the choice function did not pick, and projections of each scale's own. */
async function measureForms(runtime: Runtime, pass: Pass, options: BenchOptions): Promise<BenchRow[]> {
  const tokens = FORMS_TOKENS;
  const forms = sia.otherForms(tokens, sia.SCALES, runtime.caps);
  const sides = [
    sia.segmentSide('chosen', tokens, sia.SCALES),
    ...Object.entries(forms).map(([name, form]) => sia.segmentSide(name, tokens, sia.SCALES, { form })),
    sia.segmentSide('per-scale projections', tokens, sia.SCALES, { perScale: true }),
  ];
  const what = `${pass} L=${tokens}, forms`;
  const all = await runtime.scope(() => measure(runtime, what, pass, tokens, sides, options));
  return [...all].map(([form, { device, wall, cost }]) => ({
    ...{ form, L: tokens, scales: sia.SCALES, pass, ms: device.median, ...quartiles(device) },
    ...{ ratioToChosen: device.median / pick(all, 'chosen').device.median, wallMs: wall.median },
    ...{ ...cost, relativeError: device.relativeError },
  }));
}

/** Scratch in bytes from plans alone: nothing runs. */
function plannedScratch(side: SiaSide, pass: Pass, tokens: number, caps: Caps): number {
  const shape = [1, tokens, sia.HEADS * sia.HEAD_SIZE];
  const shapes: Record<string, Shape> = { weights: [side.scales.length] };
  for (const name of ['q', 'k', 'v', 'out', 'grad_out']) shapes[name] = shape;
  const { shapes: kept } = costOf(
    { ...side.forward, results: [...side.forward.results, ...side.kept] },
    shapes,
    caps,
  );
  return passCost(side, pass, { ...kept, ...shapes }, caps).scratchBytes;
}

/** Scratch in bytes by length. */
export function memoryTable(
  caps: Caps,
  lengths: readonly number[] = MEMORY_TOKENS,
): { L: number; pass: Pass; self: number; sia: number; naive: number }[] {
  return PASSES.flatMap((pass) =>
    lengths.map((L) => {
      const bytes = (side: SiaSide): number => plannedScratch(side, pass, L, caps);
      return {
        ...{ L, pass, self: bytes(sia.segmentSide('self', L, [1])) },
        ...{ sia: bytes(sia.segmentSide('sia', L, sia.SCALES)), naive: bytes(sia.naiveSide(L, sia.SCALES)) },
      };
    }),
  );
}

/** Of the form that the choice function picks, which on a software device is another, and of the flash form. */
export function longInputChecks(caps: Caps): BenchCheck[] {
  const { flash } = sia.otherForms(LONG_TOKENS, sia.SCALES, caps);
  const sides = [
    sia.segmentSide('chosen form', LONG_TOKENS, sia.SCALES),
    sia.segmentSide('flash form', LONG_TOKENS, sia.SCALES, { form: flash }),
  ];
  return PASSES.flatMap((pass) =>
    sides.map((side) => {
      const bytes = plannedScratch(side, pass, LONG_TOKENS, caps);
      return {
        claim: `${pass} L=${LONG_TOKENS}, ${side.name}: scratch under 2 MiB`,
        holds: bytes < LONG_SCRATCH_BYTES,
        measured: `${(bytes / 2 ** 20).toFixed(2)} MiB planned`,
      };
    }),
  );
}

function tokensOption(text: string | undefined): readonly number[] {
  const tokens = text === undefined ? TOKENS : text.split(',').map(Number);
  const least = Math.max(...sia.SCALES);
  for (const n of tokens)
    if (!Number.isInteger(n) || n < least)
      throw new InputError(`bench sia: --tokens must be whole numbers of at least ${least}, got "${text}"`);
  return tokens;
}

export const siaBench: Bench = {
  doc: 'segment-attention over scales 2..6 against self-attention and against SIA scale by scale',
  run: (options) => {
    const own = ownOptions('sia', options.args, { tokens: { value: 'L,…', doc: '' } }).optional('tokens');
    const tokens = tokensOption(own);
    const jobs = [
      ...tokens.map((L) => ({ L, scales: sia.SCALES })),
      ...(options.full ? SCALE_SETS.map((scales) => ({ L: FORMS_TOKENS, scales })) : []),
    ].filter(
      ({ L, scales }, i, all) => all.findIndex((j) => j.L === L && `${j.scales}` === `${scales}`) === i,
    );
    return onDevice(async (runtime) => {
      const rows: BenchRow[] = [];
      const forms: BenchRow[] = [];
      const memory = memoryTable(runtime.caps);
      const checks = longInputChecks(runtime.caps);
      for (const { L, scales } of jobs)
        for (const pass of PASSES) {
          const result = await compare(runtime, L, scales, pass, options);
          rows.push(result.row);
          if (scales === sia.SCALES) checks.push(...result.checks);
        }
      if (own === undefined)
        for (const pass of PASSES) forms.push(...(await measureForms(runtime, pass, options)));
      return makeDocument('sia', runtime, rows, checks, { forms, memory });
    });
  },
};
