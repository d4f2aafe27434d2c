import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { defaultCaps, sizeOf, type Kernel, type Plan, type Shape } from '../../kernels/plan.ts';
import { chooseTile, slidingAveragePool } from '../../kernels/sliding-average-pool.ts';
import { hostInts, mul, slidingAveragePool as pool, sum } from '../../src/ops/index.ts';
import { record } from '../../src/ops/tape.ts';
import { ints, limitProblems, random, runtime, testKernel, type Case } from './harness.ts';

/** x [B, L, d] with NaN in the padding. */
function caseOf(l: number, d: number, lengths: readonly number[], scales: readonly number[]): Case {
  const x = random([lengths.length, l, d]);
  lengths.forEach((length, b) => x.data.fill(NaN, (b * l + length) * d, (b + 1) * l * d));
  return {
    name: `[${x.shape}], lengths ${lengths}, scales ${scales}`,
    inputs: { x, lengths: ints([lengths.length], lengths) },
    params: { scales },
  };
}

const scales = [2, 3, 4, 5, 6];
const cases: Case[] = [
  caseOf(3, 4, [], [2]),
  caseOf(0, 4, [0, 0], [1, 2]),
  caseOf(5, 0, [5, 3], [2]),
  caseOf(1, 1, [1], [1]),
  caseOf(1, 1, [1], [2]),
  caseOf(2, 3, [2, 1, 0], [3, 7]),
  // Around one tile of 8 rows, and around a workgroup.
  caseOf(7, 4, [7, 6], scales),
  caseOf(8, 4, [8, 0], scales),
  caseOf(9, 4, [9, 8], scales),
  caseOf(13, 13, [13, 12, 5], scales),
  caseOf(33, 63, [33], [1]),
  caseOf(17, 64, [17, 1], [1, 2]),
  caseOf(17, 65, [9, 17], [17, 1, 8, 9]),
  // Not in order, with gaps, and wider than any row.
  caseOf(31, 12, [31, 30, 11], [9, 1, 40, 23, 4]),
  // More scales than one pass takes: two and three passes.
  caseOf(11, 8, [11, 4], [1, 2, 3, 4, 5, 6, 7]),
  caseOf(19, 5, [19, 16], [13, 1, 3, 2, 12, 4, 6, 5, 7, 11, 10, 9, 8]),
  caseOf(70, 96, [70, 67], scales),
  // Over 37 workgroups, which the second run folds.
  caseOf(33, 129, [33, 32, 17, 0], [3, 2]),
];
testKernel('sliding-average-pool', cases);

const planOf = (
  x: Shape,
  lengths: readonly number[],
  params: Record<string, unknown>,
  gradients?: Record<string, Shape>,
): Plan => {
  const kernel = gradients ? (slidingAveragePool.backward as Kernel) : slidingAveragePool;
  return kernel.plan({
    shapes: { x, lengths: [lengths.length], ...gradients },
    params,
    caps: defaultCaps,
    host: { lengths: Int32Array.from(lengths) },
  });
};

test('sliding-average-pool: one pass for up to 6 scales, whatever their order', (t) => {
  const counts = [1, 6, 7, 12, 13].map((count) => {
    const scales = Array.from({ length: count }, (_, i) => count - i);
    const outs = Object.fromEntries(scales.map((r): [string, Shape] => [`grad_out.${r}`, [2, 21 - r, 4]]));
    const forward = planOf([2, 20, 4], [20, 18], { scales });
    const backward = planOf([2, 20, 4], [20, 18], { scales }, outs);
    t.deepEqual([...limitProblems(forward), ...limitProblems(backward)], []);
    t.deepEqual(
      Object.keys(forward.outputs),
      scales.map((r) => `out.${r}`),
      'outputs in the order given',
    );
    return [forward.dispatches.length, backward.dispatches.length];
  });
  t.deepEqual(counts, [
    [1, 1],
    [1, 1],
    [2, 2],
    [2, 2],
    [3, 3],
  ]);
  t.equal(planOf([1, 3, 4], [3], { scales: [4, 1, 9] }).dispatches[0].bindings.length, 3, 'none for no rows');
  t.deepEqual(planOf([1, 3, 4], [3], { scales: [4] }).dispatches, []);
  t.end();
});

test('sliding-average-pool: a GPU gets as many rows an invocation as leave enough invocations', (t) => {
  const choices = [1, 131_071, 131_072, 262_143, 262_144, 524_288, 2 ** 30].map((n) =>
    chooseTile(n, defaultCaps),
  );
  t.deepEqual(choices, [1, 1, 2, 2, 4, 8, 8]);
  t.equal(chooseTile(1, { ...defaultCaps, software: true }), 8);
  t.end();
});

test('sliding-average-pool: the same bits whatever the rows of an invocation', async (t) => {
  const [b, l, d] = [2, 21, 8];
  const x: Shape = [b, l, d];
  const gradients = Object.fromEntries(
    [2, 3, 7].map((r): [string, Shape] => [`grad_out.${r}`, [b, l - r + 1, d]]),
  );
  for (const given of [undefined, gradients]) {
    const plan = planOf(x, [21, 18], { scales: [3, 7, 2] }, given);
    await runtime.scope(async () => {
      const inputs = Object.fromEntries(
        Object.entries({ x, ...given }).map(([name, shape]) => [
          name,
          runtime.upload(Float32Array.from(random(shape).data), shape),
        ]),
      );
      const bits: string[] = [];
      for (const tile of [1, 2, 3, 4, 8]) {
        const tiles = Math.ceil((given ? l : l - 1) / tile);
        const size = (b * tiles * d) / 4;
        const dispatches = plan.dispatches.map((dispatch) => ({
          ...dispatch,
          constants: { ...dispatch.constants, TILE: tile },
          uniforms: [size, d / 4, l, tiles],
          workgroups: [Math.ceil(size / 64), 1, 1] as const,
        }));
        const values = await runtime.readAll(Object.values(runtime.run({ ...plan, dispatches }, inputs)));
        bits.push(values.map(({ buffer }) => Buffer.from(buffer).toString('hex')).join());
      }
      t.equal(new Set(bits).size, 1, given ? 'backward' : 'forward');
    });
  }
});

test('sliding-average-pool: costs are the stated formulas', (t) => {
  const given: [Shape, number[], { scales: number[] }] = [[2, 10, 4], [10, 5], { scales: [4, 2] }];
  const [forward] = planOf(...given).dispatches;
  // Windows within length: 9 + 4 of two, 7 + 2 of four.
  t.deepEqual([forward.macs, forward.flops], [0, 4 * (13 * 2 + 9 * 3)]);
  t.deepEqual([forward.bytesRead, forward.bytesWritten], [4 * (2 + 15 * 4), 4 * 2 * 4 * (9 + 7)]);
  const [backward] = planOf(...given, { 'grad_out.4': [2, 7, 4], 'grad_out.2': [2, 9, 4] }).dispatches;
  t.deepEqual([backward.macs, backward.flops], [0, 4 * (13 * 4 + 9 * 4)]);
  t.deepEqual([backward.bytesRead, backward.bytesWritten], [4 * (2 + 22 * 4), 4 * 2 * 10 * 4]);
  t.end();
});

test('sliding-average-pool: over 65,535 workgroups fold', (t) => {
  const [dispatch] = planOf([8, 8 * 1024, 4 * 1024], Array<number>(8).fill(8192), { scales: [2] }).dispatches;
  t.ok(dispatch.workgroups[0] <= 65535 && sizeOf(dispatch.workgroups) >= (8 * 1024 * 1024) / 64);
  t.equal(dispatch.workgroups[1], 3);
  t.end();
});

test('sliding-average-pool: gradients of windows that reach into padding are not read', async (t) => {
  const backward = slidingAveragePool.backward as Kernel;
  const gradient = await runtime.scope(async () => {
    const given = {
      'grad_out.2': runtime.upload(Float32Array.of(2, 4, NaN, NaN, NaN, NaN), [2, 3, 1]),
      'grad_out.4': runtime.upload(Float32Array.of(NaN, NaN), [2, 1, 1]),
    };
    const x = runtime.upload(new Float32Array(8), [2, 4, 1]);
    const host = { lengths: { data: Int32Array.of(3, 1), shape: [2] } };
    return runtime.kernel(backward, { x, ...given }, { params: { scales: [2, 4] }, host }).grad_x.read();
  });
  t.deepEqual([...gradient], [1, 3, 2, 0, 0, 0, 0, 0]);
});

test('sliding-average-pool: a gradient of some scales alone', async (t) => {
  const gradient = await runtime.scope(async () => {
    const x = runtime.upload(Float32Array.of(1, 2, 3, 4), [1, 4, 1]);
    x.requiresGrad = true;
    const { result, tape } = await record(runtime, () => {
      const [, pairs] = pool(x, hostInts(Int32Array.of(3)), [3, 2, 5]);
      return sum(mul(pairs, runtime.upload(Float32Array.of(1, 10, 100), [1, 3, 1])));
    });
    tape.backward(result);
    return x.grad?.read();
  });
  t.deepEqual([...(gradient ?? [])], [0.5, 5.5, 5, 0]);
});

test('sliding-average-pool: bad input is named', (t) => {
  const bad = (scales: unknown) => () => planOf([1, 3, 2], [3], { scales });
  for (const scales of [undefined, 3, [], [0], [-1], [1.5], [2, 2], ['2']])
    t.throws(bad(scales), InputError, `scales ${JSON.stringify(scales)}`);
  t.throws(bad([2, 2]), /parameter "scales" must be distinct positive integers, got \[2,2\]/);
  const good = { scales: [2] };
  t.throws(() => planOf([1, 3], [3], good), /input "x" must have 3 dimensions/);
  t.throws(() => planOf([2, 3, 2], [3], good), /input "lengths" must have shape \[2\]/);
  t.throws(() => planOf([2, 3, 2], [3, 4], good), /lengths row 1 is 4, not in 0\.\.3/);
  t.throws(() => planOf([1, 3, 2], [-1], good), /lengths row 0 is -1/);
  t.throws(() => planOf([1, 3, 2], [3], good, {}), /input "grad_out.2" is missing/);
  t.throws(() => planOf([1, 3, 2], [3], good, { 'grad_out.2': [1, 3, 2] }), /"grad_out.2" must have shape/);
  t.end();
});
