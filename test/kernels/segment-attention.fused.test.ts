/** `segment-attention` in the form of a GPU, in which scores never leave a workgroup, on whatever device there is. */
import test from 'tape';
import { defaultCaps, sizeOf, type Caps, type Kernel } from '../../kernels/plan.ts';
import { segmentAttentionReference } from '../../kernels/reference/segment-attention.ts';
import { chooseSegmentAttention } from '../../kernels/segment-attention.ts';
import { limitProblems, random, relativeError, TOLERANCE } from './harness.ts';
import { inForm, perScale, poisoned, requestOf, run, shared, type Sizes } from './segment-cases.ts';

const kernel = inForm('fused');
const backward = kernel.backward as Kernel;

/** Between tiles of keys, each of which makes the scores of neighbours again, lie the edges: 54 keys, 22 of a block's own. */
const five: Sizes = { B: 2, L: 131, D: 72, heads: 2, scales: [2, 3, 4, 5, 6], lengths: [131, 108] };
const wide: Sizes = { B: 3, L: 67, D: 21, heads: 3, scales: [9, 1, 600, 4], lengths: [67, 0, 5] };
for (const c of [
  shared('five scales', five, 'by head'),
  shared('five scales, one key over a tile', { ...five, B: 1, L: 55, lengths: [55] }, 'by scale'),
  shared('the widest, odd heads', wide, 'by row'),
  perScale('of one token and more', { ...wide, D: 6, scales: [5, 1, 600] }),
  shared('self-attention', { B: 1, L: 65, D: 20, heads: 1, scales: [1] }),
  shared('no keys', { ...wide, B: 2, L: 0, lengths: [0, 0] }),
])
  test(`segment-attention: fused, ${c.name}`, async (t) => {
    const { lengths } = c.inputs;
    const gradOut = poisoned(random(c.inputs.q.shape), [...(lengths.data as Int32Array)]);
    const expected = {
      ...segmentAttentionReference.forward(c.inputs, c.params ?? {}),
      ...segmentAttentionReference.backward?.(c.inputs, c.params ?? {}, { grad_out: gradOut }),
    };
    const plans = [kernel.plan(requestOf(c)), backward.plan(requestOf(c))];
    t.deepEqual(plans.flatMap(limitProblems), [], 'within the default limits, bindings as declared');
    const actual = await run(kernel, c, gradOut);
    for (const [name, x] of Object.entries(expected)) {
      const error = relativeError(actual[name], x.data);
      t.ok(error <= TOLERANCE, `${name}: relative error ${error.toExponential(1)}`);
      const [, L, ...rest] = x.shape;
      const row = sizeOf(rest);
      if (name === 'grad_weights' && x.shape.length < 4) continue;
      const padding = [...(lengths.data as Int32Array)].flatMap((length, b) => [
        ...actual[name].subarray((b * L + length) * row, (b + 1) * L * row),
      ]);
      t.ok(
        padding.every((value) => value === 0),
        `${name}: ${padding.length} elements of padding are 0`,
      );
    }
    t.deepEqual(await run(kernel, c, gradOut), actual, 'the same bits again');
  });

const sizes: Sizes = { B: 1, L: 256, D: 1024, heads: 8, scales: [2, 3, 4, 5, 6] };
const ofLength = (L: number) => {
  const qkv = [1, L, 1024];
  return {
    shapes: { q: qkv, k: qkv, v: qkv, grad_out: qkv, weights: [5], lengths: [1] },
    params: { heads: sizes.heads, scales: sizes.scales },
    caps: defaultCaps,
    host: { lengths: Int32Array.from([L]) },
  };
};

test('segment-attention: fused is chosen on a GPU that can hold it', (t) => {
  const choose = (scales: readonly number[], headSize: number, caps: Partial<Caps> = {}) =>
    chooseSegmentAttention({ tokens: 300, scales, headSize }, { ...defaultCaps, ...caps });
  t.equal(choose([2, 9], 128), 'fused');
  t.equal(choose([2, 600], 128), 'fused', 'a scale that is longer than the input counts for nothing');
  t.notEqual(choose([2, 9], 128, { software: true }), 'fused', 'not on a CPU');
  t.notEqual(choose([2, 10], 128), 'fused', 'not with wide scales');
  t.notEqual(choose([2, 9], 1024), 'fused', 'not with heads that registers do not hold');
  t.notEqual(choose([2, 9], 128, { maxComputeWorkgroupStorageSize: 8192 }), 'fused', 'not without memory');
  t.end();
});

test('segment-attention: fused, few dispatches, many lanes, little scratch at any length', (t) => {
  for (const L of [256, 4096]) {
    const plans = { forward: kernel.plan(ofLength(L)), backward: backward.plan(ofLength(L)) };
    for (const [pass, { dispatches, scratch }] of Object.entries(plans)) {
      const own = dispatches.filter(({ shader }) => shader.name !== 'column-sum');
      t.ok(own.length <= (pass === 'forward' ? 2 : 4), `L = ${L}, ${pass}: ${own.length} dispatches`);
      const lanes = own.map(({ workgroups: [x, y] }) => 256 * x * y);
      t.ok(Math.min(...lanes) >= 30000, `L = ${L}, ${pass}: ${lanes} lanes`);
      const bytes = Object.values(scratch).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
      t.ok(bytes < 2 ** 21, `L = ${L}, ${pass}: ${bytes} bytes of scratch`);
    }
  }
  t.end();
});

test('segment-attention: fused costs count what is executed', (t) => {
  // 2 heads of 4; rows within length 70 + 3; scales 3 and 1 reach 2 keys. Statistics: tiles of 62 keys, from 2 before on.
  const c = shared('costs', { B: 2, L: 70, D: 8, heads: 2, scales: [3, 1], lengths: [70, 3] });
  const [stats, queries] = kernel.plan(requestOf(c)).dispatches;
  const first = 2 * (70 * (62 + (70 - 60)) + 3 * 3);
  t.equal(stats.macs, 4 * first, 'every score of a tile');
  t.equal(stats.flops, 2 * stats.macs + first * (1 + 2 + 2 * 6) + 2 * 3 * 2 * 140);
  t.equal(stats.bytesWritten, 4 * (2 * 2 * 140 + 2), 'statistics, lengths');
  // What is given: tiles of 60 keys, 2 more at both ends.
  const made = 2 * (70 * (62 + (70 - 58)) + 3 * 3);
  const given = 2 * (70 * 70 + 3 * 3);
  t.equal(queries.macs, 4 * (made + given), 'and the sums of their own keys');
  const [, byQueries, byKeys] = backward.plan(requestOf(c)).dispatches;
  t.equal(byQueries.macs, 4 * (2 * made + given));
  // 30,000 lanes would be 30 blocks of keys; 5 are the most, of 14 keys with 2 more at both ends.
  const blocks = 2 * (70 * (16 + 18 + 18 + 18 + 16) + 3 * 3);
  t.equal(byKeys.macs, 4 * (2 * blocks + 2 * given));
  t.equal(byKeys.workgroups[0], 2 * 2 * 5);
  const onlyV = backward.plan(requestOf(c, { wanted: ['grad_v'] }));
  t.deepEqual([Object.keys(onlyV.outputs), onlyV.dispatches.length], [['grad_v'], 2], 'only grad_v');
  t.end();
});
