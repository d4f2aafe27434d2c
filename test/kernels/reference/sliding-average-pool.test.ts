import test from 'tape';
import { InputError } from '../../../kernels/errors.ts';
import { slidingAveragePoolReference as reference } from '../../../kernels/reference/sliding-average-pool.ts';
import { floats, gradcheck, ints, random, upstreamOf } from './gradcheck.ts';

test('sliding-average-pool: by hand', (t) => {
  const x = floats([2, 4, 1], [1, 2, 6, 4, 10, 20, NaN, NaN]);
  const outputs = reference.forward({ x, lengths: ints([2], [4, 2]) }, { scales: [3, 1, 2, 9] });
  t.deepEqual(Object.keys(outputs), ['out.3', 'out.1', 'out.2', 'out.9'], 'in the order given');
  t.deepEqual([...outputs['out.1'].data], [1, 2, 6, 4, 10, 20, 0, 0], 'a window of one is x itself');
  t.deepEqual([...outputs['out.2'].data], [1.5, 4, 5, 15, 0, 0], 'no window reaches into padding');
  t.deepEqual([...outputs['out.3'].data], [3, 4, 0, 0]);
  t.deepEqual([...outputs['out.9'].shape], [2, 0, 1], 'a window wider than the batch has no rows');
  t.end();
});

test('sliding-average-pool: the backward agrees with finite differences', (t) => {
  const cases: [B: number, L: number, d: number, lengths: number[], scales: number[]][] = [
    [2, 7, 3, [7, 4], [2, 3, 4, 5, 6]],
    [3, 5, 2, [0, 1, 5], [1]],
    [1, 6, 1, [6], [6, 2, 9]],
    [0, 3, 2, [], [2]],
    [1, 0, 2, [0], [1, 2]],
    [2, 3, 0, [3, 2], [2]],
  ];
  for (const [B, L, d, lengths, scales] of cases) {
    const inputs = { x: random([B, L, d]), lengths: ints([B], lengths) };
    gradcheck(t, `[${B},${L},${d}] lengths ${lengths} scales ${scales}`, reference, inputs, { scales });
  }
  t.end();
});

test('sliding-average-pool: upstream gradients of rows that are 0 are never read', (t) => {
  const inputs = { x: random([1, 5, 2]), lengths: ints([1], [3]) };
  const params = { scales: [2] };
  const upstream = upstreamOf(reference.forward(inputs, params));
  upstream['grad_out.2'].data.fill(NaN, 2 * 2);
  const gradX = [...reference.backward!(inputs, params, upstream).grad_x.data];
  t.ok(gradX.every(Number.isFinite));
  t.deepEqual(gradX.slice(3 * 2), [0, 0, 0, 0], 'padded rows get 0');
  t.end();
});

test('sliding-average-pool: bad input is named', (t) => {
  const run = (scales: unknown, lengths: number[]) => () =>
    reference.forward({ x: random([1, 3, 2]), lengths: ints([1], lengths) }, { scales });
  for (const scales of [undefined, 2, [], [0], [1.5], [2, 2], ['2']])
    t.throws(run(scales, [3]), InputError, `scales ${JSON.stringify(scales)}`);
  t.throws(run([2], [4]), /lengths row 0 is 4, not in 0\.\.3/);
  t.end();
});
