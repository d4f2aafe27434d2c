import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { layerNorm } from '../../kernels/layer-norm.ts';
import { defaultCaps, type Shape } from '../../kernels/plan.ts';
import { layerNormReference } from '../../kernels/reference/layer-norm.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import {
  forwardBackward,
  limitProblems,
  random,
  relativeError,
  testKernel,
  withCaps,
  type Case,
} from './harness.ts';

const inputs = (shape: Shape, withResidual: boolean): RefTensors => {
  const d = shape[shape.length - 1];
  const tensors = { x: random(shape, 2), weight: random([d], 1.5), bias: random([d]) };
  return withResidual ? { ...tensors, residual: random(shape) } : tensors;
};
const shapes: Shape[] = [
  [0, 5],
  [3, 0],
  [7],
  [15, 16],
  [31, 17],
  [32, 20],
  [33, 13],
  [2, 3, 64],
  [65, 67],
  [3, 768],
  [2, 1031],
  [1, 4100],
];
const cases: Case[] = shapes.flatMap((shape) =>
  [false, true].map((residual) => ({
    name: `x [${shape}]${residual ? ', residual' : ''}`,
    inputs: inputs(shape, residual),
  })),
);
/** Mean 16, deviation 0.06: the variance survives only where it is not a difference of squares. */
const offset = random([9, 48], 0.1);
cases.push(
  // A row of one element: s − mean is 0, and so is every gradient of s.
  { name: 'd = 1', inputs: inputs([5, 1], true) },
  { name: 'eps 1e-12', inputs: inputs([6, 12], false), params: { eps: 1e-12 } },
  { name: 'eps 0.5', inputs: inputs([6, 12], false), params: { eps: 0.5 } },
  {
    name: 'a mean far from 0',
    inputs: {
      ...inputs([9, 48], false),
      x: { shape: offset.shape, data: Float64Array.from(offset.data, (v) => Math.fround(v + 16)) },
    },
  },
  { name: 'slabs of one part', inputs: inputs([512, 17], true) },
  { name: 'one row more', inputs: inputs([513, 16], false) },
  { name: 'several parts', inputs: inputs([2100, 3], false) },
);

testKernel('layer-norm', cases);

/** Rows of numbers of float32 within `spread` of `mean`; the last one holds mean, mean + 1, … */
function around(mean: number, spread: number, [rows, d]: readonly [number, number]) {
  const x = random([rows, d], spread);
  return {
    shape: x.shape,
    data: Float64Array.from(x.data, (v, i) => Math.fround(mean + (i < (rows - 1) * d ? v : i % d))),
  };
}

test('layer-norm: a mean far from 0 costs no accuracy, forward or backward', async (t) => {
  const kinds = [
    [1e7, 3, [2, 4]],
    [-1e7, 4, [5, 768]],
    [1e7, 3, [3, 1031]],
    [3e5, 0.5, [3, 1028]],
  ] as const;
  for (const [mean, spread, shape] of kinds)
    for (const residual of [false, true]) {
      const d = shape[1];
      const tensors = {
        ...{ x: around(mean, spread, shape), weight: random([d], 1.5), bias: random([d]) },
        // Sums that float32 holds.
        ...(residual && { residual: { shape, data: random(shape, 8).data.map(Math.round) } }),
      };
      const grads = { grad_out: random(shape) };
      const expected = {
        ...layerNormReference.forward(tensors, {}),
        ...layerNormReference.backward!(tensors, {}, grads),
      };
      for (const software of [true, false]) {
        const given = { name: '', inputs: tensors };
        const actual = await withCaps({ software }, () => forwardBackward(layerNorm, given, grads));
        for (const [name, { data }] of Object.entries(expected)) {
          const error = relativeError(actual[name], data);
          const what = `${name} of ${mean} ± ${spread} [${shape}]${residual ? ', residual' : ''}`;
          t.ok(error <= 3e-6, `${what}${software ? '' : ', form of a GPU'}: ${error.toExponential(1)}`);
        }
      }
    }
});

test('layer-norm: squares over the range of float32 leave the bias alone, a row of one value too', async (t) => {
  const rows = [
    [1e30, 2e30, 3e30, -1e30],
    [1e20, -1e20, 1e20, -1e20],
    [1e30, 1e30, 1e30, 1e30],
    [1e18, -1e18, 1e18, -1e18],
  ];
  const tensor = (shape: Shape, values: readonly number[]) => ({ shape, data: Float64Array.from(values) });
  const inputs = {
    x: tensor([4, 4], rows.flat()),
    ...{ weight: tensor([4], [1, 2, 3, 4]), bias: tensor([4], [5, 6, 7, 8]) },
  };
  const grads = { grad_out: random([4, 4]) };
  const bias = [5, 6, 7, 8];
  for (const software of [true, false]) {
    const run = await withCaps({ software }, () => forwardBackward(layerNorm, { name: '', inputs }, grads));
    t.deepEqual(
      [...run.out].slice(0, 12),
      [bias, bias, bias].flat(),
      `out${software ? '' : ', form of a GPU'}`,
    );
    t.deepEqual([...run.out].slice(12), [6, 4, 10, 4], 'deviations of 1e18 are still in range');
    t.ok(
      run.grad_x.slice(0, 8).every((v) => v === 0),
      'no gradient where the output is the bias',
    );
  }
});

const request = (shape: Shape, more: Record<string, Shape> = {}) => ({
  shapes: { x: shape, weight: [shape[shape.length - 1]], bias: [shape[shape.length - 1]], ...more },
  params: {},
  caps: defaultCaps,
  host: {},
});

test('layer-norm: the backward makes what is wanted, within the default limits', (t) => {
  const rows = 40;
  const shape = [rows, 12];
  const base = request(shape, { residual: shape, mean: [rows, 2], rstd: [rows], grad_out: shape });
  const all = ['grad_x', 'grad_residual', 'grad_weight', 'grad_bias'];
  for (let subset = 0; subset < 16; subset++) {
    const wanted = all.filter((_, i) => subset & (1 << i));
    const plan = layerNorm.backward?.plan({ ...base, wanted });
    if (!plan) return t.end();
    t.deepEqual(
      Object.keys(plan.outputs).sort(),
      [...wanted].sort(),
      `wanted: ${wanted.join(', ') || 'none'}`,
    );
    t.deepEqual(limitProblems(plan), []);
    const bound = new Set(plan.dispatches.flatMap((d) => d.bindings.map((b) => b.tensor)));
    t.deepEqual(
      [...wanted, ...Object.keys(plan.scratch)].filter((name) => !bound.has(name)),
      [],
      'every output and scratch tensor is bound',
    );
  }
  t.end();
});

test('layer-norm: both parameter gradients in one dispatch, in two over 512 rows', (t) => {
  const count = (rows: number): number => {
    const shape = [rows, 12];
    const base = request(shape, { mean: [rows, 2], rstd: [rows], grad_out: shape });
    return layerNorm.backward!.plan({ ...base, wanted: ['grad_weight', 'grad_bias'] }).dispatches.length;
  };
  t.deepEqual([1, 32, 33, 512, 513, 100_000].map(count), [1, 1, 1, 1, 2, 2]);
  t.end();
});

test('layer-norm: costs are the stated formulas', (t) => {
  const [dispatch] = layerNorm.plan(request([3, 8], { residual: [3, 8] })).dispatches;
  t.deepEqual([dispatch.macs, dispatch.flops], [48, 24 * 13 + 24]);
  t.deepEqual([dispatch.bytesRead, dispatch.bytesWritten], [4 * (48 + 16), 4 * (24 + 9)]);
  t.end();
});

test('layer-norm: bad input is an InputError', (t) => {
  t.throws(() => layerNorm.plan(request([])), InputError);
  t.throws(
    () => layerNorm.plan(request([2, 3], { bias: [4] })),
    /layer-norm: input "bias" must have shape \[3\]/,
  );
  t.throws(
    () => layerNorm.plan(request([2, 3], { residual: [3] })),
    /input "residual" must have shape \[2,3\]/,
  );
  t.throws(
    () => layerNorm.plan({ ...request([2, 3]), params: { eps: -1 } }),
    /"eps" must be at least 0, got -1/,
  );
  t.end();
});
