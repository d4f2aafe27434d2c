import test from 'tape';
import { sum } from '../../kernels/column-sum.ts';
import { defaultCaps } from '../../kernels/index.ts';
import { random, testKernel } from './harness.ts';

testKernel(
  'sum',
  [[0], [], [1], [13], [64], [65], [5, 7, 3], [4097]].map((shape) => ({
    name: `[${shape}]`,
    inputs: { x: random(shape) },
  })),
);

test('sum refuses nothing to add', (t) => {
  t.throws(() => sum.plan({ shapes: {}, params: {}, caps: defaultCaps, host: {} }), /input "x" is missing/);
  t.end();
});
