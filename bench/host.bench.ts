/**
 * `bench host`: what a step costs the host, on a device that costs nothing (Dawn's null backend), beside the floor of its
 * own dispatches. The counts are exact and repeat; the times are of this machine, the floor's of the same run.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { GCProfiler, getHeapStatistics } from 'node:v8';
import { InputError } from '../kernels/errors.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import type { Runtime } from '../src/node.ts';
import { caseNames, casesByModel, eachCase, type HostCase } from './host.cases.ts';
import { openNullRuntime } from './host.device.ts';
import { floorSteps } from './host.floor.ts';
import {
  makeDocument,
  ownOptions,
  type Bench,
  type BenchCheck,
  type BenchDocument,
  type BenchRow,
} from './harness.ts';
import { summarise } from './statistics.ts';

/** Steps that are counted and timed. */
const STEPS = 60;
/** Where shapes repeat, and where every batch has its own. */
const MOST_RATIO = { fixed: 1.5, ragged: 4 };

function chosenCases(given: string | undefined): readonly string[] {
  const names = given?.split(',') ?? caseNames;
  for (const name of names)
    if (!caseNames.includes(name))
      throw new InputError(
        `bench host: --cases names "${name}", which is not one of ${caseNames.join(', ')}`,
      );
  return names;
}

/** Bytes that `body` allocates on the JavaScript heap: what is in use afterwards, and what was collected meanwhile. */
async function heapBytes(body: () => Promise<void>): Promise<number> {
  const profiler = new GCProfiler();
  const before = getHeapStatistics().used_heap_size;
  profiler.start();
  await body();
  const after = getHeapStatistics().used_heap_size;
  const collected = (profiler.stop()?.statistics ?? []).reduce(
    (sum, { beforeGC, afterGC }) =>
      sum + beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize,
    0,
  );
  return after - before + collected;
}

/**
 * Cases in a process of their own, as a training has one: what V8 knows of one model's steps makes another's slower.
 * Errors: what the process says where it fails.
 */
async function measureApart(cases: readonly string[]): Promise<BenchDocument> {
  const script = join(packageRoot(), 'bin', 'spanwise.mjs');
  const child = spawn(process.execPath, [script, 'bench', 'host', '--json', '--cases', cases.join(',')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = new Promise<string>((resolve) =>
    child.on('close', (code, signal) => resolve(signal ?? String(code))),
  );
  const [told, said] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const ended = await closed;
  // 1 where something that is asserted does not hold.
  if (ended !== '0' && ended !== '1')
    throw new Error(`bench host: ${cases.join(', ')} ended with ${ended}: ${said}`);
  return JSON.parse(told) as BenchDocument;
}

/** Step by step in turn with its floor, so that what slows the machine for a while slows both. */
async function measure(runtime: Runtime, { name, warmUp, prepare, step }: HostCase): Promise<BenchRow> {
  const { meter } = runtime;
  let i = 0;
  prepare(warmUp + 2 * STEPS);
  while (i < warmUp) await step(i++);
  await runtime.finish();
  meter.reset();
  const heap = await heapBytes(async () => {
    for (const end = i + STEPS; i < end;) await step(i++);
  });
  await runtime.finish();
  const perStep = (count: number): number => count / STEPS;
  const dispatches = perStep(meter.total().dispatches);
  const counts = {
    dispatches,
    bindGroupsMade: perStep(meter.bindGroups),
    submits: perStep(meter.submits),
  };
  const floor = await floorSteps(runtime.device, Math.round(dispatches));
  for (let warm = 0; warm < 5; warm++) floor();
  const samples = { host: [] as number[], floor: [] as number[] };
  for (const end = i + STEPS; i < end;) {
    let from = performance.now();
    await step(i++);
    samples.host.push(performance.now() - from);
    from = performance.now();
    floor();
    samples.floor.push(performance.now() - from);
    await runtime.device.queue.onSubmittedWorkDone();
  }
  const [hostMs, floorMs] = [samples.host, samples.floor].map((of) => summarise(of).median);
  const ratio = summarise(samples.host.map((ms, at) => ms / samples.floor[at])).median;
  return { case: name, ...counts, hostMs, floorMs, ratio, jsHeapPerStep: Math.round(heap / STEPS) };
}

/** What is asserted of a training step: its time against the floor, and that a shape that repeats makes no bind group. */
function checksOf(rows: readonly BenchRow[]): BenchCheck[] {
  return rows
    .filter((row) => String(row.case).endsWith('-train'))
    .flatMap((row) => {
      const name = String(row.case);
      const ragged = name.includes('ragged');
      const most = ragged ? MOST_RATIO.ragged : MOST_RATIO.fixed;
      const [ratio, made] = [Number(row.ratio), Number(row.bindGroupsMade)];
      const time = {
        claim: `${name}: at most ${most} times the floor of its own dispatches`,
        holds: ratio <= most,
        measured: ratio.toFixed(2),
      };
      const groups = { claim: `${name}: no bind group is made`, holds: made === 0, measured: String(made) };
      return ragged ? [time] : [time, groups];
    });
}

export const hostBench: Bench = {
  doc: "the host's time a step on a device that costs nothing, beside the floor of its dispatches",
  async run({ args, log }) {
    const names = chosenCases(
      ownOptions('host', args, { cases: { value: 'NAME,…', doc: '' } }).optional('cases'),
    );
    const models = casesByModel(names);
    if (models.length > 1) {
      const documents: BenchDocument[] = [];
      for (const cases of models) {
        log(cases.join(', '));
        documents.push(await measureApart(cases));
      }
      const rows = documents.flatMap((document) => document.rows);
      return { ...documents[0], rows, checks: checksOf(rows) };
    }
    const runtime = await openNullRuntime();
    try {
      const rows: BenchRow[] = [];
      await eachCase(runtime, names, async (hostCase) => {
        log(hostCase.name);
        rows.push(await measure(runtime, hostCase));
      });
      return makeDocument('host', runtime, rows, checksOf(rows));
    } finally {
      runtime.close();
    }
  },
};
