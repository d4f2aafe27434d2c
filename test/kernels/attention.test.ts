import test from 'tape';
import {
  attention,
  chooseAttention,
  planAttention,
  planAttentionBackward,
  type AttentionForm,
} from '../../kernels/attention.ts';
import { InputError } from '../../kernels/errors.ts';
import {
  defaultCaps,
  sizeOf,
  type Caps,
  type Kernel,
  type PlanRequest,
  type Shape,
} from '../../kernels/plan.ts';
import { attentionReference } from '../../kernels/reference/attention.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import { attentionStrips, type AttentionStrip } from '../../kernels/shared/attention-strips.ts';
import {
  ints,
  limitProblems,
  random,
  relativeError,
  runtime,
  testKernel,
  TOLERANCE,
  type Case,
} from './harness.ts';

type Sizes = [B: number, Lq: number, Lk: number, D: number, heads: number];

/** q and k of magnitude 2, so that rows are neither flat nor one-hot. */
const tensors = ([B, Lq, Lk, D]: Sizes): RefTensors => ({
  q: random([B, Lq, D], 2),
  k: random([B, Lk, D], 2),
  v: random([B, Lk, D]),
});

/** A mask with about two thirds of ones, and the rows of `closed` (b, i) all 0. */
function randomMask([B, Lq, Lk]: Sizes, closed: readonly [number, number][] = []): RefTensor {
  const mask = ints(
    [B, Lq, Lk],
    random([B, Lq, Lk]).data.map((x) => Number(x > -0.33)),
  );
  for (const [b, i] of closed) mask.data.fill(0, (b * Lq + i) * Lk, (b * Lq + i + 1) * Lk);
  return mask;
}

/** The same tensor with the rows past each length NaN. */
function poisoned(x: RefTensor, lengths: readonly number[]): RefTensor {
  const [, L, D] = x.shape;
  const data = Float64Array.from(x.data);
  lengths.forEach((length, b) => data.fill(NaN, (b * L + length) * D, (b + 1) * L * D));
  return { shape: x.shape, data };
}

function withLengths(sizes: Sizes, lengths: readonly number[]): RefTensors {
  const { q, k, v } = tensors(sizes);
  return { q, k: poisoned(k, lengths), v: poisoned(v, lengths), lengths: ints([lengths.length], lengths) };
}

const plain: [what: string, sizes: Sizes][] = [
  ['one of everything', [1, 1, 1, 1, 1]],
  ['empty batch', [0, 3, 4, 8, 2]],
  ['no queries', [2, 0, 3, 8, 2]],
  ['no keys', [2, 3, 0, 8, 2]],
  ['no features', [2, 3, 4, 0, 2]],
  ['one key', [2, 5, 1, 12, 3]],
  ['one query', [2, 1, 9, 8, 1]],
  ['odd head size', [2, 7, 13, 15, 3]],
  ['head size 2, rows not of vec4s', [1, 11, 6, 10, 5]],
  ['tile − 1', [1, 63, 7, 16, 1]],
  ['tile', [1, 8, 64, 32, 2]],
  ['tile + 1', [2, 65, 9, 24, 3]],
  ['self-attention of a short text', [2, 30, 30, 32, 2]],
];
const cases: Case[] = plain.map(([what, sizes]) => ({
  name: `${what}: [B, Lq, Lk, D, heads] = [${sizes}]`,
  inputs: tensors(sizes),
  params: { heads: sizes[4] },
}));

const masked: Sizes = [2, 9, 11, 16, 4];
const padded: Sizes = [4, 6, 10, 24, 3];
const scattered: Sizes = [3, 5, 7, 8, 2];
cases.push(
  {
    name: 'mask, with rows that may attend to nothing',
    inputs: {
      ...tensors(masked),
      mask: randomMask(masked, [
        [0, 0],
        [1, 8],
      ]),
    },
    params: { heads: 4 },
  },
  {
    name: 'lengths 10, 7, 1 and 0, NaN in the padding',
    inputs: withLengths(padded, [10, 7, 1, 0]),
    params: { heads: 3 },
  },
  {
    name: 'lengths and mask, odd head size, NaN in the padding',
    inputs: {
      ...withLengths([3, 5, 7, 9, 3], [5, 7, 2]),
      mask: randomMask([3, 5, 7, 9, 3], [[2, 4]]),
    },
    params: { heads: 3 },
  },
  {
    name: 'scores of magnitude 1e3 and more, which overflow an unshifted exp',
    inputs: { ...tensors(scattered), q: random([3, 5, 8], 1500), mask: randomMask(scattered) },
    params: { heads: 2 },
    // The softmax is one-hot: gradients of q and k vanish but for rounding.
    skipGradients: ['q', 'k'],
  },
);

/** Items of those lengths one after the other. */
const packed = (lengths: readonly number[], D: number): RefTensors => {
  const rows = lengths.reduce((sum, length) => sum + length, 0);
  return {
    ...{ q: random([rows, D], 2), k: random([rows, D], 2), v: random([rows, D]) },
    lengths: ints([lengths.length], lengths),
  };
};
const packedItems: [what: string, lengths: number[], D: number, heads: number][] = [
  ['one item', [5], 8, 2],
  ['an empty one, one of one row, odd numbers of rows', [7, 0, 1, 13], 12, 3],
  ['no row', [0, 0], 8, 2],
  ['no item', [], 8, 2],
  ['odd head size', [5, 9, 3], 15, 3],
  ['tile − 1, tile, tile + 1', [15, 16, 17, 33], 64, 4],
  ['longer than a block of lanes', [65, 3, 64], 16, 1],
  ['large enough for tiles of a GPU', [70, 33], 64, 1],
];
cases.push(
  ...packedItems.map(([what, lengths, D, heads]) => ({
    name: `packed, ${what}: lengths ${lengths.join(', ')}`,
    inputs: packed(lengths, D),
    params: { heads },
  })),
);

testKernel('attention', cases);

const softwareCaps: Caps = { ...defaultCaps, software: true };

const request = (sizes: Sizes, rest: Partial<PlanRequest> = {}): PlanRequest => {
  const [B, Lq, Lk, D, heads] = sizes;
  const shapes: Record<string, Shape> = { q: [B, Lq, D], k: [B, Lk, D], v: [B, Lk, D], ...rest.shapes };
  return { params: { heads }, caps: softwareCaps, host: {}, ...rest, shapes };
};

/** Six packed rows. */
const packedRequest = (lengths?: readonly number[], shapes: Record<string, Shape> = {}): PlanRequest => ({
  ...{ params: { heads: 2 }, caps: softwareCaps },
  shapes: { q: [6, 8], k: [6, 8], v: [6, 8], ...(lengths && { lengths: [lengths.length] }), ...shapes },
  host: lengths ? { lengths: Int32Array.from(lengths) } : {},
});

const backwardShapes = ([B, Lq, , D, heads]: Sizes): Record<string, Shape> => ({
  out: [B, Lq, D],
  grad_out: [B, Lq, D],
  lse: [B, heads, Lq],
});

/** Marks every (batch, head, query) of the strips; a list of what is missing, double, or over the cap. */
function stripProblems(
  [B, Lq, Lk, , heads]: Sizes,
  cap: number,
  strips: readonly AttentionStrip[],
): string[] {
  const problems: string[] = [];
  let next = 0;
  for (const s of strips) {
    const first = (s.batch * heads + s.head) * Lq + s.query;
    if (first !== next) problems.push(`row ${next} is followed by ${first}`);
    next = first + s.batches * s.heads * s.queries;
    if ((s.batches > 1 && s.heads < heads) || (s.heads > 1 && s.queries < Lq))
      problems.push(`strip at row ${first} is not contiguous`);
    if (s.batches * s.heads * Lk * Math.ceil(s.queries / 4) * 4 > cap && s.queries > 4)
      problems.push(`strip at row ${first} is over the cap`);
  }
  if (next !== B * heads * Lq) problems.push(`${next} of ${B * heads * Lq} rows`);
  return problems;
}

test('attention: strips cover every row once, in order, within the cap', (t) => {
  const sizes: Sizes[] = [
    [1, 1, 1, 4, 4],
    [5, 30, 30, 32, 8],
    [3, 17, 23, 12, 3],
    [2, 101, 7, 4, 1],
    [0, 3, 3, 4, 2],
  ];
  for (const size of sizes)
    for (const cap of [1, 64, 700, 1000, 4096, 20000, 1e9]) {
      const [batches, queries, keys, , heads] = size;
      const strips = attentionStrips({ batches, heads, queries, keys }, cap);
      t.deepEqual(stripProblems(size, cap, strips), [], `[${size}] in strips of ${cap}`);
    }
  const of = (batches: number, heads: number, queries: number, keys: number, cap: number) =>
    attentionStrips({ batches, heads, queries, keys }, cap).map((s) => [s.batches, s.heads, s.queries]);
  t.deepEqual(of(5, 2, 8, 4, 4 * 64), [[3, 2, 8], [2, 2, 8]], 'whole batches first, in even parts'); // prettier-ignore
  t.deepEqual(of(1, 5, 8, 4, 4 * 32), [[1, 3, 8], [1, 2, 8]], 'then heads'); // prettier-ignore
  t.deepEqual(of(1, 2, 10, 4, 32), [[1, 1, 8], [1, 1, 2], [1, 1, 8], [1, 1, 2]], 'then queries in fours'); // prettier-ignore
  t.deepEqual(of(2, 3, 0, 4, 32), [[2, 3, 0]], 'no queries: one strip, which zeroes the gradients of the keys'); // prettier-ignore
  t.end();
});

test('attention: scratch never exceeds the cap nor the binding limit', (t) => {
  const big: Sizes = [4, 600, 600, 64, 8];
  for (const [cap, limit] of [
    [2 ** 20, 2 ** 27],
    [2 ** 24, 2 ** 20],
  ]) {
    const caps = { ...defaultCaps, maxStorageBufferBindingSize: limit };
    const forward = planAttention(request(big, { caps }), { scratchBytes: cap });
    const backward = planAttentionBackward(request(big, { caps, shapes: backwardShapes(big) }), {
      scratchBytes: cap,
    });
    const bytes = [forward, backward].flatMap((plan) =>
      Object.values(plan.scratch).map((s) => 4 * sizeOf(s.shape)),
    );
    t.equal(bytes.length, 3, 'one score tensor forward, two backward');
    t.ok(
      bytes.every((n) => n > 0 && n <= Math.min(cap, limit)),
      `${bytes} bytes`,
    );
  }
  t.equal(
    attention.plan(request([1, 30, 30, 32, 2])).dispatches.length,
    3,
    'three dispatches for a short text',
  );
  t.end();
});

test('attention: a scan of over 65,535 workgroups folds its grid', (t) => {
  const long: Sizes = [1, 65536 * 64, 1, 1, 1];
  const plan = attention.plan(request(long));
  t.ok(
    plan.dispatches.some((d) => d.shader.name === 'attention' && d.workgroups[1] > 1),
    'two dimensions',
  );
  t.deepEqual(limitProblems(plan), []);
  t.end();
});

test('attention: costs count what is executed', (t) => {
  const sizes: Sizes = [2, 3, 5, 8, 2];
  const mask = ints([2, 3, 5], [1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, ...Array<number>(15).fill(1)]);
  const ragged = request(sizes, {
    shapes: { mask: mask.shape, lengths: [2], ...backwardShapes(sizes) },
    host: { mask: mask.data as Int32Array, lengths: Int32Array.from([4, 2]) },
  });
  const forward = attention.plan(ragged);
  const [scores, softmax, product] = forward.dispatches;
  t.equal(scores.macs, 2 * 2 * 3 * 5 * 4, 'every score');
  t.equal(product.macs, 2 * 3 * 4 * (4 + 2), 'only keys within the lengths');
  // Pairs within the lengths that the mask lets through: 3 + 0 + 4 of the first batch, 3 · 2 of the second.
  t.equal(softmax.flops, 9 * 2 * (3 + 0 + 4 + 6) + 4 * 2 * 2 * 3);
  const backward = attention.backward?.plan(ragged);
  t.deepEqual(
    backward?.dispatches.map((d) => d.macs),
    [240, 240, 2 * 2 * 3 * 4, 240, 240, 2 * 3 * 4 * (4 + 2)],
    'scores, their gradient, delta, grad_v, grad_k, grad_q',
  );
  t.deepEqual(backward && limitProblems(backward), [], 'backward: within the default limits');
  const onlyQ = attention.backward?.plan({ ...ragged, wanted: ['grad_q'] });
  t.deepEqual([Object.keys(onlyQ?.outputs ?? {}), onlyQ?.dispatches.length], [['grad_q'], 4], 'only grad_q');
  t.end();
});

test('attention: bad requests are refused by name', (t) => {
  const bad: [what: string, request: PlanRequest, message: RegExp][] = [
    ['heads', request([1, 2, 3, 8, 3]), /^attention: D = 8 is not a multiple of heads = 3$/],
    ['no heads', { ...request([1, 2, 3, 8, 1]), params: {} }, /parameter "heads"/],
    ['rank', request([1, 2, 3, 8, 2], { shapes: { q: [2, 8, 1, 1] } }), /"q" must have 3 dimensions/],
    ['packed rows without lengths', packedRequest(), /input "lengths" is missing/],
    [
      'lengths that do not add up',
      packedRequest([3, 2]),
      /^attention: "lengths" add up to 5, not to the 6 rows of q$/,
    ],
    ['a packed item longer than all', packedRequest([7, 0]), /lengths row 0 is 7, not in 0\.\.6$/],
    ['packed k of other rows', packedRequest([6], { k: [5, 8] }), /"k" must have shape \[6,8\]/],
    ['a mask of packed rows', packedRequest([6], { mask: [1, 6, 6] }), /"mask" does not go with packed rows/],
    ['width of k', request([1, 2, 3, 8, 2], { shapes: { k: [1, 3, 9] } }), /"k" must have shape \[1,3,8\]/],
    ['keys of v', request([1, 2, 3, 8, 2], { shapes: { v: [1, 4, 8] } }), /"v" must have shape \[1,3,8\]/],
    [
      'mask',
      request([1, 2, 3, 8, 2], { shapes: { mask: [1, 3, 2] }, host: { mask: new Int32Array(6) } }),
      /"mask" must have shape \[1,2,3\]/,
    ],
    [
      'length over Lk',
      request([2, 2, 3, 8, 2], { shapes: { lengths: [2] }, host: { lengths: Int32Array.from([3, 4]) } }),
      /^attention: lengths row 1 is 4, not in 0\.\.3$/,
    ],
    [
      'negative length',
      request([1, 2, 3, 8, 2], { shapes: { lengths: [1] }, host: { lengths: Int32Array.from([-1]) } }),
      /lengths row 0 is -1/,
    ],
  ];
  for (const [what, r, message] of bad) {
    try {
      attention.plan(r);
      t.fail(what);
    } catch (error) {
      t.ok(error instanceof InputError && message.test(error.message), `${what}: ${String(error)}`);
    }
  }
  t.end();
});

/** Forward and backward of a kernel on the device: out, lse and all gradients, on the host. */
async function run(
  kernel: Kernel,
  inputs: RefTensors,
  heads: number,
  gradOut: RefTensor,
): Promise<Record<string, Float32Array>> {
  return runtime.scope(async () => {
    const upload = (x: RefTensor) => runtime.upload(Float32Array.from(x.data), x.shape);
    const floats = { q: upload(inputs.q), k: upload(inputs.k), v: upload(inputs.v) };
    const host = Object.fromEntries(
      Object.entries(inputs)
        .filter(([, x]) => x.data instanceof Int32Array)
        .map(([name, x]) => [name, { data: x.data as Int32Array, shape: x.shape }]),
    );
    const options = { params: { heads }, host };
    const forward = runtime.kernel(kernel, floats, options);
    const all = { ...floats, ...forward, grad_out: upload(gradOut) };
    const results = { ...forward, ...runtime.kernel(kernel.backward as Kernel, all, options) };
    const names = Object.keys(results);
    const values = await runtime.readAll(names.map((name) => results[name]));
    return Object.fromEntries(names.map((name, i) => [name, values[i] as Float32Array]));
  });
}

/** The kernel in one form, and what the device can do changed to `caps`. */
const inForm = (form: AttentionForm, caps: Partial<Caps> = {}): Kernel => {
  const changed = (r: PlanRequest): PlanRequest => ({ ...r, caps: { ...r.caps, ...caps } });
  return {
    ...attention,
    plan: (r) => planAttention(changed(r), form),
    backward: { ...(attention.backward as Kernel), plan: (r) => planAttentionBackward(changed(r), form) },
  };
};

test('attention: in strips over batches, heads and queries the results are the same', async (t) => {
  const sizes: Sizes = [3, 22, 13, 16, 4];
  const lengths = [13, 5, 9];
  const inputs: RefTensors = { ...withLengths(sizes, lengths), mask: randomMask(sizes, [[1, 21]]) };
  const gradOut = random([3, 22, 16]);
  const params = { heads: 4 };
  const expected: RefTensors = {
    ...attentionReference.forward(inputs, params),
    ...attentionReference.backward?.(inputs, params, { grad_out: gradOut }),
  };
  const whole = await run(inForm({ scratchBytes: 2 ** 20 }), inputs, 4, gradOut);
  const perHead = 4 * 13 * 24; // bytes
  for (const [what, bytes, strips] of [
    ['batches', 8 * perHead, 2],
    ['heads', 3 * perHead, 6],
    ['queries', perHead / 2, 24],
  ] as const) {
    const kernel = inForm({ scratchBytes: bytes });
    const shapes = { mask: inputs.mask.shape, lengths: [3] };
    const host = { mask: inputs.mask.data as Int32Array, lengths: Int32Array.from(lengths) };
    t.equal(kernel.plan(request(sizes, { shapes, host })).dispatches.length, 3 * strips, `${strips} ${what}`);
    const actual = await run(kernel, inputs, 4, gradOut);
    for (const [name, x] of Object.entries(expected)) {
      const error = relativeError(actual[name], x.data);
      t.ok(error <= TOLERANCE, `${what}, ${name}: relative error ${error.toExponential(1)}`);
    }
    t.deepEqual(actual.lse, whole.lse, `${what}: lse to the bit`);
    t.deepEqual(actual.out, whole.out, `${what}: out to the bit`);
  }
});

/** What the fused form makes of a GPU: with and without subgroups, with more and with less workgroup memory. */
const gpus: Readonly<Record<string, Partial<Caps>>> = {
  'without subgroups': { software: false, subgroupMinSize: 0, subgroupMaxSize: 0 },
  'with subgroups': { software: false },
};

/** Lengths, a mask and heads no multiple of 4 in few combinations: each is four pipelines, shared with the cases above. */
const fused: [what: string, sizes: Sizes, lengths?: number[], masked?: boolean][] = [
  ['head size 64, tile − 1', [1, 15, 63, 64, 1]],
  ['head size 128, tile', [1, 16, 64, 128, 1], [64]],
  ['head size 35, tile + 1', [2, 17, 65, 70, 2], [65, 64], true],
  ['head size 7, a prime of everything', [3, 37, 131, 21, 3], [131, 1, 0], true],
  ['head size 260: two vec4s a lane', [1, 19, 21, 260, 1], [20]],
];

for (const [what, sizes, lengths, withMask] of fused)
  test(`attention: fused, ${what}: [B, Lq, Lk, D, heads] = [${sizes}]`, async (t) => {
    const heads = sizes[4];
    const inputs: RefTensors = {
      ...(lengths ? withLengths(sizes, lengths) : tensors(sizes)),
      ...(withMask && { mask: randomMask(sizes, [[1, 3]]) }),
    };
    const gradOut = random([sizes[0], sizes[1], sizes[3]]);
    const expected: RefTensors = {
      ...attentionReference.forward(inputs, { heads }),
      ...attentionReference.backward?.(inputs, { heads }, { grad_out: gradOut }),
    };
    for (const [device, caps] of Object.entries(gpus)) {
      const kernel = inForm('fused', caps);
      const actual = await run(kernel, inputs, heads, gradOut);
      for (const [name, x] of Object.entries(expected)) {
        const error = relativeError(actual[name], x.data);
        t.ok(error <= TOLERANCE, `${device}, ${name}: relative error ${error.toExponential(1)}`);
      }
      t.deepEqual(await run(kernel, inputs, heads, gradOut), actual, `${device}: the same bits again`);
    }
  });

test('attention: fused is chosen on a GPU that can hold it, with few dispatches and many lanes at any length', (t) => {
  const choose = (headSize: number, caps: Partial<Caps> = {}) =>
    chooseAttention(headSize, { ...defaultCaps, ...caps });
  t.equal(choose(64), 'fused');
  t.notEqual(choose(64, { software: true }), 'fused', 'not on a CPU');
  t.notEqual(choose(0), 'fused', 'not without features');
  t.notEqual(choose(1024), 'fused', 'not with heads that registers do not hold');
  t.notEqual(choose(64, { maxComputeInvocationsPerWorkgroup: 128 }), 'fused', 'not without 256 lanes');
  for (const L of [256, 4096]) {
    const sizes: Sizes = [1, L, L, 768, 12];
    const forward = attention.plan(request(sizes, { caps: defaultCaps }));
    const all = request(sizes, { caps: defaultCaps, shapes: backwardShapes(sizes) });
    const backward = attention.backward?.plan(all);
    t.deepEqual([forward.dispatches.length, backward?.dispatches.length], [1, 3], `L = ${L}`);
    for (const { dispatches, scratch } of [forward, backward ?? forward]) {
      t.ok(
        dispatches.every(({ workgroups: [x, y] }) => 256 * x * y >= 30000),
        `L = ${L}: lanes`,
      );
      const bytes = Object.values(scratch).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
      t.ok(bytes < 2 ** 21, `L = ${L}: ${bytes} bytes of scratch`);
    }
  }
  t.end();
});

test('attention: fused, a grid of over 65,535 workgroups is folded', (t) => {
  const plan = attention.plan(request([65536, 17, 1, 1, 1], { caps: defaultCaps }));
  t.ok(plan.dispatches[0].workgroups[1] > 1, 'two dimensions');
  t.deepEqual(limitProblems(plan), []);
  t.end();
});

test('attention: fused costs count what is executed', (t) => {
  const sizes: Sizes = [2, 3, 70, 8, 2];
  const ragged = request(sizes, {
    caps: defaultCaps,
    shapes: { lengths: [2], ...backwardShapes(sizes) },
    host: { lengths: Int32Array.from([70, 4]) },
  });
  const pairs = 2 * 3 * (70 + 4);
  const rows = 2 * 2 * 3;
  const [forward] = attention.plan(ragged).dispatches;
  t.equal(forward.macs, 2 * 4 * pairs, 'scores and sums, of keys within length');
  // A head of 4 is one vec4: the 64 lanes of a tile share its keys; two tiles of the first batch row, one of the second.
  t.equal(forward.flops, 2 * forward.macs + 8 * pairs + 2 * 3 * (2 + 1) * 64 * 4 + rows * (4 + 64 * 4));
  t.equal(forward.bytesRead, 4 * (rows * 4 + 2 * 2 * 74 * 4 + 2), 'q, k, v, lengths');
  t.equal(forward.bytesWritten, 4 * (rows * 4 + rows), 'out, lse');
  const backward = attention.backward?.plan(ragged).dispatches ?? [];
  t.deepEqual(
    backward.map(({ macs }) => macs),
    [rows * 4, 3 * 4 * pairs, 4 * 4 * pairs],
    'delta; two products and a sum; two and two',
  );
  const onlyV = attention.backward?.plan({ ...ragged, wanted: ['grad_v'] }).dispatches ?? [];
  t.deepEqual(
    onlyV.map(({ macs }) => macs),
    [rows * 4, 2 * 4 * pairs],
    'only grad_v: one and one',
  );
  t.end();
});

test('attention: padding and closed rows are exactly 0, lse is the log-sum-exp', async (t) => {
  const sizes: Sizes = [2, 3, 6, 4, 1];
  const inputs: RefTensors = { ...withLengths(sizes, [4, 6]), mask: randomMask(sizes, [[1, 2]]) };
  const actual = await run(attention, inputs, 1, random([2, 3, 4]));
  const isZero = (name: string, from: number, to: number) =>
    t.ok(
      actual[name].subarray(from, to).every((x) => x === 0),
      `${name}: elements ${from}..${to} are 0`,
    );
  for (const name of ['grad_k', 'grad_v']) isZero(name, 4 * 4, 6 * 4);
  for (const name of ['out', 'grad_q']) isZero(name, 5 * 4, 6 * 4);
  const expected = Array.from({ length: 6 }, (_, row) => {
    const batch = Math.floor(row / 3);
    let sum = 0;
    for (let j = 0; j < [4, 6][batch]; j++) {
      if (inputs.mask.data[row * 6 + j] === 0) continue;
      let dot = 0;
      for (let c = 0; c < 4; c++) dot += inputs.q.data[row * 4 + c] * inputs.k.data[(batch * 6 + j) * 4 + c];
      sum += Math.exp(dot / 2);
    }
    return sum > 0 ? Math.log(sum) : -1e30;
  });
  t.equal(actual.lse[5], Math.fround(-1e30), 'a row that may attend to nothing has a finite lse');
  const error = relativeError(actual.lse.subarray(0, 5), expected.slice(0, 5));
  t.ok(error <= TOLERANCE, `lse: relative error ${error.toExponential(1)}`);
});
