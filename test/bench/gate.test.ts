import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { kernelCases, kernelQuantities } from '../../bench/gate.cases.ts';
import { stepCases, stepQuantities } from '../../bench/gate.steps.ts';
import { kernels } from '../../kernels/index.ts';
import { defaultCaps, type Plan } from '../../kernels/plan.ts';
import softmaxWgsl from '../../shaders/softmax.wgsl';
import { baselineText, parseBaseline, type Measured } from '../../src/gate/baseline.ts';
import { gate } from '../../src/gate/gate.ts';
import { planStep } from '../../src/gate/plan-step.ts';
import { BindGroups } from '../../src/gpu/bind-groups.ts';
import { Pipelines } from '../../src/gpu/pipelines.ts';
import type { Runtime } from '../../src/gpu/runtime.ts';
import { Linear } from '../../src/nn/modules.ts';
import { Parameters, randomSource } from '../../src/nn/parameters.ts';
import { record, scale, sum } from '../../src/ops/index.ts';
import { AdamW } from '../../src/optim/index.ts';
import { expectFailure, file, folder, spanwise } from '../cli/run.ts';

const BASELINE = 'bench/baselines/gate.json';

test('nothing moved from the baseline of the repository', async (t) => {
  const { lines } = await gate(parseBaseline(readFileSync(BASELINE, 'utf8'), BASELINE), async () => ({
    ...kernelQuantities(),
    ...(await stepQuantities()),
  }));
  t.deepEqual(
    lines,
    [],
    'otherwise: node bin/spanwise.mjs bench gate --baseline bench/baselines/gate.json --update',
  );
  const planned = new Set(kernelCases().map(({ kernel }) => kernel));
  const names = [...kernelCases(), ...stepCases()].map(({ name }) => name);
  t.deepEqual(
    names.filter((name) => name.includes(',')),
    [],
    'names that --cases can list',
  );
  t.deepEqual(
    Object.keys(kernels).filter((name) => !planned.has(name)),
    [],
    'every kernel has a case',
  );
});

test('planted regressions of a kernel are caught, and named', async (t) => {
  const cases = kernelCases().filter(({ name }) => name === 'softmax');
  const before = kernelQuantities(cases);
  const movedBy = async (plant: () => () => void): Promise<readonly string[]> => {
    const mend = plant();
    try {
      return (await gate(before, () => kernelQuantities(cases))).lines;
    } finally {
      mend();
    }
  };
  /** A plan that is other than softmax's by `change`. */
  const plan = (change: (plan: Plan) => Plan) => () => {
    const { softmax } = kernels;
    const made = softmax.plan;
    softmax.plan = (request) => change(made(request));
    return () => void (softmax.plan = made);
  };
  const shader = (change: (wgsl: string) => string) => () => {
    const file = softmaxWgsl as { text: string };
    const { text } = file;
    file.text = change(text);
    return () => void (file.text = text);
  };

  const dispatch = await movedBy(
    plan((made) => ({ ...made, dispatches: [...made.dispatches, made.dispatches[0]] })),
  );
  for (const device of ['software', 'default', 'nvidia', 'rdna3'])
    t.ok(
      dispatch.includes(`worse: softmax, ${device}: forward: dispatches 1 -> 2 (+1, +100 %)`),
      `one more dispatch, ${device}`,
    );

  const byte = await movedBy(
    plan((made) => ({
      ...made,
      dispatches: made.dispatches.map((d) => ({ ...d, bytesRead: d.bytesRead + 1 })),
    })),
  );
  t.equal(byte.length, 4, 'one more byte: nothing else moved');
  t.match(byte[0], /^worse: softmax, software: forward: bytesRead [\d,]+ -> [\d,]+ \(\+1, \+0\.\d+ %\)$/);

  const loop = '  for (var i = first; i < end; i += STEP) { out[i] *= scale; }\n';
  const work = await movedBy(shader((wgsl) => wgsl.replace(loop, loop + loop.replace('scale', '1.0'))));
  t.equal(work.length, 4, 'twice the work in a shader');
  t.match(work[0], /^worse: softmax, software: forward: wgslBytes /);
  t.deepEqual(await movedBy(shader((wgsl) => `// a comment\n${wgsl}`)), [], 'a comment costs nothing');

  const better = await movedBy(plan((made) => ({ ...made, dispatches: [] })));
  t.ok(
    better.includes('better, to be taken over: softmax, software: forward: dispatches 1 -> 0 (-1, -100 %)'),
  );
  t.deepEqual(await movedBy(() => () => undefined), [], 'nothing planted, nothing moved');
});

/** Two layers and a step of AdamW on them. */
function smallStep(runtime: Runtime): () => Promise<void> {
  const parameters = new Parameters(runtime, randomSource(1));
  const layers = ['first', 'second'].map((name) => new Linear(parameters, name, 8, 8));
  const optimizer = new AdamW(parameters, { lr: 0.1 });
  const x = runtime.upload(new Float32Array(32), [4, 8]);
  return () =>
    runtime.scope(async () => {
      parameters.zeroGrad();
      const { result, tape } = await record(runtime, () => {
        return sum(layers.reduce((y, layer) => layer.forward(y), x));
      });
      tape.backward(result);
      optimizer.step(0.1);
      await runtime.flush();
    });
}

test('planted regressions of a step are caught, and named', async (t) => {
  const measure = async (step = smallStep) => ({ small: await planStep(defaultCaps, step) });
  const before = await measure();
  const linesOf = async (step = smallStep): Promise<readonly string[]> =>
    (await gate(before, () => measure(step))).lines;
  t.deepEqual(await linesOf(), [], 'nothing planted, nothing moved');
  t.deepEqual(
    before.small.step,
    { submits: 1, bindGroups: 0, pipelines: 0, wgslBytes: 0, buffers: 0, keptBytes: 0 },
    'a step that repeats makes nothing anew',
  );

  const { compile } = Pipelines.prototype;
  Pipelines.prototype.compile = async function (pipeline) {
    await compile.call(this, pipeline);
    pipeline.compiled = undefined;
    await compile.call(this, pipeline);
  };
  const twice = await linesOf().finally(() => (Pipelines.prototype.compile = compile));
  const { pipelines } = before.small['first steps'];
  t.ok(
    twice.includes(
      `worse: small: first steps: pipelines ${pipelines} -> ${2 * pipelines} (+${pipelines}, +100 %)`,
    ),
    'a pipeline compiled twice',
  );

  const { of } = BindGroups.prototype;
  BindGroups.prototype.of = function (...run) {
    this.clear();
    return of.apply(this, run);
  };
  const anew = await linesOf().finally(() => (BindGroups.prototype.of = of));
  t.ok(
    anew.some((line) => /^worse: small: step: bindGroups 0 -> \d+ \(\+\d+\)$/.test(line)),
    'bind groups made a step',
  );

  const leak = await linesOf((runtime) => {
    const step = smallStep(runtime);
    return () => {
      runtime.keep(runtime.empty([5]));
      return step();
    };
  });
  t.ok(leak.includes('worse: small: step: keptBytes 0 -> 20 (+20)'), 'a leak');

  const submits = await linesOf((runtime) => {
    const step = smallStep(runtime);
    return async () => {
      await step();
      scale(runtime.upload(new Float32Array(4), [4]), 2).release();
      await runtime.finish();
    };
  });
  t.ok(submits.includes('worse: small: step: submits 1 -> 2 (+1, +100 %)'), 'a submit more');
  t.ok(
    submits.some((line) => line.startsWith('worse: small: scale, forward: dispatches 0 -> 1 (+1)')),
    'and its kernel',
  );
});

test('spanwise bench gate', async (t) => {
  const text = readFileSync(BASELINE, 'utf8');
  const softmax = ['bench', 'gate', '--cases', 'softmax', '--baseline'];
  const [head, tail] = text.split('"softmax, software"');
  const lower = file(
    'gate.json',
    `${head}"softmax, software"${tail.replace('"dispatches": 1', '"dispatches": 2')}`,
  );
  const failed = await spanwise([...softmax, lower]);
  t.equal(failed.status, 1);
  t.match(
    failed.stdout,
    /^FAILS: better, to be taken over: softmax, software: forward: dispatches 2 -> 1 \(-1, -50 %\)/m,
  );

  const updated = await spanwise([...softmax, lower, '--update']);
  t.equal(updated.status, 0);
  t.match(updated.stdout, /^holds: better, .* \(taken over\)$/m);
  t.equal(readFileSync(lower, 'utf8'), text, '--update takes over what is measured, and leaves the rest');

  const other = file('older.json', text.replace('"version": 1', '"version": 0'));
  const older = readFileSync(other, 'utf8');
  expectFailure(
    t,
    await spanwise([...softmax, other, '--update']),
    2,
    /measure all cases anew with --update$/m,
  );
  t.equal(readFileSync(other, 'utf8'), older, 'what was not measured stays');
  const fresh = join(folder, 'fresh.json');
  expectFailure(
    t,
    await spanwise([...softmax, fresh, '--update', '--out', fresh]),
    2,
    /fresh\.json: would be written over/,
  );
  t.equal((await spanwise([...softmax, fresh, '--update'])).status, 0, 'a new one');
  const gru = await spanwise(['bench', 'gate', '--cases', 'gru', '--baseline', BASELINE]);
  t.equal(gru.status, 0, gru.stdout);

  expectFailure(t, await spanwise(['bench', 'gate']), 2, /bench gate: --baseline F is missing/);
});

test('a gate of numbers of any kind', async (t) => {
  const baseline = { bundle: { web: { bytes: 1000, files: 2 } }, gone: {} };
  const measured = {
    bundle: { web: { bytes: 1500 }, constructor: { length: 1 } },
    new: { step: { bytes: 1 } },
  };
  const report = await gate(baseline, () => measured);
  t.deepEqual(report.lines, [
    'worse: bundle: web: bytes 1,000 -> 1,500 (+500, +50 %)',
    'worse: bundle: constructor: length 0 -> 1 (+1)',
    'better, to be taken over: bundle: web: files 2 -> 0 (-2, -100 %)',
    'not in the baseline: new',
    'in the baseline alone: gone',
  ]);
  t.deepEqual([report.passed, report.added, report.missing], [false, ['new'], ['gone']]);
  t.ok((await gate(report.measured, () => measured)).passed, 'what was measured is the next baseline');
  const failure = async (value: unknown): Promise<string> =>
    gate({}, () => ({ a: { b: { c: value as number } } })).then(
      () => '',
      (error: Error) => `${error.name}: ${error.message}`,
    );
  for (const [nothing, said] of [
    [{}, 'there is no case'],
    [{ a: {} }, 'of the case "a"'],
    [{ a: { b: {} } }, 'of the case "a"'],
  ] as [Measured, string][])
    t.match(
      await gate(nothing, () => nothing).then(
        () => 'passed',
        (error: Error) => `${error.name}: ${error.message}`,
      ),
      new RegExp(`^InputError: gate: nothing was measured:? ${said}$`),
    );
  for (const wrong of [NaN, Infinity, -1, '1', null])
    t.match(
      await failure(wrong),
      /^InputError: gate: what was measured\."a"\."b"\."c" must be a finite number of at/,
    );
});

test('what a baseline holds is what it was written from', (t) => {
  const measured = { 'a, "b"': { step: { one: 1, none: 0, half: 0.5 } }, empty: {} };
  t.deepEqual(parseBaseline(baselineText(measured), 'x'), {
    'a, "b"': { step: { one: 1, half: 0.5 } },
    empty: {},
  });
  t.deepEqual(parseBaseline(baselineText({}), 'x'), {});

  const refusals: [string, RegExp][] = [
    [baselineText(measured).slice(0, 60), /^f\.json: line \d+: not JSON/],
    ['{"name": "x"}', /^f\.json: not a baseline/],
    [
      '{"version": 0, "cases": {}}',
      /^f\.json: a baseline of version 0, and this is 1: measure all cases anew with --update$/,
    ],
    ['{"version": 2, "cases": {}}', /^f\.json: a baseline of version 2, and this is 1: it is of a newer/],
    ['{"version": 1,\n"cases": {"a": {},\n"b": {}, "a": {}}}', /^f\.json: line 3: "a" is there twice$/],
    ['{"version": 1, "cases": {}, "b": 1}', /^f\.json: unknown key "b"$/],
    [
      '{"version": 1, "cases": {"a": {"b": {"c": "1"}}}}',
      /^f\.json: "cases"\."a"\."b"\."c" must be a finite number/,
    ],
    ['{"version": 1, "cases": {"a": {"b": 2}}}', /^f\.json: "cases"\."a"\."b" must be an object$/],
  ];
  for (const [text, message] of refusals) {
    const name = message.source.slice(0, 40);
    t.throws(() => parseBaseline(text, 'f.json'), { name: 'InputError', message }, name);
  }
  t.end();
});
