import test from 'tape';
import { defaultCaps, type Caps } from '../../../kernels/plan.ts';
import { chooseParts, weightGradient } from '../../../kernels/shared/weight-gradient.ts';

const gpu = { ...defaultCaps, software: false };
const software = { ...defaultCaps, software: true };

test('weight gradients: parts follow from shape and device', (t) => {
  t.equal(chooseParts(4096, 64, 64, software), 1, 'one on a software device');
  t.equal(chooseParts(4096, 64, 64, gpu), 16, 'parts of 256 rows');
  t.equal(chooseParts(511, 64, 64, gpu), 1, 'too few rows for two');
  t.equal(chooseParts(1e6, 64, 64, gpu), 64, 'as many as one sum adds');
  t.equal(chooseParts(4096, 256, 256, gpu), 4, 'as many as fill the device');
  t.equal(chooseParts(4096, 768, 3072, gpu), 1, 'the tiles alone fill it');
  t.end();
});

test('weight gradients: parts cover the rows, at the cost of one product and the sum', (t) => {
  const [rows, n, k] = [1030, 5, 6];
  const plan = weightGradient('w', 'g', 'x', rows, n, k, 'grad', gpu);
  t.deepEqual([...plan.data.grad_rows], [258, 258, 258, 256]);
  t.deepEqual(plan.scratch.grad_partial.shape, [4, 5, 6]);
  t.deepEqual(
    plan.dispatches.map(({ macs, flops }) => [macs, flops]),
    [
      [rows * n * k, 2 * rows * n * k],
      [0, 4 * n * k],
    ],
  );
  const whole = weightGradient('w', 'g', 'x', rows, n, k, 'grad', software);
  t.deepEqual([whole.dispatches.length, whole.scratch, whole.data], [1, {}, {}]);
  t.end();
});

test("weight gradients: the bias's comes along, at an addition a value of g", (t) => {
  const [rows, n, k] = [1030, 5, 6];
  const of = (caps: Caps, bias?: string) => weightGradient('w', 'g', 'x', rows, n, k, 'grad', caps, bias);
  const [without, whole] = [of(software), of(software, 'grad_bias')];
  t.equal(whole.dispatches.length, 1, 'no dispatch of its own on a software device');
  t.equal(whole.dispatches[0].flops - without.dispatches[0].flops, rows * n);
  t.equal(whole.dispatches[0].bytesRead, without.dispatches[0].bytesRead);
  t.equal(whole.dispatches[0].bytesWritten - without.dispatches[0].bytesWritten, 4 * n);
  const parts = of(gpu, 'grad_bias');
  t.deepEqual(
    parts.dispatches.map(({ flops, bytesWritten }) => [flops, bytesWritten]),
    [
      [2 * rows * n * k + rows * n, 4 * 4 * (n * k + n)],
      [4 * n * k, 4 * n * k],
      [4 * n, 4 * n],
    ],
    'on a GPU its parts are added as those of the weight',
  );
  t.deepEqual(parts.scratch.grad_bias_partial.shape, [4, n]);
  t.end();
});
