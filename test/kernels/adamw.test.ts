import test from 'tape';
import { adamw } from '../../kernels/adamw.ts';
import { adamwReference } from '../../kernels/reference/adamw.ts';
import { defaultCaps, type Params, type Shape } from '../../kernels/plan.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import { narrowToHalves, widenHalves } from '../../src/io/half.ts';
import { random, relativeError, runtime, testKernel, type Case } from './harness.ts';

const inputs = (shape: Shape): RefTensors => {
  const v = random(shape);
  return {
    param: random(shape),
    grad: random(shape),
    m: random(shape, 0.1),
    v: { shape, data: Float64Array.from(v.data, (x) => Math.fround(x * x)) },
  };
};

const shapes: Shape[] = [[0], [], [1], [7], [63], [64], [65], [4, 64], [4, 65], [3, 5, 16]];
const cases: Case[] = shapes.map((shape) => ({
  name: `[${shape}]`,
  inputs: inputs(shape),
  params: { lr: 1e-3, step: 3 },
}));
cases.push(
  {
    name: 'first step from zero moments, other rates',
    inputs: {
      ...inputs([37]),
      m: { shape: [37], data: new Float64Array(37) },
      v: { shape: [37], data: new Float64Array(37) },
    },
    params: { lr: 5e-5, step: 1, beta1: 0.8, beta2: 0.99, eps: 1e-6, weightDecay: 0.1 },
  },
  {
    name: 'scaled gradient',
    inputs: { ...inputs([32]), grad_scale: random([1], 0.5) },
    params: { lr: 1e-2, step: 1000, weightDecay: 0 },
  },
  ...[0, 1].map((found) => ({
    name: `found_inf ${found}`,
    inputs: {
      ...inputs([300]),
      ...{ grad_scale: random([1], 0.5), found_inf: { shape: [1], data: Float64Array.of(found) } },
    },
    params: { lr: 1e-2, step: 2 },
  })),
);
const run = (first: number, size: number, step = 1, weightDecay = 0) => ({ first, size, step, weightDecay });
/** Gradients that no run holds are NaN, and the values beside them must stay. */
const between = (size: number, runs: readonly { first: number; size: number }[]): RefTensors => {
  const all = inputs([size]);
  const inside = (i: number): boolean => runs.some(({ first, size }) => i >= first && i < first + size);
  all.grad.data.forEach((_, i, data) => (data[i] = inside(i) ? data[i] : NaN));
  return all;
};
const lists = {
  'runs in fours, gaps between': [run(0, 8, 3, 0.1), run(64, 4, 1), run(128, 2052, 7, 0.5)],
  'runs that are no multiples of four, one empty': [run(1, 3, 2, 0.1), run(4, 0), run(5, 1030, 9, 0.2)],
  'a workgroup of one, each side of it one more': [run(0, 1023), run(1023, 1024, 2, 0.1), run(2047, 1025, 3)],
  'no run': [],
  'more runs than a search of one step finds': Array.from({ length: 9 }, (_, i) =>
    run(64 * i, i + 1, i + 1, i),
  ),
};
for (const [name, runs] of Object.entries(lists)) {
  const size = Math.max(10, ...runs.map((r) => r.first + r.size)) + 3;
  cases.push({ name, inputs: between(size, runs), params: { lr: 1e-2, runs } });
}
testKernel('adamw', cases);

test('adamw: many small decays add up as in double precision', async (t) => {
  // lr·weightDecay = 5e-7 is 8 units in the last place of a float below 1: a factor 1 − 5e-7 would be off by 5 %.
  const params = { lr: 5e-5, weightDecay: 1e-2 };
  const zero = { shape: [8], data: new Float64Array(8) };
  const start = random([8]);
  let expected: RefTensors = { param: start, grad: zero, m: zero, v: zero };
  const actual = await runtime.scope(async () => {
    const upload = (data: ArrayLike<number>) => runtime.upload(Float32Array.from(data), [8]);
    const tensors = {
      param: upload(start.data),
      grad: upload(zero.data),
      m: upload(zero.data),
      v: upload(zero.data),
    };
    for (let step = 1; step <= 400; step++) {
      runtime.kernel(adamw, tensors, { params: { ...params, step } });
      expected = { ...adamwReference.forward(expected, { ...params, step }), grad: zero };
    }
    return tensors.param.read();
  });
  const moved = (values: ArrayLike<number>) => Float64Array.from(values, (x, i) => start.data[i] - x);
  const error = relativeError(moved(actual), moved(expected.param.data));
  t.ok(error < 0.02, `relative error of what the decay took away: ${error.toExponential(1)}`);
});

test('adamw: the copy is the parameter rounded, bit by bit, in the runs alone; a step that is none leaves all', async (t) => {
  const size = 4096;
  // Magnitudes from those that f16 has no number for to those beyond it, ties among them.
  const values = Float32Array.from({ length: size }, (_, i) => {
    const tie = i % 3 === 0 ? 1 + (2 * Math.floor(i / 3) + 1) / 2048 : 1 + Math.sin(i) / 2;
    return Math.sin(5 * i) < 0 ? -tie * 2 ** ((i % 48) - 30) : tie * 2 ** ((i % 48) - 30);
  });
  const before = Uint16Array.from({ length: size }, (_, i) => i & 0x3fff);
  const runs = [run(0, 8), run(128, 3900, 2, 0.5)];
  const step = async (foundInf: number, lr: number) =>
    runtime.scope(async () => {
      const state = () => runtime.upload(new Float32Array(size).fill(0.25), [size]);
      const given = { param: runtime.upload(values, [size]), grad: state(), m: state(), v: state() };
      const copy = runtime.upload(before, [size]);
      const found_inf = runtime.upload(Float32Array.of(foundInf), [1]);
      runtime.kernel(adamw, { ...given, copy, found_inf }, { params: { lr, runs } });
      return runtime.readAll([given.param, given.m, given.v, copy]);
    });
  for (const lr of [0, 0.01]) {
    const [param, , , copy] = await step(0, lr);
    const expected = widenHalves(before);
    const halves = widenHalves(narrowToHalves(param as Float32Array));
    for (const { first, size } of runs) expected.set(halves.subarray(first, first + size), first);
    t.deepEqual(copy, expected, `lr ${lr}`);
    t.equal(
      param.every((x, i) => x === values[i]),
      lr === 0,
      'a rate of 0 moves nothing',
    );
  }
  const [param, m, v, copy] = await step(1, 0.01);
  t.deepEqual([param, copy], [values, widenHalves(before)]);
  for (const moment of [m, v]) t.ok(moment.every((x) => x === 0.25));
});

test('adamw: what the copy costs', (t) => {
  const plan = (shapes: Record<string, Shape>) =>
    adamw.plan({
      shapes: { param: [64], grad: [64], m: [64], v: [64], ...shapes },
      ...{ params: { lr: 1, step: 1 }, caps: defaultCaps, host: {} },
    }).dispatches[0];
  const { bytesRead, bytesWritten, flops } = plan({ grad_scale: [1] });
  const all = plan({ grad_scale: [1], found_inf: [1], copy: [64] });
  t.deepEqual([all.bytesRead, all.bytesWritten, all.flops], [bytesRead + 4, bytesWritten + 128, flops]);
  t.equal(all.bindings.length, 8, 'storage buffers, all that every device grants');
  t.end();
});

test('adamw: over 65,535 workgroups fold', (t) => {
  const shape = [256 * 70_000 + 1];
  const plan = adamw.plan({
    shapes: { param: shape, grad: shape, m: shape, v: shape },
    params: { lr: 1, step: 1 },
    caps: defaultCaps,
    host: {},
  });
  t.deepEqual(plan.dispatches[0].workgroups, [35_001, 2, 1]);
  t.equal(plan.dispatches[0].bytesWritten, 12 * shape[0]);
  t.end();
});

test('adamw: a plan is renewed to what another rate and other steps plan, or not at all', (t) => {
  const plan = (params: Params, copy = false) => {
    const shape = [4096];
    const shapes = { param: shape, grad: shape, m: shape, v: shape, ...(copy && { copy: shape }) };
    return adamw.plan({ shapes, params, caps: defaultCaps, host: {} });
  };
  for (const [name, runs] of Object.entries(lists)) {
    const before = { lr: 0.1, beta1: 0.8, runs };
    const params = { lr: 3e-5, beta1: 0.8, runs: runs.map((of) => ({ ...of, step: of.step + 5 })) };
    const old = plan(before);
    const [kept, renewed] = [plan(before), adamw.renew?.(old, before, params)];
    t.deepEqual(renewed, plan(params), name);
    t.deepEqual(old, kept, 'what it is made from stays');
  }
  const runs = [run(0, 8, 3, 0.1), run(64, 4, 1)];
  const before = { lr: 0.1, eps: 1e-6, runs };
  const old = plan(before, true);
  const fails = (why: string, params: Params): void =>
    t.equal(adamw.renew?.(old, before, { ...before, ...params }), undefined, why);
  t.deepEqual(adamw.renew?.(old, before, { ...before, lr: 0 }), plan({ ...before, lr: 0 }, true));
  for (const name of ['eps', 'beta1', 'beta2']) fails(`another ${name}`, { [name]: 0.5 });
  for (const lr of [-1, NaN, Infinity, 1e39, '1', undefined]) fails(`lr ${lr}`, { lr });
  for (const key of ['first', 'size', 'weightDecay'])
    fails(`another ${key}`, { runs: [runs[0], { ...runs[1], [key]: 12 }] });
  for (const step of [0, 1.5, undefined]) fails(`step ${step}`, { runs: [runs[0], { ...runs[1], step }] });
  fails('fewer runs', { runs: runs.slice(1) });
  fails('no run', { runs: [null, null] });
  const [bare, none] = [
    { lr: 0.1, runs: [{ first: 0, size: 8, step: 1 }] },
    { lr: 0.1, beta1: null, beta2: null, runs },
  ];
  const next = { ...bare, runs: [{ ...bare.runs[0], step: 2 }] };
  t.equal(adamw.renew?.(plan(bare), bare, next), undefined, 'the default decay is the plan’s affair');
  t.deepEqual(adamw.renew?.(plan(none), none, { ...none, lr: 0.2 }), plan({ ...none, lr: 0.2 }));
  fails('no runs', { runs: undefined, step: 1 });
  t.end();
});

test('adamw: bad input is named', (t) => {
  const shapes = { param: [4], grad: [4], m: [4], v: [4] };
  const plan = (more: Record<string, Shape>, params: Record<string, unknown>) => () =>
    adamw.plan({ shapes: { ...shapes, ...more }, params, caps: defaultCaps, host: {} });
  t.throws(plan({ v: [5] }, { lr: 1, step: 1 }), /adamw: input "v" must have shape \[4\], got \[5\]/);
  t.throws(plan({ grad_scale: [4] }, { lr: 1, step: 1 }), /adamw: input "grad_scale" must have shape \[1\]/);
  for (const name of ['lr', 'eps', 'weightDecay'])
    t.throws(
      plan({}, { lr: 1, step: 1, [name]: -1 }),
      new RegExp(`adamw: parameter "${name}" must be at least 0, got -1`),
    );
  t.throws(
    plan({}, { lr: 1e39, step: 1 }),
    /adamw: parameter "lr" must be a finite number of f32, got 1e\+39/,
  );
  t.throws(plan({}, { lr: 1, step: 0 }), /adamw: parameter "step" must be an integer of at least 1, got 0/);
  t.throws(plan({}, { step: 1 }), /adamw: parameter "lr"/);
  const runs = (...all: unknown[]) => plan({}, { lr: 1, runs: all });
  t.throws(plan({}, { lr: 1, runs: 3 }), /adamw: parameter "runs" must be a list of objects/);
  t.throws(runs(run(0, 5)), /adamw: parameter "runs": 5 elements from 0 on are none of 4/);
  t.throws(runs(run(2, 2), run(0, 2)), /adamw: parameter "runs": 2 elements from 0 on/, 'out of order');
  t.throws(runs({ first: 0, size: 4 }), /adamw: parameter "step"/);
  t.throws(runs(null), /adamw: parameter "runs" must be a list of objects/);
  t.throws(plan({ found_inf: [2] }, { lr: 1, step: 1 }), /adamw: input "found_inf" must have shape \[1\]/);
  t.throws(plan({ copy: [5] }, { lr: 1, step: 1 }), /adamw: input "copy" must have shape \[4\], got \[5\]/);
  t.throws(
    plan({ copy: [4] }, { lr: 1, runs: [run(0, 3)] }),
    /adamw: runs must begin and end at multiples of 4 where there is a "copy"/,
  );
  t.throws(plan({}, { lr: 1, step: 1, beta2: 1 }), /adamw: parameter "beta2" .* below 1, got 1/);
  t.end();
});
