/** `segment-attention` on long and on wide inputs, against float64 rows: the reference would take minutes there. */
import test from 'tape';
import { segmentAttentionReference } from '../../kernels/reference/segment-attention.ts';
import { chooseSegmentForm } from '../../kernels/segment-attention.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import { random, relativeError, TOLERANCE } from './harness.ts';
import { inForm, poisoned, run, shared, type Sizes } from './segment-cases.ts';

type Values = Readonly<Record<string, Float64Array>>;

/** Running sums from 0 on: the sum of x[j] .. x[j + r − 1] is sums[j + r] − sums[j]. */
function runningSums(x: Float64Array): Float64Array {
  const sums = new Float64Array(x.length + 1);
  x.forEach((value, j) => (sums[j + 1] = sums[j] + value));
  return sums;
}

/**
 * out and all gradients in float64, of one batch row with weights by scale, where grad_out is 0 but in the rows of
 * `queries`: out and grad_q of these rows (0 elsewhere), the other gradients whole. One query at a time, by sliding means.
 */
function exactRows(inputs: RefTensors, sizes: Sizes, gradOut: RefTensor, queries: readonly number[]): Values {
  const { L, D, heads, scales } = sizes;
  const length = sizes.lengths?.[0] ?? L;
  const dh = D / heads;
  const factor = 1 / Math.sqrt(dh);
  const { q, k, v, weights } = inputs;
  const zeros = () => new Float64Array(L * D);
  const results = { out: zeros(), grad_q: zeros(), grad_k: zeros(), grad_v: zeros() };
  const gradWeights = new Float64Array(scales.length);
  for (let h = 0; h < heads; h++)
    for (const i of queries) {
      const at = (j: number) => j * D + h * dh;
      /** The product of row i of x with every valid row of y. */
      const products = (x: RefTensor, y: RefTensor) =>
        new Float64Array(length).map((_, j) => {
          let sum = 0;
          for (let e = 0; e < dh; e++) sum += x.data[at(i) + e] * y.data[at(j) + e];
          return sum;
        });
      const scores = runningSums(products(q, k));
      const values = runningSums(products(gradOut, v));
      // By key: what starts there, and −what ended before.
      const combined = new Float64Array(length + 1);
      const gradScores = new Float64Array(length + 1);
      scales.forEach((r, s) => {
        const mean = (sums: Float64Array, j: number) => (sums[j + r] - sums[j]) / r;
        const p = new Float64Array(Math.max(0, length - r + 1)).map((_, j) => factor * mean(scores, j));
        const most = p.reduce((a, b) => Math.max(a, b), -Infinity);
        const total = p.reduce((sum, x, j) => sum + (p[j] = Math.exp(x - most)), 0);
        const gradWeight = p.reduce((sum, x, j) => sum + (p[j] = x / total) * mean(values, j), 0);
        gradWeights[s] += gradWeight;
        p.forEach((probability, j) => {
          const share = (weights.data[s] / r) * probability;
          const grad = share * (mean(values, j) - gradWeight);
          combined[j] += share;
          combined[j + r] -= share;
          gradScores[j] += grad;
          gradScores[j + r] -= grad;
        });
      });
      let weight = 0;
      let grad = 0;
      for (let j = 0; j < length; j++) {
        weight += combined[j];
        grad += gradScores[j];
        for (let e = 0; e < dh; e++) {
          results.out[at(i) + e] += weight * v.data[at(j) + e];
          results.grad_v[at(j) + e] += weight * gradOut.data[at(i) + e];
          results.grad_q[at(i) + e] += factor * grad * k.data[at(j) + e];
          results.grad_k[at(j) + e] += factor * grad * q.data[at(i) + e];
        }
      }
    }
  return { ...results, grad_weights: gradWeights };
}

/** The upstream gradient: random in the rows of `queries`, 0 in the others, NaN in the padding. */
function sparse(sizes: Sizes, queries: readonly number[]): RefTensor {
  const { L, D } = sizes;
  const gradOut = random([1, L, D]);
  const chosen = new Set(queries);
  const data = Float64Array.from(gradOut.data, (x, i) => (chosen.has(Math.floor(i / D)) ? x : 0));
  return poisoned({ shape: gradOut.shape, data }, sizes.lengths ?? [L]);
}

test('segment-attention: the float64 rows are the reference', (t) => {
  const sizes: Sizes = { B: 1, L: 14, D: 12, heads: 2, scales: [3, 1, 20, 5], lengths: [13] };
  const c = shared('rows', sizes);
  const queries = [0, 3, 12];
  const gradOut = sparse(sizes, queries);
  const { out, ...gradients } = exactRows(c.inputs, sizes, gradOut, queries);
  const expected = segmentAttentionReference.forward(c.inputs, c.params ?? {}).out.data;
  for (const i of queries)
    t.ok(
      relativeError(out.subarray(12 * i, 12 * i + 12), expected.slice(12 * i, 12 * i + 12)) < 1e-12,
      `row ${i}`,
    );
  const backward =
    segmentAttentionReference.backward?.(c.inputs, c.params ?? {}, { grad_out: gradOut }) ?? {};
  t.deepEqual(Object.keys(gradients).sort(), Object.keys(backward).sort());
  for (const [name, x] of Object.entries(gradients))
    t.ok(relativeError(x, backward[name].data) < 1e-12, name);
  t.end();
});

/** One query of every `step`, at another place of them each time. */
const every = (step: number, length: number): number[] =>
  Array.from({ length: Math.ceil(length / step) }, (_, n) =>
    Math.min(length - 1, step * n + ((7 * n) % step)),
  );

/** Almost everywhere the same scales, so that few pipelines are compiled. */
const scales = [5, 2];
/** `step`: one query in so many is checked; on a CPU a strip has 16 of 8,192 tokens and 28 of 4,099. */
const cases: readonly { what: string; sizes: Sizes; step: number; backward: boolean; again: boolean }[] = [
  {
    what: '8,192 tokens, forward',
    sizes: { B: 1, L: 8192, D: 8, heads: 1, scales, lengths: [8190] },
    ...{ step: 16, backward: false, again: false },
  },
  {
    what: '4,099 tokens',
    sizes: { B: 1, L: 4099, D: 8, heads: 1, scales },
    ...{ step: 28, backward: true, again: true },
  },
  {
    what: '8 heads of 128',
    sizes: { B: 1, L: 129, D: 1024, heads: 8, scales, lengths: [127] },
    ...{ step: 1, backward: true, again: false },
  },
  {
    what: '1 head of 1,024',
    sizes: { B: 1, L: 129, D: 1024, heads: 1, scales },
    ...{ step: 1, backward: true, again: false },
  },
  {
    what: 'a scale of 600 tokens',
    sizes: { B: 1, L: 700, D: 2, heads: 1, scales: [600, 3, 701], lengths: [699] },
    ...{ step: 1, backward: true, again: false },
  },
];

for (const { what, sizes, step, backward, again } of cases)
  test(`segment-attention: ${what}`, async (t) => {
    const { L, D, heads } = sizes;
    const queries = every(step, sizes.lengths?.[0] ?? L);
    const c = shared(what, sizes);
    // Scores of the same magnitude whatever the head, so that rows are neither flat nor one-hot.
    const q = poisoned(random([1, L, D], 9 / Math.sqrt(D / heads)), sizes.lengths ?? [L]);
    const inputs = { ...c.inputs, q };
    const gradOut = sparse(sizes, queries);
    const expected = exactRows(inputs, sizes, gradOut, queries);
    const checked = (out: Float32Array | Float64Array) =>
      queries.flatMap((i) => [...out.subarray(i * D, i * D + D)]);
    for (const software of [true, false]) {
      const form = chooseSegmentForm({ tokens: L, scales: sizes.scales }, { software });
      const kernel = inForm(form);
      const actual = await run(kernel, { ...c, inputs }, backward ? gradOut : undefined);
      const device = `form for a ${software ? 'CPU' : 'GPU'}`;
      for (const [name, x] of Object.entries(actual)) {
        const error =
          name === 'out'
            ? relativeError(checked(x), checked(expected.out))
            : relativeError(x, expected[name]);
        t.ok(error <= TOLERANCE, `${device}, ${name}: relative error ${error.toExponential(1)}`);
      }
      const length = sizes.lengths?.[0] ?? L;
      t.ok(
        actual.out.subarray(length * D).every((x) => x === 0),
        `${device}: padded rows are 0`,
      );
      if (again)
        t.deepEqual(await run(kernel, { ...c, inputs }, gradOut), actual, `${device}: the same bits again`);
    }
  });
