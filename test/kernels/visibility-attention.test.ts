import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import {
  defaultCaps,
  sizeOf,
  type Dispatch,
  type Plan,
  type PlanRequest,
  type Shape,
} from '../../kernels/plan.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import {
  planVisibilityAttention,
  planVisibilityAttentionBackward,
  visibilityAttention,
} from '../../kernels/visibility-attention.ts';
import { visibilityAttentionReference } from '../../kernels/reference/visibility-attention.ts';
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

/** Text sees text and markers, annotations themselves, markers text: the default of docs/spec.md#instances. */
const DEFAULT = [0b101, 0b010, 0b001];
const JUNK = -2147483648;

interface Row {
  kinds: readonly number[];
  groups?: readonly number[];
}

/** Text, annotation and marker tokens; the i-th start and the i-th end marker are group i. */
const instance = (text: number, annotation: number, candidates: number): Row => ({
  kinds: [
    ...Array<number>(text).fill(0),
    ...Array<number>(annotation).fill(1),
    ...Array<number>(2 * candidates).fill(2),
  ],
  groups: Array.from({ length: text + annotation + 2 * candidates }, (_, i) =>
    i < text + annotation ? -1 : (i - text - annotation) % candidates,
  ),
});

/** Rows side by side, padded to L; padding holds NaN, kinds and groups that are none. */
function batch(
  rows: readonly Row[],
  D: number,
  factor = 2,
  L = Math.max(0, ...rows.map((r) => r.kinds.length)),
) {
  const padded = (of: (row: Row, i: number) => number | undefined, filler: number): RefTensor =>
    ints(
      [rows.length, L],
      rows.flatMap((row) => Array.from({ length: L }, (_, i) => of(row, i) ?? filler)),
    );
  const poisoned = (x: RefTensor): RefTensor => {
    rows.forEach(({ kinds }, b) => x.data.fill(NaN, (b * L + kinds.length) * D, (b + 1) * L * D));
    return x;
  };
  return {
    q: poisoned(random([rows.length, L, D], factor)),
    k: poisoned(random([rows.length, L, D], factor)),
    v: poisoned(random([rows.length, L, D])),
    kinds: padded(({ kinds }, i) => kinds[i], JUNK),
    groups: padded(({ kinds, groups }, i) => (i < kinds.length ? (groups?.[i] ?? -1) : undefined), 3),
    lengths: ints(
      [rows.length],
      rows.map(({ kinds }) => kinds.length),
    ),
  };
}

/** Whole numbers below `below` that look random. */
const drawn = (count: number, below: number): number[] =>
  [...random([count]).data].map((x) => Math.floor(((x + 1) / 2) * below));

const scattered = (length: number, kinds: number, groups: number): Row => ({
  kinds: drawn(length, kinds),
  groups: drawn(length, groups + 2).map((group) => (group < 2 ? -1 - group : 7 * (group - 2))),
});

const cases: Case[] = (
  [
    ['one token that sees itself', [{ kinds: [0] }], 1, 1, [1]],
    ['one token that sees nothing', [{ kinds: [3] }], 4, 2, [1, 1, 1, 0]],
    ['one token that its group lets see itself', [{ kinds: [1], groups: [0] }], 4, 1, [0, 0]],
    ['empty batch', [], 8, 2, DEFAULT],
    ['no tokens', [{ kinds: [] }, { kinds: [] }], 8, 2, DEFAULT],
    ['no features', [instance(3, 2, 2)], 0, 2, DEFAULT],
    [
      'default visibility, 4 heads',
      [instance(13, 7, 9), instance(5, 0, 3), instance(9, 4, 0)],
      32,
      4,
      DEFAULT,
    ],
    ['visible annotations', [instance(9, 5, 4), instance(4, 4, 4)], 12, 1, [0b111, 0b011, 0b001]],
    ['full visibility', [instance(6, 3, 4), { kinds: [] }, instance(7, 2, 2)], 24, 3, [7, 7, 7]],
    ['markers see all markers', [instance(6, 3, 5), instance(1, 1, 1)], 8, 2, [0b101, 0b010, 0b101]],
    ['blocks of 3, 4 and 5', [instance(3, 4, 1), instance(5, 3, 2), instance(4, 5, 2)], 8, 2, DEFAULT],
    ['odd head size', [instance(7, 3, 5), instance(2, 2, 2)], 15, 3, DEFAULT],
    ['head size 2, rows not of vec4s', [instance(5, 1, 3), instance(11, 3, 1)], 10, 5, DEFAULT],
    ['head size 20: chunks of less than 4 vec4s', [instance(5, 1, 3)], 40, 2, DEFAULT],
    [
      'prime length, 5 kinds and 4 groups anywhere',
      [scattered(37, 5, 4), scattered(23, 5, 4)],
      16,
      2,
      [9, 22, 4, 0, 31],
    ],
    ['16 kinds anywhere, one-sided', [scattered(41, 16, 3)], 8, 2, drawn(16, 65536)],
    ['groups alone, of any size', [scattered(19, 3, 2), scattered(8, 2, 1)], 12, 3, [0, 0, 0]],
    [
      'one group of all, some seen by kind',
      [{ kinds: drawn(17, 4), groups: Array<number>(17).fill(5) }],
      8,
      2,
      [0b10, 0b101, 0, 0],
    ],
    [
      'groups of large and negative numbers',
      [{ kinds: [0, 1, 0, 1, 2, 2], groups: [2147483647, 2147483647, -5, -5, 9, 9] }],
      8,
      2,
      [1, 0, 4],
    ],
    [
      'kinds between that no token is of',
      [{ kinds: [0, 15, 15, 0], groups: [-1, 4, 4, -1] }],
      8,
      1,
      [1, ...Array<number>(15).fill(0)],
    ],
  ] as [name: string, rows: Row[], D: number, heads: number, sees: number[]][]
).map(([name, rows, D, heads, sees]) => ({ name, inputs: batch(rows, D), params: { heads, sees } }));

cases.push(
  {
    name: 'scores of magnitude 1e3 and more, which overflow an unshifted exp',
    inputs: batch([instance(6, 4, 5), scattered(11, 3, 3)], 8, 60),
    params: { heads: 2, sees: DEFAULT },
    // The softmax is one-hot: gradients of q and k vanish but for rounding.
    skipGradients: ['q', 'k'],
  },
  {
    name: 'padding in every row',
    inputs: batch([instance(5, 3, 2), instance(2, 1, 1)], 8, 2, 17),
    params: { heads: 2, sees: DEFAULT },
  },
);

testKernel('visibility-attention', cases);

interface Request {
  rows: readonly Row[];
  D?: number;
  heads?: number;
  sees?: unknown;
}

/** A request of the backward kernel too, without values of q, k and v. */
function request(
  { rows, D = 16, heads = 4, sees = DEFAULT }: Request,
  rest: Partial<PlanRequest> = {},
): PlanRequest {
  const { kinds, groups, lengths } = batch(rows, 1);
  const [B, L] = kinds.shape;
  const host = { kinds, groups, lengths };
  const shapes: Record<string, Shape> = {
    ...Object.fromEntries(['q', 'k', 'v', 'out', 'grad_out'].map((name) => [name, [B, L, D]])),
    ...Object.fromEntries(Object.entries(host).map(([name, { shape }]) => [name, shape])),
    lse: [B, L, heads],
  };
  return {
    params: { heads, sees },
    caps: defaultCaps,
    ...rest,
    shapes: { ...shapes, ...rest.shapes },
    host: Object.fromEntries(Object.entries(host).map(([name, { data }]) => [name, data as Int32Array])),
  };
}

const macsOf = (dispatches: readonly Dispatch[]): number => dispatches.reduce((n, d) => n + d.macs, 0);
const backwardOf = (r: PlanRequest): Plan => visibilityAttention.backward!.plan(r);

test('visibility-attention: multiply-adds are those of the pairs that are seen', (t) => {
  const [T, A, M] = [40, 20, 400];
  const rows = [instance(T, A, M / 2)];
  const [D, heads] = [64, 4];
  const pairs = T * (T + M) + A * A + M * (T + 2);
  t.equal(pairs, 34800);
  t.equal(macsOf(visibilityAttention.plan(request({ rows, D, heads })).dispatches), 2 * D * pairs);
  const all = visibilityAttention.plan(request({ rows, D, heads, sees: [7, 7, 7] }));
  t.equal(
    macsOf(all.dispatches),
    2 * D * (T + A + M) ** 2,
    'all pairs where everything is seen, groups or not',
  );
  const byRow = [instance(10, 4, 6), instance(7, 0, 3), instance(3, 5, 0)];
  const expected = 2 * D * (10 * 22 + 16 + 12 * 12 + (7 * 13 + 6 * 9) + (9 + 25));
  t.equal(macsOf(visibilityAttention.plan(request({ rows: byRow, D, heads })).dispatches), expected);

  const backward = request({ rows, D, heads });
  const [byKind, byGroup] = [pairs - 2 * M, 2 * M];
  const delta = D * (T + A + M);
  // By kind S, Z, grad_q, grad_v, grad_k; a pair of a group makes S and Z again for the keys.
  t.equal(macsOf(backwardOf(backward).dispatches), D * (5 * byKind + 7 * byGroup) + delta);
  const onlyV = backwardOf({ ...backward, wanted: ['grad_v'] });
  t.equal(macsOf(onlyV.dispatches), D * (3 * byKind + 2 * byGroup) + delta);
  t.deepEqual(Object.keys(onlyV.outputs), ['grad_v']);
  t.end();
});

test('visibility-attention: host tables grow with L, whatever the kinds and groups', (t) => {
  const rowsOf: ((length: number) => Row)[] = [
    (length) => instance(length / 4, length / 4, length / 4),
    (length) => scattered(length, 16, length),
    (length) => ({ kinds: drawn(length, 16), groups: Array<number>(length).fill(0) }),
  ];
  for (const rowOf of rowsOf)
    for (const length of [64, 512, 2048]) {
      const r = request({ rows: [rowOf(length)], sees: drawn(16, 65536) });
      const integers = [visibilityAttention.plan(r), backwardOf(r)].map(({ data }) =>
        Object.values(data).reduce((n, table) => n + table.length, 0),
      );
      t.ok(Math.max(...integers) <= 16 * length + 2048, `L = ${length}: ${integers} integers`);
    }
  t.end();
});

test('visibility-attention: tables are made once for a batch, and again when it changes', (t) => {
  const r = request({ rows: [instance(5, 3, 4), instance(2, 2, 2)] });
  const tablesOf = (changed: Partial<PlanRequest> = {}): Int32Array =>
    visibilityAttention.plan({ ...r, ...changed }).data.tables;
  const first = tablesOf();
  t.equal(backwardOf(r).data.tables, first, 'the same array in the backward');
  t.notDeepEqual(tablesOf({ params: { heads: 4, sees: [7, 7, 7] } }), first, 'another sees');
  for (const [name, at] of [
    ['kinds', 0],
    ['groups', 8],
    ['lengths', 1],
  ] as const) {
    const { [name]: values } = r.host;
    const before = values[at];
    values[at] = 1;
    t.notDeepEqual(tablesOf(), first, `another of ${name}, in place`);
    values[at] = before;
    t.deepEqual(tablesOf(), first, 'and back');
  }
  t.end();
});

test('visibility-attention: scratch never exceeds the cap nor the binding limit', (t) => {
  const rows = [instance(100, 40, 100), instance(30, 10, 20), instance(200, 0, 50)];
  for (const [cap, limit] of [
    [2 ** 18, 2 ** 27],
    [2 ** 24, 2 ** 17],
  ]) {
    const r = request({ rows }, { caps: { ...defaultCaps, maxStorageBufferBindingSize: limit } });
    for (const plan of [planVisibilityAttention(r, cap), planVisibilityAttentionBackward(r, cap)]) {
      const bytes = 4 * sizeOf(plan.scratch.weights.shape);
      t.ok(bytes > 0 && bytes <= Math.min(cap, limit), `${bytes} bytes`);
      t.deepEqual(limitProblems(plan), []);
    }
  }
  t.equal(visibilityAttention.plan(request({ rows })).dispatches.length, 1, 'one dispatch forward');
  t.equal(backwardOf(request({ rows })).dispatches.length, 5, 'five backward');
  t.equal(
    backwardOf(request({ rows: [{ kinds: [0, 0] }] })).dispatches.length,
    4,
    'four where no group counts',
  );
  t.end();
});

test('visibility-attention: in strips over rows and blocks the results are the same', async (t) => {
  const inputs = batch([instance(9, 5, 8), scattered(21, 4, 3), instance(3, 2, 2), scattered(30, 3, 5)], 16);
  const params = { heads: 2, sees: [0b101, 0b1010, 0b001, 0b110] };
  const gradOut = random(inputs.q.shape);
  const expected: RefTensors = {
    ...visibilityAttentionReference.forward(inputs, params),
    ...visibilityAttentionReference.backward?.(inputs, params, { grad_out: gradOut }),
  };
  const kernelOf = (bytes: number) => ({
    ...visibilityAttention,
    plan: (r: PlanRequest) => planVisibilityAttention(r, bytes),
    backward: {
      ...visibilityAttention.backward!,
      plan: (r: PlanRequest) => planVisibilityAttentionBackward(r, bytes),
    },
  });
  const run = (bytes: number) =>
    runtime.scope(async () => {
      const kernel = kernelOf(bytes);
      const { q, k, v, ...tables } = inputs;
      const upload = (x: RefTensor) => runtime.upload(Float32Array.from(x.data), x.shape);
      const host = Object.fromEntries(
        Object.entries(tables).map(([name, { data, shape }]) => [name, { data: data as Int32Array, shape }]),
      );
      const floats = { q: upload(q), k: upload(k), v: upload(v) };
      const forward = runtime.kernel(kernel, floats, { params, host });
      const all = { ...floats, ...forward, grad_out: upload(gradOut) };
      const results = { ...forward, ...runtime.kernel(kernel.backward, all, { params, host }) };
      const names = Object.keys(results);
      const values = await runtime.readAll(names.map((name) => results[name]));
      return Object.fromEntries(names.map((name, i) => [name, values[i] as Float32Array]));
    });
  const whole = await run(2 ** 24);
  for (const bytes of [2 ** 14, 2 ** 12, 1]) {
    const actual = await run(bytes);
    for (const [name, x] of Object.entries(expected)) {
      const error = relativeError(actual[name], x.data);
      t.ok(error <= TOLERANCE, `${bytes} bytes, ${name}: relative error ${error.toExponential(1)}`);
    }
    for (const name of ['out', 'lse', 'grad_q'])
      t.deepEqual(actual[name], whole[name], `${bytes} bytes, ${name}: to the bit`);
  }
  for (const name of ['out', 'grad_q', 'grad_k', 'grad_v'])
    inputs.lengths.data.forEach((length, b) => {
      const [, L, D] = inputs.q.shape;
      const padding = whole[name].subarray((b * L + length) * D, (b + 1) * L * D);
      t.ok(
        padding.every((x) => x === 0),
        `${name}: padding of row ${b} is 0`,
      );
    });
});

test('visibility-attention: a pass of over 65,535 workgroups folds its grid', (t) => {
  const many = 65536 * 64;
  // A tile of so many heads is larger than what the default limits bind.
  const caps = { ...defaultCaps, maxStorageBufferBindingSize: 2 ** 28 };
  const rows = [{ kinds: [0, 1, 2, 3, 4, 5, 6, 7] }];
  const plan = visibilityAttention.plan(
    request({ rows, D: many, heads: many, sees: Array(8).fill(1) }, { caps }),
  );
  t.ok(plan.dispatches[0].workgroups[1] > 1, `${plan.dispatches[0].workgroups}`);
  t.deepEqual(limitProblems(plan, caps), []);
  t.end();
});

test('visibility-attention: bad requests are refused by name', (t) => {
  const rows = [{ kinds: [0, 1] }, { kinds: [2] }];
  const lengths = (...values: number[]): PlanRequest => {
    const good = request({ rows });
    return { ...good, host: { ...good.host, lengths: Int32Array.from(values) } };
  };
  const bad: [what: string, request: PlanRequest, message: RegExp][] = [
    ['heads', request({ rows, heads: 3 }), /^visibility-attention: D = 16 is not a multiple of heads = 3$/],
    ['no heads', { ...request({ rows }), params: { sees: DEFAULT } }, /parameter "heads"/],
    [
      'no sees',
      { ...request({ rows }), params: { heads: 2 } },
      /^visibility-attention: parameter "sees" .* got undefined$/,
    ],
    ['sees of words', request({ rows, sees: ['text'] }), /parameter "sees"/],
    ['sees of fractions', request({ rows, sees: [1.5] }), /parameter "sees"/],
    ['sees of 17 bits', request({ rows, sees: [65536] }), /parameter "sees"/],
    ['17 masks', request({ rows, sees: Array<number>(17).fill(1) }), /parameter "sees"/],
    [
      'kind without a mask',
      request({ rows: [{ kinds: [0] }, { kinds: [1, 3] }] }),
      /^visibility-attention: kinds row 1 has 3 at token 1, which none of the 3 masks of "sees" is for$/,
    ],
    ['no masks', request({ rows: [{ kinds: [0] }], sees: [] }), /row 0 has 0 at token 0, .* the 0 masks/],
    ['kind −1', request({ rows: [{ kinds: [-1] }] }), /kinds row 0 has -1 at token 0/],
    ['length over L', lengths(2, 3), /^visibility-attention: lengths row 1 is 3, not in 0\.\.2$/],
    ['negative length', lengths(-1, 0), /lengths row 0 is -1/],
    ['rank', request({ rows }, { shapes: { q: [2, 16] } }), /"q" must have 3 dimensions/],
    ['shape of k', request({ rows }, { shapes: { k: [2, 3, 16] } }), /"k" must have shape \[2,2,16\]/],
    ['shape of kinds', request({ rows }, { shapes: { kinds: [2, 3] } }), /"kinds" must have shape \[2,2\]/],
    ['shape of groups', request({ rows }, { shapes: { groups: [4] } }), /"groups" must have shape \[2,2\]/],
    ['shape of lengths', request({ rows }, { shapes: { lengths: [1] } }), /"lengths" must have shape \[2\]/],
  ];
  for (const [what, r, message] of bad) {
    try {
      visibilityAttention.plan(r);
      t.fail(what);
    } catch (error) {
      t.ok(error instanceof InputError && message.test(error.message), `${what}: ${String(error)}`);
    }
  }
  t.end();
});
