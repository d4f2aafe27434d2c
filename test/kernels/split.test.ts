import test from 'tape';
import { defaultCaps, type Shape } from '../../kernels/plan.ts';
import { split } from '../../kernels/split.ts';
import { random, testKernel } from './harness.ts';

const cases: [leading: readonly number[], widths: readonly number[]][] = [
  [[], [3, 4]],
  [[1], [1]],
  [[0], [4, 4]],
  [[7], [13, 5, 1]],
  [
    [2, 3],
    [8, 4, 12],
  ],
  [[63], [4, 4, 4, 4]],
  [[65], [61, 67]],
  [[3], [1, 2, 3, 1, 2, 3, 1]],
];
testKernel(
  'split',
  cases.map(([leading, widths]) => ({
    name: `[${leading}] into widths ${widths.join(' + ')}`,
    inputs: { x: random([...leading, widths.reduce((sum, width) => sum + width, 0)]) },
    params: { widths },
  })),
);

test('split: inputs that do not fit', (t) => {
  const plan = (x: Shape, widths: unknown) => () =>
    split.plan({ shapes: { x }, params: { widths }, caps: defaultCaps, host: {} });
  for (const widths of [undefined, 3, [], [0, 3], [1.5], Array(8).fill(1)])
    t.throws(plan([2, 3], widths), /^InputError: split: parameter "widths" must be one to 7 positive/);
  t.throws(plan([2, 3], [1, 1]), /^InputError: split: input "x" \[2,3\] does not end in 2/);
  t.throws(plan([], [1]), /does not end in 1/);
  t.end();
});
