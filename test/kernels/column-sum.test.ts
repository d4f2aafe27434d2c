import test from 'tape';
import { columnSumKernel } from '../../kernels/column-sum.ts';
import { defaultCaps, InputError } from '../../kernels/index.ts';
import { random, testKernel } from './harness.ts';

const shapes: [rows: number, columns: number][] = [
  [0, 3],
  [3, 0],
  [1, 1],
  [1, 65],
  [63, 7],
  [64, 64],
  [65, 63],
  [130, 5],
  [1024, 17], // 16 slabs, as many as one dispatch adds
  [1025, 3],
  [64 * 64 + 1, 2],
];
testKernel(
  'column-sum',
  shapes.map((shape) => ({ name: `[${shape}]`, inputs: { x: random(shape) } })),
);

test('column-sum: errors, levels and costs', (t) => {
  const plan = (shape: number[]) =>
    columnSumKernel.plan({ shapes: { x: shape }, params: {}, caps: defaultCaps, host: {} });
  t.throws(() => plan([2, 3, 4]), InputError);
  t.deepEqual(
    plan([4097, 2]).dispatches.map((d) => d.flops),
    [8194, 132],
    'every level adds the slabs of the one before, the last one its own to the first',
  );
  const count = (rows: number) => plan([rows, 2]).dispatches.length;
  t.deepEqual([1, 64, 65, 1024, 1025, 65536, 65537].map(count), [1, 1, 1, 1, 2, 2, 3]);
  t.deepEqual(plan([3, 0]).dispatches, [], 'no columns, nothing to do');
  t.end();
});
