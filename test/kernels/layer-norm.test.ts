import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { layerNorm } from '../../kernels/layer-norm.ts';
import { defaultCaps, type Shape } from '../../kernels/plan.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import { limitProblems, random, testKernel, type Case } from './harness.ts';

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

const request = (shape: Shape, more: Record<string, Shape> = {}) => ({
  shapes: { x: shape, weight: [shape[shape.length - 1]], bias: [shape[shape.length - 1]], ...more },
  params: {},
  caps: defaultCaps,
  host: {},
});

test('layer-norm: the backward makes what is wanted, within the default limits', (t) => {
  const rows = 40;
  const shape = [rows, 12];
  const base = request(shape, { residual: shape, mean: [rows], rstd: [rows], grad_out: shape });
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
    const base = request(shape, { mean: [rows], rstd: [rows], grad_out: shape });
    return layerNorm.backward!.plan({ ...base, wanted: ['grad_weight', 'grad_bias'] }).dispatches.length;
  };
  t.deepEqual([1, 32, 33, 512, 513, 100_000].map(count), [1, 1, 1, 1, 2, 2]);
  t.end();
});

test('layer-norm: costs are the stated formulas', (t) => {
  const [dispatch] = layerNorm.plan(request([3, 8], { residual: [3, 8] })).dispatches;
  t.deepEqual([dispatch.macs, dispatch.flops], [48, 24 * 11 + 15]);
  t.deepEqual([dispatch.bytesRead, dispatch.bytesWritten], [4 * (48 + 16), 4 * (24 + 6)]);
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
