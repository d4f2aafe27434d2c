import test from 'tape';
import { add, mul, scale } from '../../kernels/elementwise.ts';
import { defaultCaps, InputError, type Kernel } from '../../kernels/index.ts';
import { random, testKernel } from './harness.ts';

const shapes = [[0], [], [1], [7], [63], [64], [65], [3, 5, 11]];

for (const name of ['add', 'mul'])
  testKernel(
    name,
    shapes.map((shape) => ({ name: `[${shape}]`, inputs: { a: random(shape), b: random(shape) } })),
  );

testKernel(
  'scale',
  shapes.flatMap((shape, i) =>
    [0, i + 0.25].map((offset) => ({
      name: `[${shape}] times ${i - 2.5}, plus ${offset}`,
      inputs: { x: random(shape) },
      params: { factor: i - 2.5, offset },
    })),
  ),
);

test('elementwise kernels refuse what does not fit', (t) => {
  const plan = (kernel: Kernel, shapes: Record<string, number[]>, params = {}) =>
    kernel.plan({ shapes, params, caps: defaultCaps, host: {} });
  for (const kernel of [add, mul]) {
    t.throws(() => plan(kernel, { a: [2, 3], b: [3, 2] }), InputError);
    t.throws(() => plan(kernel, { a: [2, 3], b: [6] }), /input "b" must have shape \[2,3\], got \[6\]/);
    t.throws(() => plan(kernel, { a: [2] }), /input "b" is missing/);
  }
  t.throws(() => plan(scale, { x: [2] }), /parameter "factor" must be a finite number/);
  t.throws(() => plan(scale, { x: [2] }, { factor: Infinity }), InputError);
  t.end();
});
