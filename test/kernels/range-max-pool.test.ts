import test from 'tape';
import { rangeMaxPool } from '../../kernels/range-max-pool.ts';
import { defaultCaps, type Kernel, type Plan } from '../../kernels/plan.ts';
import type { RefTensor } from '../../kernels/reference/types.ts';
import { ints, random, runtime, testKernel, type Case } from './harness.ts';

/** Ranges of 0 to `widest` rows all over [b, l], some empty and some backwards. */
function someRanges(count: number, b: number, l: number, widest: number): RefTensor {
  const values: number[] = [];
  for (let r = 0; r < count; r++) {
    const start = (r * 5) % (l + 1);
    const end = r % 11 === 3 ? Math.max(0, start - 1) : Math.min(l, start + ((r * 3) % (widest + 1)));
    values.push(r % b, start, end);
  }
  return ints([count, 3], values);
}

const shapes: [b: number, l: number, d: number, count: number, widest: number][] = [
  [1, 1, 1, 1, 1],
  [1, 1, 1, 3, 1],
  [0, 4, 4, 0, 1],
  [2, 0, 4, 3, 1],
  [1, 5, 4, 0, 1],
  [1, 5, 0, 2, 2],
  [2, 7, 5, 13, 3],
  [3, 16, 8, 40, 16],
  [1, 3, 63, 5, 3],
  [1, 4, 64, 5, 4],
  [2, 5, 65, 6, 4],
  [1, 67, 12, 101, 67],
];
const cases: Case[] = shapes.map(([b, l, d, count, widest]) => ({
  name: `x [${b},${l},${d}], ${count} ranges of up to ${widest}`,
  inputs: { x: random([b, l, d]), ranges: someRanges(count, Math.max(1, b), l, widest) },
}));

/** x [2, 6, d] whose rows 4 and 5 are padding that holds NaN, below ranges that end at 4. */
function padded(d: number): RefTensor {
  const x = random([2, 6, d]);
  for (let i = 0; i < x.data.length; i++) if (Math.floor(i / d) % 6 >= 4) x.data[i] = NaN;
  return x;
}
for (const d of [4, 7])
  cases.push({
    name: `padding of NaN that no range covers, d ${d}`,
    inputs: { x: padded(d), ranges: ints([4, 3], [0, 0, 4, 1, 3, 4, 1, 4, 4, 0, 1, 3]) },
  });
cases.push({
  name: 'large magnitudes of either sign',
  inputs: { x: random([1, 9, 5], 1e30), ranges: ints([3, 3], [0, 0, 9, 0, 2, 5, 0, 8, 9]) },
  forwardOnly: true,
});
testKernel('range-max-pool', cases);

test('range-max-pool: ties go to the first row, and an empty range has argmax -1', async (t) => {
  const ranges = { data: Int32Array.of(0, 0, 3, 0, 1, 3, 0, 2, 2), shape: [3, 3] };
  const [out, argmax, gradX] = await runtime.scope(() => {
    const x = runtime.upload(Float32Array.of(-1, 5, -1, 5, -1, 4), [1, 3, 2]);
    const made = runtime.kernel(rangeMaxPool, { x }, { host: { ranges } });
    const gradOut = runtime.upload(Float32Array.of(1, 2, 4, 8, 16, 32), [3, 2]);
    const grads = runtime.kernel(
      rangeMaxPool.backward as Kernel,
      { x, argmax: made.argmax, grad_out: gradOut },
      { host: { ranges } },
    );
    return runtime.readAll([made.out, made.argmax, grads.grad_x]);
  });
  t.deepEqual([...out], [-1, 5, -1, 5, 0, 0]);
  t.deepEqual([...argmax], [0, 0, 1, 1, -1, -1]);
  t.deepEqual([...gradX], [1, 2, 4, 8, 0, 0]);
});

test('range-max-pool: ranges outside x name their row', (t) => {
  const plan = (values: readonly number[], shape: readonly number[] = [values.length / 3, 3]): Plan =>
    rangeMaxPool.plan({
      shapes: { x: [2, 4, 3], ranges: shape },
      params: {},
      caps: defaultCaps,
      host: { ranges: Int32Array.from(values) },
    });
  for (const bad of [
    [2, 0, 1],
    [-1, 0, 1],
    [0, -1, 1],
    [0, 3, 5],
    [0, 5, 4],
  ])
    t.throws(
      () => plan([0, 0, 4, ...bad]),
      new RegExp(`^InputError: range-max-pool: ranges row 1 = \\(${bad.join(', ')}\\) is outside x`),
    );
  t.throws(() => plan([0, 0], [1, 2]), /input "ranges" must have shape/);
  t.end();
});
