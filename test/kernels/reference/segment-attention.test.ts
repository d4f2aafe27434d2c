import test from 'tape';
import { InputError } from '../../../kernels/errors.ts';
import { references } from '../../../kernels/reference/index.ts';
import { segmentAttentionReference as reference } from '../../../kernels/reference/segment-attention.ts';
import type { RefParams, RefTensors } from '../../../kernels/reference/types.ts';
import { floats, gradcheck, ints, random, relativeError, upstreamOf } from './gradcheck.ts';

interface Case {
  lengths: number[];
  L: number;
  heads: number;
  headSize: number;
  scales: number[];
  /** The shape of `weights`; per-scale projections without one. */
  weights?: number[];
}

function build({ lengths, L, heads, headSize, scales, weights }: Case): [RefTensors, RefParams] {
  const B = lengths.length;
  const columns = heads * headSize * (weights ? 1 : scales.length);
  const inputs: RefTensors = {
    q: random([B, L, columns], 2),
    k: random([B, L, columns], 2),
    v: random([B, L, columns]),
    lengths: ints([B], lengths),
    ...(weights ? { weights: random(weights) } : {}),
  };
  return [inputs, { heads, scales, ...(weights ? {} : { projections: 'per-scale' }) }];
}

const ragged = { lengths: [5, 3, 0], L: 5, heads: 2, headSize: 2 };
const cases: Case[] = [
  { ...ragged, scales: [2, 3], weights: [2] },
  { ...ragged, scales: [2, 3], weights: [2, 2] },
  { ...ragged, scales: [2, 3], weights: [3, 5, 2, 2] },
  { ...ragged, scales: [2, 3] },
  { lengths: [6], L: 6, heads: 1, headSize: 3, scales: [5, 1, 3], weights: [3] },
  { lengths: [6, 4], L: 6, heads: 1, headSize: 3, scales: [5, 1, 3] },
  { lengths: [4, 2], L: 4, heads: 3, headSize: 1, scales: [1], weights: [3, 1] },
  { lengths: [2, 1], L: 3, heads: 1, headSize: 2, scales: [3, 7], weights: [2] },
  { lengths: [1], L: 1, heads: 1, headSize: 1, scales: [1], weights: [1] },
  { lengths: [], L: 3, heads: 1, headSize: 2, scales: [2], weights: [1] },
  { lengths: [0], L: 0, heads: 2, headSize: 2, scales: [2, 1], weights: [1, 0, 2, 2] },
];

test('segment-attention: the backward agrees with finite differences', (t) => {
  for (const c of cases) {
    const { lengths, L, scales, weights = 'none' } = c;
    gradcheck(t, `lengths ${lengths} of ${L}, scales ${scales}, weights ${weights}`, reference, ...build(c));
  }
  t.end();
});

test('segment-attention: by hand', (t) => {
  // One head of size 1 and queries of 0: every segment has the same weight, so O_r is the mean of the pooled values.
  const inputs = {
    q: floats([1, 4, 1], [0, 0, 0, NaN]),
    k: floats([1, 4, 1], [3, -1, 2, NaN]),
    v: floats([1, 4, 1], [1, 2, 6, NaN]),
    weights: floats([3], [10, 1, 100]),
    lengths: ints([1], [3]),
  };
  const { out } = reference.forward(inputs, { heads: 1, scales: [2, 3, 4] });
  // Scale 2: (1.5 + 4) / 2; scale 3: 3; scale 4: no segment.
  t.deepEqual([...out.data], [30.5, 30.5, 30.5, 0]);
  t.end();
});

test('segment-attention: scale 1 is attention', (t) => {
  const [inputs, params] = build({
    lengths: [5, 2],
    L: 5,
    heads: 2,
    headSize: 3,
    scales: [1],
    weights: [1],
  });
  inputs.weights = floats([1], [1]);
  const { weights: _, ...plain } = inputs;
  const expected = references.attention.forward(plain, { heads: 2 }).out.data;
  // `attention` computes padded query rows, `segment-attention` gives 0 there.
  expected.fill(0, (5 + 2) * 6);
  t.ok(relativeError(reference.forward(inputs, params).out.data, expected) < 1e-14);
  t.end();
});

test('segment-attention: the two forms of the algebra agree', (t) => {
  // (Σ_r w_r A_r P_r) V with A_r = softmax of the sliding mean of Q Kᵀ along the keys: the fused form.
  const L = 6;
  const scales = [4, 1, 2];
  const [inputs, params] = build({ lengths: [L], L, heads: 1, headSize: 3, scales, weights: [3] });
  const { q, k, v, weights } = inputs;
  const out = new Float64Array(L * 3);
  for (let i = 0; i < L; i++) {
    const score = (j: number) =>
      [0, 1, 2].reduce((sum, c) => sum + q.data[i * 3 + c] * k.data[j * 3 + c], 0) / Math.sqrt(3);
    const combined = new Float64Array(L);
    scales.forEach((r, s) => {
      const segments = Array.from({ length: L - r + 1 }, (_, j) => {
        let sum = 0;
        for (let m = 0; m < r; m++) sum += score(j + m);
        return Math.exp(sum / r);
      });
      const total = segments.reduce((a, b) => a + b);
      segments.forEach((e, j) => {
        for (let m = 0; m < r; m++) combined[j + m] += ((weights.data[s] / r) * e) / total;
      });
    });
    for (let c = 0; c < 3; c++)
      out[i * 3 + c] = combined.reduce((sum, w, j) => sum + w * v.data[j * 3 + c], 0);
  }
  t.ok(relativeError(reference.forward(inputs, params).out.data, out) < 1e-13);
  t.end();
});

test('segment-attention: per-scale projections that are the same are the shared ones side by side', (t) => {
  const [inputs, params] = build({ ...ragged, scales: [2, 3], weights: [2] });
  const D = 4;
  const twice = (name: string) => {
    const { data } = inputs[name];
    const rows = Array.from({ length: data.length / D }, (_, i) => [...data.subarray(i * D, (i + 1) * D)]);
    return floats(
      [3, 5, 2 * D],
      rows.flatMap((row) => [...row, ...row]),
    );
  };
  const apart = { q: twice('q'), k: twice('k'), v: twice('v'), lengths: inputs.lengths };
  const both = reference.forward(apart, { ...params, projections: 'per-scale' }).out;
  t.deepEqual([...both.shape], [3, 5, 2 * D]);
  const [w0, w1] = inputs.weights.data;
  const summed = Float64Array.from({ length: 3 * 5 * D }, (_, i) => {
    const at = Math.floor(i / D) * 2 * D + (i % D);
    return w0 * both.data[at] + w1 * both.data[at + D];
  });
  t.ok(relativeError(reference.forward(inputs, params).out.data, summed) < 1e-14);
  t.end();
});

test('segment-attention: padding is never read, and is 0 in the output and in every gradient', (t) => {
  for (const c of cases.slice(0, 4)) {
    const [inputs, params] = build(c);
    const upstream = upstreamOf(reference.forward(inputs, params));
    const clean = { ...reference.forward(inputs, params), ...reference.backward!(inputs, params, upstream) };
    const byRow = [inputs.q, inputs.k, inputs.v, upstream.grad_out];
    if (c.weights?.length === 4) byRow.push(inputs.weights);
    for (const { shape, data } of byRow) {
      const width = data.length / (shape[0] * shape[1]);
      c.lengths.forEach((length, b) => data.fill(NaN, (b * c.L + length) * width, (b + 1) * c.L * width));
    }
    const padded = { ...reference.forward(inputs, params), ...reference.backward!(inputs, params, upstream) };
    t.deepEqual(padded, clean, `weights ${c.weights ?? 'none'}: the same with NaN in the padding`);
    for (const [name, { shape, data }] of Object.entries(padded)) {
      if (shape.length < 3) continue;
      const width = data.length / (shape[0] * shape[1]);
      const rows = c.lengths.flatMap((length, b) => [
        ...data.subarray((b * c.L + length) * width, (b + 1) * c.L * width),
      ]);
      t.ok(
        rows.every((value) => value === 0),
        `${name} is 0 there`,
      );
    }
  }
  t.end();
});

test('segment-attention: bad input is named', (t) => {
  const [inputs, params] = build({ ...ragged, scales: [2, 3], weights: [2] });
  const run = (more: Partial<RefTensors>, changed: RefParams = {}) => {
    const all = { ...inputs, ...more } as RefTensors;
    return () => reference.forward(all, { ...params, ...changed });
  };
  t.throws(run({}, { heads: 3 }), /segment-attention: the last axis of q, 4, is not a multiple of heads = 3/);
  t.throws(run({}, { scales: [2, 2] }), /param scales must be distinct positive integers/);
  t.throws(run({}, { projections: 'both' }), /projections must be "shared" or "per-scale", got "both"/);
  t.throws(run({}, { projections: 'per-scale' }), /weights must be absent/);
  t.throws(run({ weights: undefined }), /input weights is missing/);
  t.throws(run({ weights: random([3]) }), /weights/);
  t.throws(run({ weights: random([3, 5, 2]) }), /weights has shape \[3,5,2\]/);
  t.throws(run({ lengths: ints([3], [5, 6, 0]) }), /lengths row 1 is 6/);
  t.throws(run({ k: random([3, 4, 4]) }), InputError);
  t.end();
});
