import test from 'tape';
import { defaultCaps, type Kernel, type Shape } from '../../kernels/plan.ts';
import { weightedSum } from '../../kernels/weighted-sum.ts';
import { random, testKernel, type Case } from './harness.ts';

const shapes: [terms: number, shape: Shape][] = [
  [1, []],
  [2, [0]],
  [1, [1]],
  [2, [7, 13]],
  [3, [2, 3, 4]],
  [6, [1023]],
  [4, [1024]],
  [5, [1025]],
  [6, [3, 24, 64]],
];
const cases = shapes.map(([terms, shape]): Case => ({
  name: `${terms} of [${shape}]`,
  inputs: {
    weights: random([terms]),
    ...Object.fromEntries(Array.from({ length: terms }, (_, i) => [`x${i}`, random(shape)])),
  },
}));
testKernel('weighted-sum', cases);

const request = (shapes: Record<string, Shape>, wanted?: string[]) => ({
  shapes,
  params: {},
  caps: defaultCaps,
  host: {},
  wanted,
});

test('weighted-sum: only the gradients that are wanted', (t) => {
  const backward = weightedSum.backward as Kernel;
  const shapes = { weights: [2], x0: [5], x1: [5], grad_out: [5] };
  const one = backward.plan(request(shapes, ['grad_x1']));
  t.deepEqual(Object.keys(one.outputs), ['grad_x1']);
  t.deepEqual(one.dispatches[0].uniforms, [5, 1], 'it takes the second weight');
  t.deepEqual(Object.keys(backward.plan(request(shapes, ['grad_weights'])).outputs), ['grad_weights']);
  t.end();
});

test('weighted-sum: inputs that do not fit', (t) => {
  const plan = (shapes: Record<string, Shape>) => () => weightedSum.plan(request(shapes));
  t.throws(plan({ weights: [1] }), /^InputError: weighted-sum: input "x0" is missing$/);
  t.throws(plan({ weights: [3], x0: [2], x2: [2] }), /input "x1" is missing/);
  t.throws(plan({ weights: [2], x0: [2], x1: [1, 2] }), /input "x1" must have shape \[2\], got \[1,2\]/);
  t.throws(plan({ weights: [3], x0: [2], x1: [2] }), /"weights" has 3 values for 2 tensors/);
  t.throws(plan({ x0: [2] }), /input "weights" is missing/);
  t.end();
});
