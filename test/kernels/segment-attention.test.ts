import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { defaultCaps, sizeOf, type Kernel, type Params, type PlanRequest } from '../../kernels/plan.ts';
import { attentionReference } from '../../kernels/reference/attention.ts';
import { segmentAttentionReference } from '../../kernels/reference/segment-attention.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import {
  chooseSegmentForm,
  planSegmentAttention,
  planSegmentAttentionBackward,
  segmentAttention,
} from '../../kernels/segment-attention.ts';
import type { SegmentForm } from '../../kernels/shared/segment-attention/scan.ts';
import { limitProblems, random, relativeError, testKernel, TOLERANCE, type Case } from './harness.ts';
import { inForm, perScale, poisoned, requestOf, run, shared, type Sizes } from './segment-cases.ts';

/** Few sets of scales: each is up to five pipelines of its own. */
const cases: readonly Case[] = [
  shared('one of everything', { B: 1, L: 1, D: 1, heads: 1, scales: [1] }),
  shared('no rows', { B: 0, L: 3, D: 8, heads: 2, scales: [1, 2] }),
  shared('no tokens', { B: 2, L: 0, D: 8, heads: 2, scales: [2, 3] }),
  shared('no features', { B: 2, L: 3, D: 0, heads: 2, scales: [2, 3] }),
  shared('shorter than every scale', { B: 1, L: 3, D: 8, heads: 2, scales: [4, 6] }),
  shared('longer than the keys', { B: 2, L: 40, D: 4, heads: 1, scales: [600, 3, 41] }, 'by head'),
  shared(
    'longer than the keys',
    { B: 2, L: 9, D: 8, heads: 2, scales: [600, 3, 41], lengths: [9, 1] },
    'by row',
  ),
  shared('self-attention', { B: 2, L: 13, D: 12, heads: 3, scales: [1] }),
  shared('one token', { B: 2, L: 1, D: 8, heads: 2, scales: [1, 2] }, 'by head'),
  shared('five scales', { B: 2, L: 30, D: 32, heads: 2, scales: [2, 3, 4, 5, 6] }),
  shared('five scales', { B: 2, L: 30, D: 32, heads: 2, scales: [2, 3, 4, 5, 6] }, 'by head'),
  shared('five scales', { B: 2, L: 30, D: 32, heads: 2, scales: [2, 3, 4, 5, 6] }, 'by row'),
  shared('unsorted scales with gaps', { B: 1, L: 17, D: 15, heads: 3, scales: [7, 1, 4] }, 'by head'),
  shared('one wide scale', { B: 2, L: 20, D: 8, heads: 2, scales: [12] }),
  shared('scale 32', { B: 2, L: 40, D: 8, heads: 2, scales: [32], lengths: [40, 33] }),
  shared('over 37 workgroups', { B: 40, L: 31, D: 4, heads: 2, scales: [3, 2] }, 'by row'),
  shared('wide scales', { B: 2, L: 40, D: 8, heads: 2, scales: [17, 3, 35, 1], lengths: [37, 12] }, 'by row'),
  shared('tile − 1', { B: 1, L: 63, D: 8, heads: 1, scales: [3, 2] }),
  shared('tile + 1', { B: 1, L: 65, D: 16, heads: 2, scales: [3, 2] }, 'by row'),
  shared('ragged', { B: 4, L: 11, D: 12, heads: 3, scales: [2, 3, 4, 5, 6], lengths: [11, 6, 2, 0] }),
  shared(
    'ragged',
    { B: 4, L: 11, D: 12, heads: 3, scales: [2, 3, 4, 5, 6], lengths: [11, 6, 2, 0] },
    'by head',
  ),
  shared('ragged', { B: 4, L: 11, D: 12, heads: 2, scales: [7, 1, 4], lengths: [11, 6, 2, 0] }, 'by row'),
  perScale('longer than the keys', { B: 2, L: 40, D: 4, heads: 1, scales: [600, 3, 41], lengths: [40, 7] }),
  perScale('shorter than every scale', { B: 1, L: 3, D: 4, heads: 2, scales: [600, 4] }),
  perScale('two scales', { B: 2, L: 12, D: 8, heads: 2, scales: [3, 2] }),
  perScale('narrow and wide', { B: 2, L: 36, D: 8, heads: 1, scales: [33, 2], lengths: [36, 33] }),
  perScale('ragged', { B: 4, L: 11, D: 12, heads: 3, scales: [2, 5, 1], lengths: [11, 6, 2, 0] }),
];

/** As on a GPU: every kind of case, but not every set of scales, each of which is five pipelines of its own. */
testKernel('segment-attention', cases, (c) =>
  /^(no|shorter|longer|five|narrow|ragged|wide|scale)/.test(c.name),
);

const ragged: Sizes = { B: 3, L: 22, D: 8, heads: 2, scales: [7, 1, 4, 600], lengths: [22, 3, 15] };
const onForms = [
  shared('forms', ragged),
  shared('forms', ragged, 'by head'),
  shared('forms', ragged, 'by row'),
  perScale('forms', ragged),
];
const perHead = 4 * 22 * 24; // bytes of scores
const forms: Readonly<Record<string, SegmentForm>> = {
  'strips of batches': { registers: 32, scratchBytes: 4 * perHead },
  'strips of heads': { registers: 32, scratchBytes: perHead },
  'strips of queries': { registers: 32, scratchBytes: perHead / 3 },
  'scores read again': { registers: 1, scratchBytes: perHead / 2 },
  'tiles of 2 keys': { registers: 32, scratchBytes: 2 ** 20, tileKeys: 2 },
  'tiles of 5 keys in strips of queries': { registers: 32, scratchBytes: 4 * 11 * 8, tileKeys: 5 },
  'one tile': { registers: 32, scratchBytes: 2 ** 20, tileKeys: 64 },
};

for (const c of onForms)
  test(`segment-attention: every form agrees with float64: ${c.name}`, async (t) => {
    const gradOut = poisoned(random(c.inputs.q.shape), ragged.lengths ?? []);
    const expected = {
      ...segmentAttentionReference.forward(c.inputs, c.params ?? {}),
      ...segmentAttentionReference.backward?.(c.inputs, c.params ?? {}, { grad_out: gradOut }),
    };
    const whole = await run(inForm({ registers: 32, scratchBytes: 2 ** 20 }), c, gradOut);
    for (const [what, form] of Object.entries(forms)) {
      const kernel = inForm(form);
      const plans = [kernel.plan(requestOf(c)), (kernel.backward as Kernel).plan(requestOf(c))];
      t.deepEqual(
        plans.flatMap((plan) => limitProblems(plan)),
        [],
        `${what}: within the default limits, bindings as declared`,
      );
      const held = plans.flatMap((plan) => Object.entries(plan.scratch));
      t.ok(
        held.every(([name, s]) => !/scores$|^pending/.test(name) || 4 * sizeOf(s.shape) <= form.scratchBytes),
        `${what}: scores within ${form.scratchBytes} bytes`,
      );
      const actual = await run(kernel, c, gradOut);
      for (const [name, x] of Object.entries(expected)) {
        const error = relativeError(actual[name], x.data);
        t.ok(error <= TOLERANCE, `${what}, ${name}: relative error ${error.toExponential(1)}`);
      }
      if (what.startsWith('strips')) t.deepEqual(actual.out, whole.out, `${what}: out to the bit`);
    }
  });

test('segment-attention: padded rows of out and of every gradient are exactly 0', async (t) => {
  const sizes: Sizes = { B: 3, L: 9, D: 8, heads: 2, scales: [7, 1, 4], lengths: [9, 4, 0] };
  const c = shared('padding', sizes, 'by row');
  const actual = await run(segmentAttention, c, poisoned(random(c.inputs.q.shape), [9, 4, 0]));
  for (const [name, values] of Object.entries(actual)) {
    const row = values.length / 27;
    const padding = [...values.subarray(13 * row, 18 * row), ...values.subarray(18 * row)];
    t.ok(
      padding.every((x) => x === 0),
      `${name}: ${padding.length} elements are 0`,
    );
  }
});

test('segment-attention: a scale longer than the keys', async (t) => {
  const [L, D] = [40, 4];
  const gradOut = random([1, L, D]);
  const c = shared('longer', { B: 1, L, D, heads: 1, scales: [600, 3] });
  const actual = await run(segmentAttention, c, gradOut);
  const weights = { shape: [1], data: c.inputs.weights.data.slice(1) };
  const alone = { ...c, inputs: { ...c.inputs, weights }, params: { heads: 1, scales: [3] } };
  const { grad_weights: gradWeight, ...rest } = await run(segmentAttention, alone, gradOut);
  const { grad_weights: gradWeights, ...others } = actual;
  t.deepEqual(others, rest, 'out and gradients are those without it, to the bit');
  t.deepEqual([...gradWeights], [0, gradWeight[0]], 'its weight has no gradient');
  const [planned, without] = [c, alone].map((of) => segmentAttention.plan(requestOf(of)));
  t.deepEqual(
    planned.dispatches.map(({ flops }) => flops),
    without.dispatches.map(({ flops }) => flops),
    'and it costs nothing',
  );

  const own = perScale('longer', { B: 1, L, D, heads: 1, scales: [600, 3] });
  const { out } = await run(segmentAttention, own);
  t.ok(
    out.every((x, i) => (Math.floor(i / D) % 2 === 0 ? x === 0 : x !== 0)),
    'with projections of its own its out is 0',
  );
});

test('segment-attention: scales {1} is self-attention', async (t) => {
  const sizes: Sizes = { B: 2, L: 21, D: 24, heads: 3, scales: [1], lengths: [21, 21] };
  const c = shared('self', sizes);
  c.inputs.weights.data[0] = 1;
  const gradOut = random(c.inputs.q.shape);
  const actual = await run(segmentAttention, c, gradOut);
  const { weights: _, ...inputs } = c.inputs;
  const expected = {
    ...attentionReference.forward(inputs, { heads: 3 }),
    ...attentionReference.backward?.(inputs, { heads: 3 }, { grad_out: gradOut }),
  };
  for (const [name, x] of Object.entries(expected)) {
    const error = relativeError(actual[name], x.data);
    t.ok(error <= 1e-5, `${name}: relative error ${error.toExponential(1)}`);
  }
});

test('segment-attention: scores of magnitude 1e3 and more, which overflow an unshifted exp', async (t) => {
  const c = shared('large', { B: 1, L: 19, D: 8, heads: 2, scales: [7, 1, 4] });
  const inputs: RefTensors = { ...c.inputs, q: random([1, 19, 8], 1500) };
  const actual = await run(segmentAttention, { ...c, inputs }, random([1, 19, 8]));
  const expected = segmentAttentionReference.forward(inputs, c.params ?? {});
  const error = relativeError(actual.out, expected.out.data);
  t.ok(error <= TOLERANCE, `out: relative error ${error.toExponential(1)}`);
  t.ok(
    Object.values(actual).every((x) => x.every(Number.isFinite)),
    'all finite',
  );
});

/** A request of self-attention size; shapes only. */
function shapesOf(sizes: Sizes, software: boolean): PlanRequest {
  const { B, L, D, heads, scales } = sizes;
  const qkv = [B, L, D];
  return {
    shapes: { q: qkv, k: qkv, v: qkv, grad_out: qkv, weights: [scales.length], lengths: [B] },
    params: { heads, scales },
    caps: { ...defaultCaps, software },
    host: { lengths: new Int32Array(B).fill(L) },
  };
}

test('segment-attention: the choice of form', (t) => {
  const choose = (tokens: number, scales: number[], software: boolean) =>
    chooseSegmentForm({ tokens, scales }, { software });
  t.equal(choose(512, [2, 3], false).tileKeys, undefined, 'all keys at once for usual lengths');
  t.equal(choose(4096, [2, 3], true).tileKeys, undefined, 'strips of queries for long ones on a CPU');
  t.ok(choose(4096, [2, 3], false).tileKeys, 'flash for long ones on a GPU');
  const wide = choose(4096, [2, 33], false);
  t.deepEqual(wide, choose(512, [2, 33], false), 'but as usual ones with scales too wide for registers');
  for (const software of [true, false])
    for (const [L, mebibytes] of [
      [4096, 2],
      [8192, 3.5],
    ]) {
      const sizes: Sizes = { B: 1, L, D: 8 * 96, heads: 8, scales: [2, 3, 4, 5, 6] };
      const request = shapesOf(sizes, software);
      for (const plan of [planSegmentAttention(request), planSegmentAttentionBackward(request)]) {
        const bytes = Object.values(plan.scratch).reduce((sum, s) => sum + 4 * sizeOf(s.shape), 0);
        t.ok(
          bytes < mebibytes * 2 ** 20,
          `L = ${L}, ${software ? 'CPU' : 'GPU'}: ${(bytes / 2 ** 20).toFixed(2)} MiB of scratch`,
        );
      }
    }
  t.end();
});

test('segment-attention: scores are never larger than one binding may be', (t) => {
  const request = shapesOf({ B: 2, L: 300, D: 64, heads: 4, scales: [2, 3] }, true);
  const maxStorageBufferBindingSize = 2 ** 17;
  const small = { ...request, caps: { ...request.caps, maxStorageBufferBindingSize } };
  for (const plan of [planSegmentAttention(small), planSegmentAttentionBackward(small)])
    for (const [name, { shape }] of Object.entries(plan.scratch))
      t.ok(4 * sizeOf(shape) <= maxStorageBufferBindingSize, `${name}: ${4 * sizeOf(shape)} bytes`);
  t.end();
});

test('segment-attention: a scan of over 65,535 workgroups folds its grid', (t) => {
  const request = shapesOf({ B: 65536 * 64, L: 1, D: 1, heads: 1, scales: [1] }, false);
  const plan = planSegmentAttention(request, { registers: 32, scratchBytes: 2 ** 27 });
  t.ok(
    plan.dispatches.some((d) => d.shader.name === 'segment-attention' && d.workgroups[1] > 1),
    'two dimensions',
  );
  t.deepEqual(limitProblems(plan), []);
  t.end();
});

test('segment-attention: costs count what is executed', (t) => {
  // 2 heads; rows within length 5 + 3, pairs within length 25 + 9, of 2 · 5 queries and 5 keys.
  const c = shared('costs', { B: 2, L: 5, D: 8, heads: 2, scales: [3, 1], lengths: [5, 3] });
  const pairs = 2 * (25 + 9);
  const [scores, scan, product] = segmentAttention.plan(requestOf(c)).dispatches;
  t.equal(scores.macs, 2 * 2 * 5 * 5 * 4, 'every score');
  t.equal(
    scan.flops,
    pairs * (2 + 2 * 7 + 2 + 3 + 2 * 5) + 20 * 2 * 4,
    'sums, statistics; sums, pending, weights',
  );
  t.equal(scan.bytesRead, 4 * (2 * pairs + 2 + 20 * 2), 'each score twice, lengths, weights');
  t.equal(scan.bytesWritten, 4 * 20 * 5, 'each once');
  t.equal(product.macs, 2 * 5 * 4 * (5 + 3), 'only keys within length');
  const backward = (segmentAttention.backward as Kernel).plan(requestOf(c)).dispatches;
  t.deepEqual(
    backward.map((d) => d.macs),
    [400, 400, 0, 2 * 5 * 4 * 8, 2 * 5 * 4 * 8, 2 * 5 * 4 * 8, 0],
    'scores, their gradient, scan, grad_v, grad_k, grad_q, sum',
  );
  t.equal(backward[2].flops, pairs * (4 + 2 * 9 + 4 + 6 + 2 * 9) + 20 * 2 * 5, 'backward: both tensors');
  const tiled = planSegmentAttention(requestOf(c), { registers: 32, scratchBytes: 2 ** 20, tileKeys: 5 });
  t.equal(
    tiled.dispatches
      .filter((d) => d.shader.name === 'segment-attention')
      .reduce((sum, d) => sum + d.flops, 0),
    scan.flops,
    'one tile: the same',
  );
  const again = inForm({ registers: 1, scratchBytes: 2 ** 20 }).plan(requestOf(c)).dispatches[1];
  const segments = [2 * (5 * 3 + 3 * 1), pairs]; // of 3 tokens, of 1
  const sums = 2 * (segments[0] * 2 + segments[1]);
  t.equal(again.flops, sums + segments[0] * 14 + segments[1] * 12 + 20 * 2 * 4, 'scores read again');
  const pending = segments[0] * 3 + segments[1] + pairs; // of each token of a segment, and of each key
  t.equal(again.bytesRead, 4 * (sums + pending + 2 + 20 * 2), 'and sums kept in scratch');
  t.equal(again.bytesWritten, 4 * (20 * 5 + pending), 'written there as often');
  const onlyQ = (segmentAttention.backward as Kernel).plan(requestOf(c, { wanted: ['grad_q'] }));
  t.deepEqual([Object.keys(onlyQ.outputs), onlyQ.dispatches.length], [['grad_q'], 4], 'only grad_q');
  t.end();
});

test('segment-attention: bad requests are refused by name', (t) => {
  const c = shared('bad', { B: 2, L: 3, D: 8, heads: 2, scales: [2, 1] });
  const r = requestOf(c);
  const shape = (name: string, of: readonly number[]) => ({ ...r, shapes: { ...r.shapes, [name]: of } });
  const param = (params: Params) => ({ ...r, params: { ...r.params, ...params } });
  const bad: [what: string, request: PlanRequest, message: RegExp][] = [
    [
      'heads',
      param({ heads: 3 }),
      /^segment-attention: the last axis of q, 8, is not a multiple of heads = 3$/,
    ],
    [
      'scales',
      param({ scales: [2, 2] }),
      /parameter "scales" must be distinct positive integers, got \[2,2\]/,
    ],
    [
      'projections',
      param({ projections: 'both' }),
      /"projections" must be "shared" or "per-scale", got "both"/,
    ],
    ['weights with per-scale', param({ projections: 'per-scale' }), /take no input "weights"/],
    ['sets', param({ projections: 'per-scale', heads: 8 }), /not a multiple of scales · heads = 2 · 8/],
    ['rank', shape('q', [2, 8]), /"q" must have 3 dimensions/],
    ['keys', shape('k', [2, 4, 8]), /"k" must have shape \[2,3,8\]/],
    ['weights', shape('weights', [3]), /"weights" must have shape \[2\], got \[3\]/],
    ['weights by head', shape('weights', [3, 2]), /"weights" must have shape \[2,2\]/],
    ['rank of weights', shape('weights', [2, 2, 2]), /must have shape \[2\], \[2,2\] or \[2,3,2,2\], got/],
    ['lengths', shape('lengths', [3]), /"lengths" must have shape \[2\]/],
    ['length', { ...r, host: { lengths: Int32Array.from([3, 4]) } }, /lengths row 1 is 4, not in 0\.\.3$/],
  ];
  for (const [what, request, message] of bad) {
    try {
      segmentAttention.plan(request);
      t.fail(what);
    } catch (error) {
      t.ok(error instanceof InputError && message.test(error.message), `${what}: ${String(error)}`);
    }
  }
  t.throws(
    () => planSegmentAttention(r, { registers: 1, scratchBytes: 2 ** 20, tileKeys: 4 }),
    /scale 2 is too wide for the flash form/,
    'tiles keep scales in registers',
  );
  t.end();
});
