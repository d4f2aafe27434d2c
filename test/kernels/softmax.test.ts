import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { defaultCaps, type Shape } from '../../kernels/plan.ts';
import { softmaxReference } from '../../kernels/reference/softmax.ts';
import { softmax } from '../../kernels/softmax.ts';
import { random, relativeError, runtime, testKernel, TOLERANCE, type Case } from './harness.ts';

const shapes: Shape[] = [
  [0],
  [1],
  [0, 5],
  [5, 0],
  [15, 16],
  [17, 17],
  [16, 20],
  [2, 3, 13],
  [3, 63],
  [3, 256],
  [65, 67],
  [2, 1028],
  [2, 1031],
  [1, 4100],
];
const cases: Case[] = shapes.map((shape) => ({ name: `x [${shape}]`, inputs: { x: random(shape, 3) } }));
cases.push(
  { name: 'magnitude 1e5', inputs: { x: random([9, 40], 1e5) } },
  { name: 'all equal at -1e5', inputs: { x: { shape: [3, 21], data: new Float64Array(63).fill(-1e5) } } },
);

testKernel('softmax', cases);

test('softmax: more than 65,535 workgroups', async (t) => {
  const x = random([65537, 17]);
  const caps = { ...runtime.caps, software: false };
  const plan = softmax.plan({ shapes: { x: x.shape }, params: {}, caps, host: {} });
  t.equal(plan.dispatches[0].workgroups[1], 2, 'the grid has a second dimension');
  const [actual] = await runtime.scope(() => {
    const { out } = runtime.run(plan, { x: runtime.upload(Float32Array.from(x.data), x.shape) });
    return runtime.readAll([out]);
  });
  const error = relativeError(actual, softmaxReference.forward({ x }, {}).out.data);
  t.ok(error <= TOLERANCE, `relative error ${error.toExponential(1)}`);
});

test('softmax: costs are the stated formulas', (t) => {
  const [forward] = softmax.plan({
    shapes: { x: [2, 3, 7] },
    params: {},
    caps: defaultCaps,
    host: {},
  }).dispatches;
  t.deepEqual([forward.macs, forward.flops], [0, 6 * 43]);
  t.deepEqual([forward.bytesRead, forward.bytesWritten], [168, 168]);
  const shapes = { out: [6, 7], grad_out: [6, 7] };
  const backward = softmax.backward?.plan({ shapes, params: {}, caps: defaultCaps, host: {} }).dispatches[0];
  t.deepEqual([backward?.macs, backward?.flops], [42, 168]);
  t.end();
});

test('softmax: input without an axis, gradient of another shape', (t) => {
  const plan = { params: {}, caps: defaultCaps, host: {} };
  t.throws(() => softmax.plan({ ...plan, shapes: { x: [] } }), InputError);
  t.throws(() => softmax.plan({ ...plan, shapes: {} }), /softmax: input "x" is missing/);
  t.throws(
    () => softmax.backward?.plan({ ...plan, shapes: { out: [2, 3], grad_out: [3, 2] } }),
    /softmax-backward: input "grad_out" must have shape \[2,3\]/,
  );
  t.end();
});
