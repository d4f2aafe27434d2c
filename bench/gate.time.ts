/** `bench gate --time`: kernels and trainings of two checkouts in turn, held against what the old one differs from itself. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { SpanwiseError } from '../kernels/errors.ts';
import { relativeError } from '../kernels/shared/relative-error.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import type { Json } from '../src/models/config.ts';
import type { DeviceInfo } from '../src/node.ts';
import { TOLERANCE } from '../src/ops/verify-kernel.ts';
import { medianInterval, summarise, type Interval } from './statistics.ts';

type Values = Float32Array | Int32Array;

/** A pass of a kernel with all that it needs. */
export interface TimedPass {
  name: string;
  kernel: string;
  pass: 'forward' | 'backward';
  inputs: Readonly<Record<string, { shape: readonly number[]; data: Values }>>;
  params: Readonly<Record<string, unknown>>;
  /** Of a backward, by output. */
  gradients: Readonly<Record<string, Float32Array>>;
}

/** Few steps of a training from random weights. */
export interface TimedTraining {
  name: string;
  /** A model's name. */
  definition: string;
  config: Json;
  recipe: Readonly<Record<string, number>>;
  /** The text of a corpus. */
  data: string;
}

/** What a side says when a pass or a training is in place. */
export interface Prepared {
  /** Of a training its losses. */
  outputs: Readonly<Record<string, Values>>;
  /** Of one run. */
  ms: number;
  device: DeviceInfo;
}

/** A checkout's library in a process of its own. */
export interface Side {
  /** Errors: what the checkout says, such as that it has no such kernel. */
  prepare(what: TimedPass | TimedTraining): Promise<Prepared>;
  /** Milliseconds of so many runs of what is prepared. */
  time(repeats: number): Promise<number>;
  close(): Promise<void>;
}

/** What a side answers that cannot do a pass; one that has ended answers nothing. */
export class RefusedPass extends Error {}

/**
 * Starts a side.
 * @param library path of a checkout's built library, `dist/spanwise-node.js`
 */
export function openSide(library: string): Side {
  const child = fork(join(packageRoot(), 'bench', 'gate.side.mjs'), [library], { serialization: 'advanced' });
  const waiting = new Map<number, { resolve: (answer: never) => void; reject: (error: Error) => void }>();
  let asked = 0;
  let gone: SpanwiseError | undefined;
  const ended = new Promise<void>((resolve) => {
    child.on('exit', (status) => {
      gone = new SpanwiseError(`bench gate: ${library} ended with status ${status}`);
      for (const { reject } of waiting.values()) reject(gone);
      resolve();
    });
  });
  child.on('message', ({ id, answer, error }: { id: number; answer: never; error?: string }) => {
    const { resolve, reject } = waiting.get(id)!;
    waiting.delete(id);
    if (error === undefined) resolve(answer);
    else reject(new RefusedPass(error));
  });
  const ask = <T>(command: string, given: unknown): Promise<T> =>
    new Promise((resolve, reject) => {
      if (gone) return reject(gone);
      const id = asked++;
      waiting.set(id, { resolve, reject });
      child.send({ id, command, given }, (error) => error && reject(error));
    });
  return {
    prepare: (what) => ask('prepare', what),
    time: (repeats) => ask('time', { repeats }),
    close() {
      if (child.connected) child.disconnect();
      return ended;
    },
  };
}

export interface TimeOptions {
  /** Pairs of runs of the old with itself, and as many of the old with the new. */
  rounds?: number;
  /** A side's part of a pair lasts at least this long, as far as the first run tells. */
  sampleMs?: number;
  log?: (line: string) => void;
}

const ROUNDS = 25;
/** Of what is slow: the interval is then from the lowest sample to the highest. */
const FEWEST_ROUNDS = 9;
const SAMPLE_MS = 12;
/** Of the interval of a median: one of two hundred untouched kernels seems slower, and one of 40,000 twice. */
const CONFIDENCE = 0.99;
/** Two processes differ by as much without being heard in every interval: where memory lies, for one. */
const LEAST_FLOOR = 0.02;

export interface TimeRow {
  case: string;
  /** Medians of one run. */
  oldMs?: number;
  newMs?: number;
  /** Median of new / old by pairs, and its interval. */
  ratio?: number;
  low?: number;
  high?: number;
  /** How far the old is from itself, as a share: below it nothing is judged. */
  floor?: number;
  verdict: 'slower' | 'faster' | 'below the floor' | 'other results' | 'not in the old';
}

export interface Times {
  /** Of the new side; undefined where nothing was timed. */
  device: DeviceInfo | undefined;
  rows: TimeRow[];
}

/** `b` over `a` in pairs that begin with either in turn, and the medians of one run. */
async function inPairs(
  a: Side,
  b: Side,
  repeats: number,
  rounds: number,
): Promise<Interval & { ms: number[] }> {
  const samples: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++)
    for (const i of round % 2 === 0 ? [0, 1] : [1, 0])
      samples[i].push((await [a, b][i].time(repeats)) / repeats);
  return {
    ...medianInterval(
      samples[0].map((ms, i) => samples[1][i] / ms),
      CONFIDENCE,
    ),
    ms: samples.map((of) => summarise(of).median),
  };
}

/** Whether the old and the new make the same of it, as far as sums in another order let them. */
function sameResults(old: Prepared, now: Prepared): boolean {
  const names = Object.keys(old.outputs);
  if (names.join() !== Object.keys(now.outputs).join()) return false;
  return names.every((name) => relativeError(now.outputs[name], old.outputs[name]) <= TOLERANCE);
}

/** Times a pass or a training on the old, the old again and the new. */
async function timeOne(
  [old, again, now]: readonly Side[],
  what: TimedPass | TimedTraining,
  { rounds, sampleMs = SAMPLE_MS }: TimeOptions,
): Promise<TimeRow & { device: DeviceInfo }> {
  const made = await now.prepare(what);
  const { device } = made;
  let before: Prepared;
  try {
    before = await old.prepare(what);
    await again.prepare(what);
  } catch (error) {
    if (!(error instanceof RefusedPass)) throw error;
    return { case: what.name, verdict: 'not in the old', device };
  }
  if (!sameResults(before, made)) return { case: what.name, verdict: 'other results', device };
  const repeats = Math.max(1, Math.ceil(sampleMs / Math.max(before.ms, 1e-3)));
  const pairs = rounds ?? (before.ms > 4 * sampleMs ? FEWEST_ROUNDS : ROUNDS);
  const itself = await inPairs(old, again, repeats, pairs);
  const floor = Math.max(LEAST_FLOOR, itself.high - 1, 1 / itself.low - 1);
  const { median, low, high, ms } = await inPairs(old, now, repeats, pairs);
  const row = { device, case: what.name, oldMs: ms[0], newMs: ms[1], ratio: median, low, high, floor };
  if (low > 1 + floor) return { ...row, verdict: 'slower' };
  return { ...row, verdict: high < 1 / (1 + floor) ? 'faster' : 'below the floor' };
}

/** Times all in processes that are started for it. */
async function timeAll(
  open: (which: 'old' | 'new') => Side,
  all: readonly (TimedPass | TimedTraining)[],
  options: TimeOptions,
): Promise<Times> {
  const sides = [open('old'), open('old'), open('new')];
  try {
    const times: Times = { device: undefined, rows: [] };
    for (const what of all) {
      options.log?.(what.name);
      const { device, ...row } = await timeOne(sides, what, options);
      times.device = device;
      times.rows.push(row);
    }
    return times;
  } finally {
    await Promise.all(sides.map((side) => side.close()));
  }
}

/**
 * Times passes and trainings of an old and a new checkout. Of each, the old is run against itself first: by as much as it seems
 * slower or faster than itself, its floor, nothing is judged. What seems slower is measured once more, in other processes, and
 * is slower where both say so.
 * @param open starts a side
 * @throws what the new says of a pass that it cannot run
 */
export async function compareTimes(
  open: (which: 'old' | 'new') => Side,
  all: readonly (TimedPass | TimedTraining)[],
  options: TimeOptions = {},
): Promise<Times> {
  const { device, rows } = await timeAll(open, all, options);
  const slower = new Set(rows.filter(({ verdict }) => verdict === 'slower').map((row) => row.case));
  if (slower.size === 0) return { device, rows };
  options.log?.('once more what seems slower');
  const again = await timeAll(
    open,
    all.filter(({ name }) => slower.has(name)),
    options,
  );
  return { device, rows: rows.map((row) => again.rows.find((other) => other.case === row.case) ?? row) };
}
