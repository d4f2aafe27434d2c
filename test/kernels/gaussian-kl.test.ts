import test from 'tape';
import { planGaussianKl, planGaussianKlBackward, gaussianKl } from '../../kernels/gaussian-kl.ts';
import { InputError } from '../../kernels/errors.ts';
import { defaultCaps, sizeOf, type PlanRequest, type Shape } from '../../kernels/plan.ts';
import { gaussianKlReference } from '../../kernels/reference/gaussian-kl.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import { gaussianKl as divergences, hostInts } from '../../src/ops/index.ts';
import {
  ints,
  limitProblems,
  random,
  relativeError,
  runtime,
  testKernel,
  TOLERANCE,
  type Case,
} from './harness.ts';

/** Standard deviations between 1/2^spread and 2^spread. */
function deviations(shape: Shape, spread = 1): RefTensor {
  const { data } = random(shape, spread);
  return { shape, data: Float64Array.from(data, (v) => Math.fround(2 ** v)) };
}

/** mu and sigma with NaN in the nodes past each length; a negative σ too is no node's. */
function padded(inputs: RefTensors, lengths: readonly number[]): RefTensors {
  const [, N, D] = inputs.mu.shape;
  lengths.forEach((length, b) => {
    for (const name of ['mu', 'sigma']) inputs[name].data.fill(NaN, (b * N + length) * D, (b + 1) * N * D);
  });
  return { ...inputs, lengths: ints([lengths.length], lengths) };
}

const single = (N: number, D: number, views: number): Case => ({
  name: `[N, D] = [${N}, ${D}], ${views} views`,
  inputs: { mu: random([N, D]), sigma: deviations([N, D]) },
  params: { views },
});

const batch = (N: number, D: number, views: number, lengths: readonly number[]): Case => ({
  name: `[N, D] = [${N}, ${D}], ${views} views, lengths ${lengths}`,
  inputs: padded({ mu: random([lengths.length, N, D]), sigma: deviations([lengths.length, N, D]) }, lengths),
  params: { views },
});

/** mu about `offset`, whose common part must cost no digits. */
function shifted(offset: number): Case {
  const mu = random([2, 9, 12], 2);
  mu.data.forEach((v, i) => (mu.data[i] = Math.fround(v + offset * ((i % 12) - 5))));
  return {
    name: `means about ±${5 * offset}`,
    inputs: padded({ mu, sigma: deviations([2, 9, 12]) }, [9, 7]),
    params: { views: 2 },
  };
}

const cases: Case[] = [
  single(0, 4, 1),
  single(3, 0, 2),
  single(1, 1, 1),
  single(2, 1, 1),
  single(5, 6, 6),
  single(7, 13, 1),
  single(8, 16, 2),
  single(31, 40, 4),
  single(65, 20, 5),
  batch(4, 6, 2, []),
  batch(0, 6, 2, [0, 0]),
  batch(1, 8, 1, [1, 0]),
  batch(5, 7, 7, [5, 0, 1, 3]),
  batch(9, 64, 8, [9, 8]),
  batch(33, 24, 2, [33, 32, 17]),
  batch(12, 384, 1, [12, 5]),
  shifted(20),
  shifted(100),
  {
    name: 'deviations from 1/1000 to 1000 beside one another',
    inputs: { mu: random([11, 8]), sigma: deviations([11, 8], 10) },
    params: { views: 2 },
  },
  {
    name: 'one node of far larger deviations than the others',
    inputs: {
      mu: random([6, 32]),
      sigma: { shape: [6, 32], data: deviations([6, 32], 0.2).data.map((v, i) => (i < 32 ? 512 : v)) },
    },
    params: { views: 1 },
  },
];
testKernel('gaussian-kl', cases);

test('gaussian-kl: nodes that hardly differ keep their digits', async (t) => {
  const [N, D] = [7, 768];
  const mu = random([N, D], 1e-3);
  mu.data.forEach((v, i) => (mu.data[i] = Math.fround(v + Math.sin(i % D))));
  const sigma = random([N, D], 1e-3);
  sigma.data.forEach((v, i) => (sigma.data[i] = Math.fround(v + 1.5 + Math.cos(i % D))));
  const expected = gaussianKlReference.forward({ mu, sigma }, { views: 2 }).out.data;
  const actual = await runtime.scope(() => {
    const tensors = [mu, sigma].map((x) => runtime.upload(Float32Array.from(x.data), x.shape));
    return divergences(tensors[0], tensors[1], { views: 2 }).read();
  });
  // Their divergences are some 1e-3, where sums of 384 terms of size 1 would be off by 1e-4 of that.
  const scaled = (values: ArrayLike<number>): Float64Array => Float64Array.from(values, (v) => 1e3 * v);
  const error = relativeError(scaled(actual), scaled(expected));
  t.ok(error <= TOLERANCE, `relative error ${error.toExponential(1)}`);
});

test('gaussian-kl: equal nodes give 0, the diagonal is 0, nothing is negative', async (t) => {
  const [N, D] = [12, 96];
  const row = random([D], 3).data;
  const mu = Float32Array.from({ length: 2 * N * D }, (_, i) => row[i % D] + 700);
  const sigma = Float32Array.from({ length: 2 * N * D }, (_, i) => 0.01 + Math.abs(row[(7 * i) % D]));
  const values = await runtime.scope(() => {
    const shape = [2, N, D];
    const lengths = hostInts(Int32Array.of(N, 5));
    return divergences(runtime.upload(mu, shape), runtime.upload(sigma, shape), { views: 3, lengths }).read();
  });
  t.ok(
    values.every((v) => v >= 0 && v < 1e-3),
    'at most rounding',
  );
  t.ok(
    values.every((v, i) => Math.floor(i / N) % N !== i % N || v === 0),
    'a diagonal of exact zeros',
  );
});

test('gaussian-kl: strips of few instances have the bits of the batch in one piece', async (t) => {
  const [B, N, D, views] = [5, 6, 10, 2];
  const lengths = Int32Array.of(6, 3, 0, 6, 5);
  const data = { mu: random([B, N, D]), sigma: deviations([B, N, D]), grad_out: random([B, views, N, N]) };
  const shapes = { ...Object.fromEntries(Object.entries(data).map(([k, x]) => [k, x.shape])), lengths: [B] };
  const request: PlanRequest = { shapes, params: { views }, caps: runtime.caps, host: { lengths } };
  const instance = 4 * N * views * 12; // a row of factors of 5 dimensions takes 12 elements
  const bits = [instance, 2 * instance, 2 ** 20].map((bytes) =>
    runtime.scope(async () => {
      const inputs = Object.fromEntries(
        Object.entries(data).map(([k, x]) => [k, runtime.upload(Float32Array.from(x.data), x.shape)]),
      );
      const plans = [planGaussianKl(request, bytes), planGaussianKlBackward(request, bytes)];
      t.deepEqual(plans.flatMap(limitProblems), []);
      for (const { scratch } of plans)
        for (const { shape } of Object.values(scratch))
          t.ok(4 * sizeOf(shape) <= Math.max(bytes, 2 * 4 * B * D));
      const tensors = plans.flatMap((plan) => Object.values(runtime.run(plan, inputs)));
      const values = await runtime.readAll(tensors);
      return values.map(({ buffer }) => Buffer.from(buffer).toString('hex')).join();
    }),
  );
  t.equal(new Set(await Promise.all(bits)).size, 1);
});

test('gaussian-kl: NaN in the padding of grad_out reaches nothing', async (t) => {
  const [N, D] = [5, 6];
  const lengths = Int32Array.of(3, 0);
  const gradOut = random([2, 1, N, N]).data.map((v, i) =>
    Math.max(Math.floor(i / N) % N, i % N) < (i < N * N ? 3 : 0) ? v : NaN,
  );
  const gradients = await runtime.scope(() => {
    const upload = (x: RefTensor) => runtime.upload(Float32Array.from(x.data), x.shape);
    const grad_out = upload({ shape: [2, 1, N, N], data: gradOut as Float64Array });
    const tensors = { mu: upload(random([2, N, D])), sigma: upload(deviations([2, N, D])), grad_out };
    const host = { lengths: { data: lengths, shape: [2] } };
    const plan = gaussianKl.backward;
    if (!plan) throw new Error('no backward');
    return runtime.readAll(Object.values(runtime.kernel(plan, tensors, { params: { views: 1 }, host })));
  });
  for (const values of gradients) {
    t.ok(values.every(Number.isFinite));
    t.ok(
      values.subarray(3 * D).every((v) => v === 0),
      'padded nodes have 0',
    );
  }
});

test('gaussian-kl: a sigma that is none harms no other instance', async (t) => {
  const shape = [3, 4, 8];
  const [mu, sigma] = [random(shape), deviations(shape)].map(({ data }) => Float32Array.from(data));
  const run = () =>
    runtime.scope(() => {
      const lengths = hostInts(Int32Array.of(4, 4, 3));
      return divergences(runtime.upload(mu, shape), runtime.upload(sigma, shape), {
        views: 2,
        lengths,
      }).read();
    });
  const size = 2 * 4 * 4;
  const expected = await run();
  for (const bad of [0, -1, NaN]) {
    sigma[4 * 8 + 3] = bad;
    const actual = await run();
    for (const b of [0, 2])
      t.deepEqual(actual.subarray(b * size, (b + 1) * size), expected.subarray(b * size, (b + 1) * size));
  }
});

test('gaussian-kl: one product a view forward, two backward, no tensor of N x N x D', (t) => {
  const [N, D, views] = [40, 128, 4];
  const request = { shapes: { mu: [N, D], sigma: [N, D] }, params: { views }, caps: defaultCaps, host: {} };
  const forward = planGaussianKl(request, 2 ** 20);
  t.deepEqual(
    forward.dispatches.map(({ shader }) => shader.name.replace('-tiled', '')),
    ['gaussian-kl-moments', 'gaussian-kl', 'matmul', 'gaussian-kl-diagonal'],
  );
  // Two elements a dimension, and four for the terms of row and column.
  t.equal(forward.dispatches[2].macs, views * N * N * (2 * (D / views) + 4));
  const shapes = { ...request.shapes, grad_out: [views, N, N] };
  const backward = planGaussianKlBackward({ ...request, shapes, wanted: ['grad_sigma'] }, 2 ** 20);
  t.deepEqual(Object.keys(backward.outputs), ['grad_sigma']);
  for (const { scratch } of [forward, backward])
    for (const { shape } of Object.values(scratch)) t.ok(sizeOf(shape) < (N * N * D) / 10);
  t.end();
});

test('gaussian-kl: bad input is named', (t) => {
  const plan =
    (shapes: Record<string, Shape>, params: Record<string, unknown> = { views: 2 }, lengths: number[] = []) =>
    () =>
      gaussianKl.plan({ shapes, params, caps: defaultCaps, host: { lengths: Int32Array.from(lengths) } });
  const single = { mu: [3, 4], sigma: [3, 4] };
  const batched = { mu: [2, 3, 4], sigma: [2, 3, 4], lengths: [2] };
  t.throws(plan(single, { views: 3 }), /gaussian-kl: D = 4 is not a multiple of views = 3/);
  t.throws(plan(single, {}), /parameter "views"/);
  t.throws(plan(single, { views: 0 }), /parameter "views" must be an integer of at least 1/);
  t.throws(plan({ mu: [4], sigma: [4] }), /input "mu" must be \[N, D\] or \[B, N, D\], got \[4\]/);
  t.throws(plan({ mu: [3, 4], sigma: [3, 5] }), /input "sigma" must have shape \[3,4\]/);
  t.throws(plan({ mu: [2, 3, 4], sigma: [2, 3, 4] }), /input "lengths" is missing/);
  t.throws(plan({ ...single, lengths: [1] }, { views: 2 }, [3]), /input "lengths" needs "mu" of shape/);
  t.throws(plan(batched, { views: 2 }, [3, 4]), InputError);
  t.throws(plan(batched, { views: 2 }, [3, 4]), /lengths row 1 is 4, not in 0\.\.3/);
  t.end();
});
