import test from 'tape';
import { scale } from '../../kernels/shared/elementwise.ts';
import { defaultCaps, InputError } from '../../kernels/index.ts';
import { shapes } from './binary.ts';
import { random, testKernel } from './harness.ts';

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

test('scale refuses a factor that is no number', (t) => {
  const plan = (params = {}) => scale.plan({ shapes: { x: [2] }, params, caps: defaultCaps, host: {} });
  t.throws(() => plan(), /parameter "factor" must be a finite number/);
  t.throws(() => plan({ factor: Infinity }), InputError);
  t.end();
});
