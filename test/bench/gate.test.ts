import { readFileSync } from 'node:fs';
import test from 'tape';
import { kernelCases, kernelQuantities } from '../../bench/gate.cases.ts';
import { kernels } from '../../kernels/index.ts';
import type { Plan } from '../../kernels/plan.ts';
import { sources } from '../../shaders/index.ts';
import { baselineText, parseBaseline } from '../../src/gate/baseline.ts';
import { gate } from '../../src/gate/gate.ts';
import { expectFailure, file, spanwise } from '../cli/run.ts';

const BASELINE = 'bench/baselines/gate.json';

test('nothing moved from the baseline of the repository', async (t) => {
  const { lines } = await gate(parseBaseline(readFileSync(BASELINE, 'utf8'), BASELINE), () =>
    kernelQuantities(),
  );
  t.deepEqual(
    lines,
    [],
    'otherwise: node bin/spanwise.mjs bench gate --baseline bench/baselines/gate.json --update',
  );
  const planned = new Set(kernelCases().map(({ kernel }) => kernel));
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
    const texts = sources as Record<string, string>;
    const { softmax } = texts;
    texts.softmax = change(softmax);
    return () => void (texts.softmax = softmax);
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

test('spanwise bench gate', async (t) => {
  const text = readFileSync(BASELINE, 'utf8');
  const lower = file('gate.json', text.replace('"dispatches": 2', '"dispatches": 1'));
  const failed = await spanwise(['bench', 'gate', '--baseline', lower]);
  t.equal(failed.status, 1);
  t.match(
    failed.stdout,
    /^FAILS: worse: linear 768x768, software: backward: dispatches 1 -> 2 \(\+1, \+100 %\)/m,
  );
  t.equal(readFileSync(lower, 'utf8').includes('"dispatches": 1 '), false, 'the file is as it was');

  const updated = await spanwise(['bench', 'gate', '--baseline', lower, '--update']);
  t.equal(updated.status, 0);
  t.match(updated.stdout, /^holds: worse: linear 768x768, .* \(taken over\)$/m);
  t.equal(readFileSync(lower, 'utf8'), text, '--update takes over what is measured');

  expectFailure(t, await spanwise(['bench', 'gate']), 2, /bench gate: --baseline F is missing/);
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
      /^f\.json: a baseline of version 0, and this is 1: measure it anew with --update$/,
    ],
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
