import test from 'tape';
import { clipGradNorm } from '../../kernels/clip-grad-norm.ts';
import { defaultCaps, type Shape } from '../../kernels/plan.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import type { KernelOptions } from '../../src/gpu/tensor.ts';
import { ints, random, runtime, testKernel, type Case } from './harness.ts';

const grads = (...shapes: Shape[]): RefTensors =>
  Object.fromEntries(shapes.map((shape, i) => [`grad${i}`, random(shape)]));

const cases: Case[] = [
  { name: 'no gradients', inputs: {}, params: { maxNorm: 1 } },
  { name: 'empty ones alone', inputs: grads([0], [3, 0]), params: { maxNorm: 1 } },
  { name: 'one element, below the maximum', inputs: grads([]), params: { maxNorm: 10 } },
  { name: 'clipped to 0', inputs: grads([7]), params: { maxNorm: 0 } },
  {
    name: 'sizes around a workgroup, an empty one between',
    inputs: grads([63], [64], [0], [65], [13, 5], [16383], [16384], [16385]),
    params: { maxNorm: 1 },
  },
  {
    name: 'twelve small ones, numbered past 9',
    inputs: grads(...Array.from({ length: 12 }, (_, i) => [i + 1])),
    params: { maxNorm: 2.5 },
  },
  { name: 'more than 64 rows of partial sums', inputs: grads([70 * 16384 + 3]), params: { maxNorm: 5 } },
  {
    name: 'of a scaled loss',
    inputs: { grad0: random([700], 1024), grad1: random([9], 1024) },
    params: { maxNorm: 1, lossScale: 1024 },
  },
  {
    name: 'zero gradients',
    inputs: { grad0: { shape: [5], data: new Float64Array(5) } },
    params: { maxNorm: 1 },
  },
];
type Part = [grad: number, first: number, size: number];
const runsOf = (...parts: Part[]): RefTensors['x'] => ints([parts.length, 3], parts.flat());
const poisoned = (size: number, parts: readonly Part[]): RefTensors['x'] => {
  const all = random([size]);
  const inside = (i: number): boolean => parts.some(([, first, size]) => i >= first && i < first + size);
  return { shape: all.shape, data: Float64Array.from(all.data, (x, i) => (inside(i) ? x : NaN)) };
};
const some: Part[] = [
  [0, 3, 5],
  [0, 64, 1],
  [0, 128, 16385],
  [0, 20000, 0],
  [0, 20001, 63],
];
cases.push(
  { name: 'no run', inputs: { ...grads([7], [3]), runs: runsOf() }, params: { maxNorm: 1 } },
  {
    name: 'runs with NaN between them',
    inputs: { grad0: poisoned(20100, some), runs: runsOf(...some) },
    params: { maxNorm: 1 },
  },
  {
    name: 'runs of two inputs, in no order, one left out',
    inputs: {
      ...grads([40, 50], [9], [100]),
      runs: runsOf([2, 7, 80], [0, 1000, 1000], [2, 0, 7], [0, 0, 999]),
    },
    params: { maxNorm: 3 },
  },
);
testKernel(
  'clip-grad-norm',
  cases.map((c) => ({ ...c, forwardOnly: true })),
);

test('clip-grad-norm: runs give the bits of as many inputs', async (t) => {
  const sizes = [64, 5, 16384, 40000, 1];
  const values = sizes.map((size) => Float32Array.from(random([size]).data));
  const firsts = [131072, 0, 64, 65536, 192000];
  const all = new Float32Array(200000).fill(NaN);
  values.forEach((own, i) => all.set(own, firsts[i]));
  const [apart, together] = await runtime.scope(async () => {
    const norm = (inputs: Record<string, Float32Array>, host?: KernelOptions['host']) => {
      const tensors = Object.entries(inputs).map(([name, x]) => [name, runtime.upload(x, [x.length])]);
      return runtime.kernel(clipGradNorm, Object.fromEntries(tensors), { params: { maxNorm: 1 }, host }).norm;
    };
    const runs = Int32Array.from(sizes.flatMap((size, i) => [0, firsts[i], size]));
    return runtime.readAll([
      norm(Object.fromEntries(values.map((own, i) => [`grad${i}`, own]))),
      norm({ grad0: all }, { runs: { data: runs, shape: [sizes.length, 3] } }),
    ]);
  });
  t.deepEqual([...together], [...apart], 'the norm');
});

test('clip-grad-norm: found_inf says what the host would say of the norm', async (t) => {
  for (const [last, lossScale] of [
    [1, 1],
    [Infinity, 8],
    [-Infinity, 2 ** 126],
    [NaN, 2 ** 16],
    [2 ** 65, 2 ** 40], // whose square is infinite
    [2 ** 60, 2 ** 20],
  ]) {
    const { norm, found } = await runtime.scope(async () => {
      const values = new Float32Array(20000).fill(0.5);
      values[19999] = last;
      const inputs = { grad0: runtime.upload(values, [20000]) };
      const made = runtime.kernel(clipGradNorm, inputs, { params: { maxNorm: 1, lossScale } });
      const [norm, found] = await runtime.readAll([made.norm, made.found_inf]);
      return { norm: norm[0], found: found[0] };
    });
    t.equal(found, Number.isFinite(norm) ? 0 : 1, `${last}: norm ${norm}`);
    const isHeld = Number.isFinite(Math.fround(last * last));
    t.equal(Number.isFinite(norm), isHeld);
    const exact = Math.hypot(last, 0.5 * Math.sqrt(19999)) / lossScale;
    t.ok(!isHeld || Math.abs(norm / exact - 1) < 1e-5, 'the norm of the loss itself');
  }
});

test('clip-grad-norm: over 65,535 workgroups fold', (t) => {
  const plan = clipGradNorm.plan({
    shapes: { grad0: [16384 * 70_000] },
    params: { maxNorm: 1 },
    caps: defaultCaps,
    host: {},
  });
  t.deepEqual(plan.dispatches[0].workgroups, [35_000, 2, 1]);
  t.equal(plan.dispatches[0].macs, 16384 * 70_000);
  t.end();
});

test('clip-grad-norm: bad input is named', (t) => {
  const plan = (shapes: Record<string, Shape>, params: Record<string, unknown>) => () =>
    clipGradNorm.plan({ shapes, params, caps: defaultCaps, host: {} });
  t.throws(plan({ grad0: [1], grad2: [1] }, { maxNorm: 1 }), /clip-grad-norm: .* "grad1" is missing/);
  t.throws(plan({ grad0: [1] }, {}), /clip-grad-norm: parameter "maxNorm"/);
  const runs =
    (shape: Shape, ...values: number[]) =>
    () =>
      clipGradNorm.plan({
        shapes: { grad0: [4], runs: shape },
        params: { maxNorm: 1 },
        caps: defaultCaps,
        host: { runs: Int32Array.from(values) },
      });
  for (const lossScale of [0, 3, -2, 0.5, 2 ** 127])
    t.throws(
      plan({ grad0: [1] }, { maxNorm: 1, lossScale }),
      /clip-grad-norm: parameter "lossScale" must be a power of two from 1 to 2\^126/,
    );
  t.throws(runs([1, 3], 0, 1, 4), /clip-grad-norm: runs row 0 = \(0, 1, 4\) is no part of grad0/);
  t.throws(runs([2, 3], 0, 0, 4, 1, 0, 1), /clip-grad-norm: runs row 1 = \(1, 0, 1\) is no part of grad1/);
  t.throws(runs([1, 3], 0, -1, 1), /clip-grad-norm: runs row 0/);
  t.throws(runs([3], 0, 0, 1), /clip-grad-norm: input "runs" must have shape \[1,3\]/);
  t.throws(plan({ grad0: [1] }, { maxNorm: -1 }), /clip-grad-norm: parameter "maxNorm" must be at least 0/);
  t.end();
});
