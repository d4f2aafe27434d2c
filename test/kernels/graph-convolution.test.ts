import test from 'tape';
import { graphConvolution } from '../../kernels/graph-convolution.ts';
import { defaultCaps, type Shape } from '../../kernels/plan.ts';
import { ints, random, runtime, testKernel, type Case } from './harness.ts';

/** adjacency and x with NaN in their padding. */
function caseOf(N: number, g: number, views: number, lengths: readonly number[]): Case {
  const B = lengths.length;
  const adjacency = random([B, views, N, N]);
  const x = random([B, N, g]);
  adjacency.data.forEach((_, at) => {
    const last = Math.max(Math.floor(at / N) % N, at % N);
    if (last >= lengths[Math.floor(at / (views * N * N))]) adjacency.data[at] = NaN;
  });
  lengths.forEach((length, b) => x.data.fill(NaN, (b * N + length) * g, (b + 1) * N * g));
  return {
    name: `N ${N}, g ${g}, ${views} views, lengths ${lengths}`,
    inputs: { adjacency, x, lengths: ints([B], lengths) },
  };
}

testKernel('graph-convolution', [
  caseOf(3, 4, 1, []),
  caseOf(0, 4, 2, [0, 0]),
  caseOf(3, 0, 2, [3, 1]),
  caseOf(1, 1, 1, [1, 0]),
  caseOf(5, 6, 2, [5, 3, 0]),
  caseOf(7, 15, 5, [7, 6]),
  caseOf(8, 16, 1, [8, 8]),
  caseOf(33, 24, 3, [33, 32, 17]),
  caseOf(65, 64, 2, [64]),
]);

test('graph-convolution: NaN in the padding of grad_out reaches nothing', async (t) => {
  const { inputs } = caseOf(5, 6, 2, [3, 5]);
  const gradOut = random([2, 5, 6]);
  gradOut.data.fill(NaN, 3 * 6, 5 * 6);
  const gradients = await runtime.scope(() => {
    const upload = ({ shape, data }: { shape: Shape; data: ArrayLike<number> }) =>
      runtime.upload(Float32Array.from(data), shape);
    const tensors = { adjacency: upload(inputs.adjacency), x: upload(inputs.x) };
    const options = { params: {}, host: { lengths: { data: Int32Array.of(3, 5), shape: [2] } } };
    const { out } = runtime.kernel(graphConvolution, tensors, options);
    if (!graphConvolution.backward) throw new Error('no backward');
    const given = { ...tensors, out, grad_out: upload(gradOut) };
    return runtime.readAll(Object.values(runtime.kernel(graphConvolution.backward, given, options)));
  });
  t.ok(gradients.every((values) => values.every(Number.isFinite)));
});

test('graph-convolution: bad input is named', (t) => {
  const plan = (adjacency: Shape, x: Shape, lengths: number[]) => () =>
    graphConvolution.plan({
      shapes: { adjacency, x, lengths: [lengths.length] },
      params: {},
      caps: defaultCaps,
      host: { lengths: Int32Array.from(lengths) },
    });
  t.throws(plan([1, 3, 4, 4], [1, 4, 8], [4]), /x has 8 columns, not a multiple of adjacency's 3 views/);
  t.throws(plan([1, 0, 4, 4], [1, 4, 8], [4]), /not a multiple of adjacency's 0 views/);
  t.throws(plan([1, 2, 4, 5], [1, 4, 8], [4]), /input "adjacency" must have shape \[1,2,4,4\]/);
  t.throws(plan([1, 2, 4, 4], [1, 4, 8], [5]), /graph-convolution: lengths row 0 is 5, not in 0\.\.4/);
  t.end();
});
