import test from 'tape';
import { graphAdjacency } from '../../kernels/graph-adjacency.ts';
import { defaultCaps, type Shape } from '../../kernels/plan.ts';
import { ints, random, testKernel, type Case } from './harness.ts';

/** Weights in [0, 2) with NaN in the rows and columns past each length. */
function caseOf(N: number, views: number, lengths: readonly number[]): Case {
  const { shape, data } = random([lengths.length, views, N, N]);
  const weights = data.map((v, at) => {
    const nodes = lengths[Math.floor(at / (views * N * N))];
    return Math.max(Math.floor(at / N) % N, at % N) < nodes ? Math.fround(v + 1) : NaN;
  });
  return {
    name: `N ${N}, ${views} views, lengths ${lengths}`,
    inputs: { weights: { shape, data: weights }, lengths: ints([lengths.length], lengths) },
  };
}

testKernel('graph-adjacency', [
  caseOf(3, 1, []),
  caseOf(0, 2, [0, 0]),
  caseOf(1, 1, [1, 0]),
  caseOf(5, 2, [5, 3, 0]),
  caseOf(16, 3, [16, 15]),
  caseOf(17, 1, [17, 1]),
  caseOf(67, 2, [67, 64, 65]),
  caseOf(240, 1, [201]),
]);

test('graph-adjacency: bad input is named', (t) => {
  const plan = (weights: Shape, lengths: number[]) => () =>
    graphAdjacency.plan({
      shapes: { weights, lengths: [lengths.length] },
      params: {},
      caps: defaultCaps,
      host: { lengths: Int32Array.from(lengths) },
    });
  t.throws(plan([1, 1, 3, 4], [3]), /"weights" must be \[B, views, N, N\], got \[1,1,3,4\]/);
  t.throws(plan([1, 3, 3], [3]), /input "weights" must have 4 dimensions/);
  t.throws(plan([2, 1, 3, 3], [3]), /input "lengths" must have shape \[2\]/);
  t.throws(plan([2, 1, 3, 3], [3, 4]), /graph-adjacency: lengths row 1 is 4, not in 0\.\.3/);
  t.end();
});
