/** What `verifyKernel` says of a device that is wrong: here the reference is, which is the same. */
import test from 'tape';
import { references } from '../../kernels/reference/index.ts';
import type { Reference, RefTensors } from '../../kernels/reference/types.ts';
import { openRuntime } from '../../src/node.ts';
import { TOLERANCE, verifyKernel } from '../../src/ops/verify-kernel.ts';

/** Verifies `mul` against a reference whose outputs or gradients `change` has changed. */
async function verified(change: Partial<Record<'forward' | 'backward', (tensors: RefTensors) => void>>) {
  const own = references.mul;
  const changed = references as Record<string, Reference>;
  const changing = (pass: 'forward' | 'backward', tensors: RefTensors): RefTensors => {
    change[pass]?.(tensors);
    return tensors;
  };
  changed.mul = {
    forward: (...args) => changing('forward', own.forward(...args)),
    backward: (...args) => changing('backward', own.backward!(...args)),
  };
  try {
    return (await verifyKernel(runtime, 'mul'))!;
  } finally {
    changed.mul = own;
  }
}

const runtime = await openRuntime();
test.onFinish(() => runtime.close());

test('what a device computes is within the bound of its roundings', async (t) => {
  const right = await verified({});
  t.ok(right.ok);
  t.equal(right.bound, 'one product');
  const [forward, backward] = [right.forwardBound!, right.backwardBound!];
  t.ok(Math.abs(forward / 2 ** -23 - 1) < 1e-3 && Math.abs(backward / 2 ** -23 - 1) < 1e-3, `${forward}`);
  t.ok(right.forward! > 0 && right.forward! <= forward && right.worst!.ulps! <= 1, `${right.forward}`);
});

test('a pass fails over its bound, far below the tolerance, and its worst element is named', async (t) => {
  const wrong = await verified({ forward: ({ out }) => (out.data[9] += 1e-5) });
  t.ok(wrong.forward! < TOLERANCE && wrong.forward! > wrong.forwardBound!);
  t.notOk(wrong.ok);
  const { tensor, index, actual, expected, ulps, ...rest } = wrong.worst!;
  t.deepEqual([tensor, index, rest], ['out', [1, 2], { case: 0 }], 'row 1, column 2 of [3, 7]');
  t.ok(Math.abs(expected - actual! - 1e-5) < 1e-7);
  t.ok(Math.abs(ulps! - 1e-5 / 2 ** -24) < 4, `${ulps} of the largest product, which is between 1/2 and 1`);

  const gradient = await verified({ backward: ({ grad_b }) => (grad_b.data[20] *= 1.001) });
  t.deepEqual([gradient.ok, gradient.worst!.tensor, gradient.worst!.index], [false, 'grad_b', [2, 6]]);
});

test('no number is the worst', async (t) => {
  const missing = await verified({ forward: ({ out }) => (out.data[3] = NaN) });
  t.deepEqual([missing.ok, missing.forward, missing.worst!.ulps], [false, null, null]);
  t.deepEqual(missing.worst!.index, [0, 3]);
});
