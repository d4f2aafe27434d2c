import test from 'tape';
import { clipGradNorm } from '../../kernels/clip-grad-norm.ts';
import { defaultCaps, type Shape } from '../../kernels/plan.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import { random, testKernel, type Case } from './harness.ts';

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
    name: 'zero gradients',
    inputs: { grad0: { shape: [5], data: new Float64Array(5) } },
    params: { maxNorm: 1 },
  },
];
testKernel(
  'clip-grad-norm',
  cases.map((c) => ({ ...c, forwardOnly: true })),
);

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
  t.throws(plan({ grad0: [1] }, { maxNorm: -1 }), /clip-grad-norm: parameter "maxNorm" must be at least 0/);
  t.end();
});
