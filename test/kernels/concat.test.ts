import test from 'tape';
import { concat } from '../../kernels/concat.ts';
import { defaultCaps, type Kernel, type Plan, type Shape } from '../../kernels/plan.ts';
import { limitProblems, random, runtime, testKernel, type Case } from './harness.ts';

const shapes: [leading: readonly number[], widths: readonly number[]][] = [
  [[], [3, 4]],
  [[1], [1]],
  [[0], [4, 4]],
  [[5], [0, 3, 0, 2]],
  [[4], [0, 0]],
  [[7], [13, 5, 1]],
  [
    [2, 3],
    [8, 4, 12],
  ],
  [[63], [4, 4, 4, 4]],
  [[64], [1, 2, 3, 4]],
  [[65], [61, 67]],
  [[3], [4, 8, 4, 4, 12, 4, 4]],
  [[2], [1, 2, 3, 1, 2, 3, 1]],
];
const cases: Case[] = shapes.map(([leading, widths]) => ({
  name: `[${leading}] by widths ${widths.join(' + ')}`,
  inputs: Object.fromEntries(widths.map((width, i) => [`x${i}`, random([...leading, width])])),
}));
testKernel('concat', cases);

const request = (shapes: Record<string, Shape>, wanted?: readonly string[]) => ({
  shapes,
  params: {},
  caps: defaultCaps,
  host: {},
  wanted,
});
const planOf = (shapes: Record<string, Shape>): Plan => concat.plan(request(shapes));

test('concat: the gradient of some inputs alone', async (t) => {
  const backward = concat.backward as Kernel;
  const plan = backward.plan(request({ x0: [2, 3], x1: [2, 4], x2: [2, 5], grad_out: [2, 12] }, ['grad_x1']));
  t.deepEqual(Object.keys(plan.outputs), ['grad_x1']);
  t.deepEqual(limitProblems(plan), []);
  const values = await runtime.scope(() => {
    const gradOut = runtime.upload(
      Float32Array.from({ length: 24 }, (_, i) => i),
      [2, 12],
    );
    return runtime.read(runtime.run(plan, { grad_out: gradOut }).grad_x1);
  });
  t.deepEqual([...values], [3, 4, 5, 6, 15, 16, 17, 18]);
});

test('concat: inputs that do not fit', (t) => {
  t.throws(() => planOf({ x1: [2, 3] }), /^InputError: concat: input "x0" is missing$/);
  t.throws(() => planOf({ x0: [2, 3], x2: [2, 3] }), /input "x1" is missing/);
  t.throws(() => planOf({ x0: [] }), /input "x0" is a scalar/);
  t.throws(() => planOf({ x0: [2, 3], x1: [3, 3] }), /input "x1" must have shape \[2,3\], got \[3,3\]/);
  t.throws(() => planOf({ x0: [2, 3], x1: [2, 1, 3] }), /input "x1" must have shape \[2,3\]/);
  t.end();
});
