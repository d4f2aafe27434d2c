import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'tape';
import { timedPasses } from '../../bench/gate.passes.ts';
import { stepCases, timedTrainings } from '../../bench/gate.steps.ts';
import {
  compareTimes,
  openSide,
  RefusedPass,
  type Prepared,
  type Side,
  type TimedPass,
} from '../../bench/gate.time.ts';
import { medianInterval } from '../../bench/statistics.ts';
import { stream } from '../../src/nn/random.ts';
import { definitionNamed, definitions } from '../../src/tasks/registry.ts';
import { planTraining } from '../../src/tasks/training/train.ts';
import { expectFailure, spanwise } from '../cli/run.ts';

test('an interval of a median', (t) => {
  const samples = [5, 1, 4, 2, 3, 9, 8, 6, 7, 15, 14, 13, 12, 11, 10];
  t.deepEqual(
    medianInterval(samples, 0.99),
    { median: 8, low: 3, high: 13 },
    '15 samples: the third from either end',
  );
  t.deepEqual(medianInterval([1, 2, 3, 4, 5, 6, 7, 8, 9], 0.99), { median: 5, low: 1, high: 9 });
  t.deepEqual(medianInterval([2, 1], 0.99), { median: 1.5, low: 1, high: 2 }, 'too few: all of them');
  // Of a skewed distribution, whose median is ln 2: the interval holds it as often as it says.
  const random = stream(3);
  let held = 0;
  for (let i = 0; i < 2000; i++) {
    const { low, high } = medianInterval(
      Array.from({ length: 15 }, () => -Math.log(1 - random.uniform())),
      0.95,
    );
    if (low <= Math.LN2 && Math.LN2 <= high) held++;
  }
  t.ok(held > 1900 && held < 1960, `of 95 %: ${held / 20} %, by ranks 96.5`);
  t.end();
});

const device: Prepared['device'] = {
  name: '',
  vendor: '',
  architecture: '',
  driver: '',
  software: true,
  features: [],
};

/** Passes that exist by name alone. */
const named = (...names: string[]): TimedPass[] =>
  names.map((name) => ({ name, kernel: name, pass: 'forward', inputs: {}, params: {}, gradients: {} }));

/**
 * Sides whose times are drawn, in a machine that slows down and recovers.
 * @param ms of a pass on a side; undefined where it has no such pass
 */
function drawn(ms: (which: 'old' | 'new', pass: string) => number | undefined, seed: number) {
  const random = stream(seed);
  let clock = 0;
  let started = 0;
  const open = (which: 'old' | 'new'): Side => {
    started++;
    let pass = '';
    return {
      prepare({ name }) {
        pass = name;
        const once = ms(which, name);
        if (once === undefined) return Promise.reject(new RefusedPass('no such kernel'));
        const out = Float32Array.of(name === 'wrong' && which === 'new' ? 1 : 2);
        return Promise.resolve({ outputs: { out }, ms: once, device });
      },
      time(repeats) {
        const load = 1.5 + Math.sin(clock++ / 20);
        const noise = 1 + 0.05 * random.normal() + (random.uniform() < 0.05 ? 2 : 0);
        return Promise.resolve(ms(which, pass)! * repeats * load * Math.max(0.5, noise));
      },
      close: () => Promise.resolve(),
    };
  };
  return { open, started: () => started };
}

test('a side that ends is no side without the kernel', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-'));
  const library = join(folder, 'old.mjs');
  writeFileSync(library, 'process.exit(3);\n');
  const side = openSide(library);
  for (const when of ['meanwhile', 'before']) {
    const told = await side.prepare(named('scale')[0]).catch((error: Error) => error);
    t.notOk(told instanceof RefusedPass, when);
    t.match(String(told), /^SpanwiseError: bench gate: \S+old\.mjs ended with status 3$/);
  }
  await side.close();
  rmSync(folder, { recursive: true });
});

test('times are judged against what the old differs from itself', async (t) => {
  const { open, started } = drawn((which, pass) => {
    if (pass === 'slower' && which === 'new') return 15;
    if (pass === 'faster' && which === 'new') return 7;
    if (pass === 'a little slower' && which === 'new') return 10.1;
    return pass === 'added' && which === 'old' ? undefined : 10;
  }, 1);
  const { rows } = await compareTimes(
    open,
    named('same', 'slower', 'faster', 'a little slower', 'added', 'wrong'),
  );
  t.deepEqual(
    rows.map((row) => [row.case, row.verdict]),
    [
      ['same', 'below the floor'],
      ['slower', 'slower'],
      ['faster', 'faster'],
      ['a little slower', 'below the floor'],
      ['added', 'not in the old'],
      ['wrong', 'other results'],
    ],
  );
  t.equal(started(), 6, 'what seemed slower was timed in other processes too');
  for (const { floor, low, high, ratio } of rows.slice(0, 4))
    t.ok(
      floor! >= 0.02 && low! <= ratio! && ratio! <= high!,
      `${ratio} in ${low} to ${high}, floor ${floor}`,
    );

  let failed = 0;
  for (let seed = 2; seed < 202; seed++) {
    const untouched = drawn(() => 10, seed);
    const found = await compareTimes(untouched.open, named('a', 'b', 'c', 'd', 'e'));
    failed += found.rows.filter(({ verdict }) => verdict === 'slower').length;
  }
  t.equal(failed, 0, 'of 1,000 untouched passes none is slower');
});

test('a slower kernel is caught between two libraries', async (t) => {
  const library = resolve('dist/spanwise-node.js');
  const folder = mkdtempSync(join('dist', 'slower-'));
  try {
    // Its softmax runs its dispatch twenty times.
    const slower = resolve(folder, 'slower.mjs');
    writeFileSync(
      slower,
      `import * as all from ${JSON.stringify(library)};
       export * from ${JSON.stringify(library)};
       export function kernelNamed(name) {
         const kernel = all.kernelNamed(name);
         const plan = (request) => {
           const made = kernel.plan(request);
           return { ...made, dispatches: Array(20).fill(made.dispatches[0]) };
         };
         return { ...kernel, plan };
       }`,
    );
    const [forward] = timedPasses(new Set(['softmax']));
    const { rows, device: on } = await compareTimes(
      (which) => openSide(which === 'old' ? library : slower),
      [{ ...forward, inputs: { x: { shape: [512, 256], data: new Float32Array(512 * 256) } } }],
      { rounds: 8, sampleMs: 1 },
    );
    const [{ verdict, ratio, floor }] = rows;
    t.equal(verdict, 'slower', `${ratio} times as long, floor ${floor}`);
    t.ok(on!.name !== '', on!.name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a slower training is caught between two libraries', async (t) => {
  const folder = mkdtempSync(join('dist', 'slower-'));
  /** A library whose training steps take so many milliseconds of the processor. */
  const library = (name: string, ms: number): string => {
    const file = resolve(folder, name);
    writeFileSync(
      file,
      `export const openRuntime = async () => ({ info: { software: true }, memory: { trim() {} } });
       export const memoryStorage = () => ({});
       export const definitionNamed = (name) => name;
       const spent = () => process.cpuUsage().user + process.cpuUsage().system;
       export async function train(definition, data, { onEvent }) {
         for (let step = 1; step <= 3; step++) {
           for (const end = spent() + 1000 * ${ms}; spent() < end;);
           onEvent({ event: 'step', step, loss: data.length / step });
         }
       }`,
    );
    return file;
  };
  try {
    const libraries = { old: library('old.mjs', 3), new: library('new.mjs', 9) };
    const training = { name: 'tagger', definition: 'tagger', config: {}, recipe: {}, data: 'text' };
    const open = (which: 'old' | 'new'): Side => openSide(libraries[which]);
    const { rows } = await compareTimes(open, [training], { rounds: 8, sampleMs: 1 });
    t.equal(rows[0].verdict, 'slower', `${rows[0].ratio} times as long, floor ${rows[0].floor}`);
    t.ok(rows[0].oldMs! < 9, `${rows[0].oldMs} ms: two of three steps, the first is none`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('each model has a training that is timed, of more than a step', (t) => {
  const trainings = timedTrainings(stepCases());
  const models = new Set(trainings.map(({ definition }) => definition));
  t.deepEqual([...models].sort(), definitions.map(({ name }) => name).sort());
  for (const { name, definition: model, data, config, recipe } of trainings) {
    const definition = definitionNamed(model);
    const train = definition.read(data, name, {});
    const texts = definition.texts(planTraining(definition, { train, config, recipe }).train);
    t.ok(texts.length > recipe.batch, `${name}: ${texts.length} texts`);
  }
  t.end();
});

test('what bench gate --time refuses', async (t) => {
  const gate = ['bench', 'gate', '--cases', 'sum', '--baseline', 'bench/baselines/gate.json'];
  expectFailure(
    t,
    await spanwise([...gate, '--time', '--against', 'no-such']),
    2,
    /gate: --against names "no-such", which is no folder and no revision/,
  );
  expectFailure(
    t,
    await spanwise([...gate, '--time', '--against', 'docs']),
    2,
    /docs has no dist.spanwise-node\.js: build it/,
  );
  expectFailure(t, await spanwise([...gate, '--against', 'HEAD']), 2, /--against goes with --time/);
});
