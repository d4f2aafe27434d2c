import test from 'tape';
import {
  contextAttention,
  planContextAttention,
  planContextAttentionBackward,
} from '../../kernels/context-attention.ts';
import { InputError } from '../../kernels/errors.ts';
import { defaultCaps, sizeOf, type Kernel, type Plan, type PlanRequest } from '../../kernels/plan.ts';
import { contextAttentionReference } from '../../kernels/reference/context-attention.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import { prepareKernelRun, runKernel } from '../../src/ops/run-kernel.ts';
import { toHost } from '../../src/ops/verify-kernel.ts';
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
import { allSpans, paddedRows, spanTensor } from './spans.ts';

type Spans = readonly (readonly number[])[];

/** q, k, v [B, L, D] of magnitude `factor`, 2, and 1, NaN past each length. */
function tensors(lengths: number[], l: number, d: number, spans: Spans, factor = 2): RefTensors {
  const scaled = (by: number) => {
    const x = paddedRows(lengths, l, d);
    return { shape: x.shape, data: Float64Array.from(x.data, (value) => Math.fround(by * value)) };
  };
  return {
    ...{ q: scaled(factor), k: scaled(2), v: scaled(1), mask_query: random([d], factor) },
    ...{ spans: spanTensor(spans), lengths: ints([lengths.length], lengths) },
  };
}

const cases: Case[] = [];
function add(
  what: string,
  lengths: number[],
  l: number,
  [d, heads]: [number, number],
  spans: Spans,
  more: Partial<Case> & { factor?: number } = {},
) {
  const { factor, ...rest } = more;
  cases.push({
    name: `${what}: lengths ${lengths.join(' ')} of ${l}, D ${d}, ${heads} heads, ${spans.length} spans`,
    inputs: tensors(lengths, l, d, spans, factor),
    params: { heads },
    ...rest,
  });
}
add('one token, covered', [1], 1, [1, 1], [[0, 0, 1]]);
add('no span', [3, 2], 3, [4, 2], []);
add('no sentence', [], 3, [4, 2], []);
add('no features', [3], 3, [0, 1], [[0, 1, 2]]);
add('two tokens', [2], 2, [2, 1], allSpans([2], 2));
add('spans of every width, one covers its row', [7], 7, [12, 3], allSpans([7], 7));
add('prime sizes, padding', [11, 7], 13, [15, 3], allSpans([11, 7], 3));
add('rows without spans, a row of length 0', [5, 6, 0, 4], 6, [8, 2], [[3, 1, 2], [1, 0, 3], [3, 0, 4]]); // prettier-ignore
add('repeated spans, in no order', [9], 9, [8, 1], [[0, 4, 6], [0, 1, 2], [0, 4, 6], [0, 0, 9], [0, 1, 2], [0, 8, 9], [0, 4, 9]]); // prettier-ignore
add('one span', [33], 33, [16, 4], [[0, 7, 20]]);
add('wide heads', [6], 7, [212, 2], allSpans([6], 2));
add('a short text', [30, 17], 30, [16, 2], allSpans([30, 17], 2));
add('scores of magnitude 1e3 and more', [8, 5], 8, [8, 2], allSpans([8, 5], 3), {
  factor: 1500,
  // The softmax is one-hot: gradients of the queries and keys vanish but for rounding.
  skipGradients: ['q', 'k', 'mask_query'],
});
testKernel('context-attention', cases);

type Sizes = [lengths: number[], l: number, d: number, heads: number];

const request = (
  [lengths, l, d, heads]: Sizes,
  spans: Spans,
  rest: Partial<PlanRequest> = {},
): PlanRequest => {
  const x = [lengths.length, l, d];
  const S = spans.length;
  return {
    params: { heads },
    caps: defaultCaps,
    host: { spans: Int32Array.from(spans.flat()), lengths: Int32Array.from(lengths) },
    ...rest,
    shapes: {
      ...{ q: x, k: x, v: x, mask_query: [d], spans: [S, 3], lengths: [lengths.length] },
      ...{ out: [S, l, d], grad_out: [S, l, d], lse: [S, heads, l] },
      ...rest.shapes,
    },
  };
};

const scratchBytes = ({ scratch }: Plan): number =>
  Object.values(scratch).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);

const backward = contextAttention.backward as Kernel;

test('context-attention: scratch of a sentence of 128 words, all spans of up to 10, is under 32 MiB', (t) => {
  for (const software of [false, true]) {
    const sizes: Sizes = [[128], 128, 768, 8];
    const base = request(sizes, allSpans([128], 10), { caps: { ...defaultCaps, software } });
    for (const { name, plan } of [contextAttention, backward]) {
      const planned = plan(base);
      const bytes = scratchBytes(planned);
      t.ok(bytes < 32 * 2 ** 20, `${name}: ${(bytes / 2 ** 20).toFixed(1)} MiB`);
      t.deepEqual(limitProblems(planned), [], 'within the default limits');
    }
  }
  // No score per span: L² D by head and direction, S L D of merges.
  const macs = (spans: Spans): number =>
    contextAttention.plan(request([[64], 64, 32, 1], spans)).dispatches.reduce((sum, d) => sum + d.macs, 0);
  const [few, many] = [allSpans([64], 1), allSpans([64], 2)];
  t.equal(
    macs([...many, ...many]) - macs(many),
    many.length * 64 * 32,
    'a span more costs L D multiply-adds',
  );
  t.ok(macs(few) < 4 * 65 * 64 * 32 + few.length * 64 * 32, 'the states cost as much as two attentions');
  t.end();
});

test('context-attention: a merge of over 65,535 workgroups folds its grid', (t) => {
  const spans = Array.from({ length: 4100 }, () => [0, 1, 2]);
  const plan = contextAttention.plan(request([[64], 64, 64, 1], spans));
  t.ok(
    plan.dispatches.some((d) => d.shader.name === 'context-attention' && d.workgroups[1] > 1),
    'two dimensions',
  );
  t.deepEqual(limitProblems(plan), []);
  t.end();
});

test('context-attention: bad requests are refused by name', (t) => {
  const sizes: Sizes = [[4, 2], 4, 6, 2];
  const bad: [what: string, request: PlanRequest, message: RegExp][] = [
    ['heads', request([[3], 3, 8, 3], []), /^context-attention: D = 8 is not a multiple of heads = 3$/],
    ['no heads', { ...request(sizes, []), params: {} }, /parameter "heads"/],
    ['v', request(sizes, [], { shapes: { v: [2, 4, 5] } }), /"v" must have shape \[2,4,6\]/],
    ['mask_query', request(sizes, [], { shapes: { mask_query: [5] } }), /"mask_query" must have shape \[6\]/],
    ['spans', request(sizes, [], { shapes: { spans: [1, 2] } }), /"spans" must have shape \[0,3\]/],
    ['lengths', request([[4, 5], 4, 6, 2], []), /^context-attention: lengths row 1 is 5, not in 0\.\.4$/],
    ...[[2, 0, 1], [-1, 0, 1]].map((span): (typeof bad)[number] => [
      'row',
      request(sizes, [[0, 0, 1], span]),
      /^context-attention: spans row 1 = \(-?\d, 0, 1\) is not of a row of q, B = 2$/,
    ]),
    ...[[1, 0, 3], [1, 1, 1], [1, -1, 1], [1, 2, 1]].map((span): (typeof bad)[number] => [
      'span',
      request(sizes, [[0, 0, 1], span]),
      /^context-attention: spans row 1 = \(1, -?\d, \d\) is not a span of its row, of length 2$/,
    ]),
  ]; // prettier-ignore
  for (const [what, r, message] of bad) {
    try {
      contextAttention.plan(r);
      t.fail(what);
    } catch (error) {
      t.ok(error instanceof InputError && message.test(error.message), `${what}: ${String(error)}`);
    }
  }
  t.end();
});

/** The kernel with its scratch held to about `bytes`. */
const capped = (bytes: number): Kernel => ({
  ...contextAttention,
  plan: (r) => planContextAttention(r, bytes),
  backward: { ...backward, plan: (r) => planContextAttentionBackward(r, bytes) },
});

/** Outputs and gradients on the device. */
async function run(kernel: Kernel, inputs: RefTensors, heads: number, gradOut: RefTensor) {
  const tensors = new Map(
    Object.entries({ ...inputs, grad_out: gradOut }).map(([name, x]) => [name, toHost(x)]),
  );
  const results = await runKernel(runtime, prepareKernelRun(kernel, tensors, { heads }, true, 'test'));
  return Object.fromEntries([...results].map(([name, { data }]) => [name, data]));
}

const exact = (inputs: RefTensors, heads: number, grad_out: RefTensor): RefTensors => ({
  ...contextAttentionReference.forward(inputs, { heads }),
  ...contextAttentionReference.backward?.(inputs, { heads }, { grad_out }),
});

function agrees(
  t: test.Test,
  what: string,
  actual: Awaited<ReturnType<typeof run>>,
  expected: RefTensors,
): void {
  for (const [name, x] of Object.entries(expected)) {
    const error = relativeError(actual[name], x.data);
    t.ok(error <= TOLERANCE, `${what}, ${name}: relative error ${error.toExponential(1)}`);
  }
}

test('context-attention: in strips over batch rows, heads and queries the results are the same', async (t) => {
  const lengths = [22, 9, 0, 22];
  const spans = allSpans(lengths, 4);
  const inputs = tensors(lengths, 22, 16, spans);
  const gradOut = random([spans.length, 22, 16]);
  const expected = exact(inputs, 4, gradOut);
  const whole = await run(contextAttention, inputs, 4, gradOut);
  agrees(t, 'whole', whole, expected);
  const count = (bytes: number): number[] => {
    const { plan, backward: back } = capped(bytes);
    const sized = request([lengths, 22, 16, 4], spans);
    return [plan(sized), back?.plan(sized)].map(
      (planned) => planned?.dispatches.filter(({ shader }) => /scan|sums/.test(shader.name)).length ?? 0,
    );
  };
  for (const [what, bytes, strips] of [
    ['batch rows', 220_000, [2, 4]],
    ['heads', 60_000, [6, 16]],
    ['queries', 12_000, [36, 96]],
  ] as const) {
    t.deepEqual(count(bytes), strips, `${strips} strips of ${what}`);
    const actual = await run(capped(bytes), inputs, 4, gradOut);
    agrees(t, what, actual, expected);
    t.deepEqual(actual.out, whole.out, `${what}: out to the bit`);
  }
});

test('context-attention: a key that stands 100 to 200 above the rest leaves the others their gradients', async (t) => {
  const [l, d] = [12, 8];
  for (const above of [100, 200]) {
    const spans = allSpans([l], 3);
    const inputs = tensors([l], l, d, spans, 1);
    // Key 5 scores `above` with every query: only key 5 has anything in the first column.
    const root = Math.fround(Math.sqrt(above * Math.sqrt(d)));
    for (let i = 0; i < l; i++) {
      inputs.q.data[i * d] = root;
      inputs.k.data[i * d] = i === 5 ? root : 0;
    }
    inputs.mask_query.data[0] = root;
    const gradOut = random([spans.length, l, d]);
    const actual = await run(contextAttention, inputs, 1, gradOut);
    agrees(t, `${above} above`, actual, exact(inputs, 1, gradOut));
    // Spans that hold key 5 leave scores of about 1: every key that they keep has a gradient of their size.
    const others = [...actual.grad_v].filter((_, at) => Math.floor(at / d) !== 5);
    t.ok(
      others.every((x) => Math.abs(x) > 1e-6),
      `${above} above: no gradient is lost`,
    );
  }
});

test('context-attention: padding, and spans that cover their row, are exactly 0', async (t) => {
  const [lengths, l, d] = [[4, 3], 6, 4];
  const covering = [[0, 0, 4], [1, 0, 3], [0, 0, 4]]; // prettier-ignore
  const inputs = tensors(lengths, l, d, [...covering, [0, 1, 2]]);
  const gradOut = random([4, l, d]);
  const actual = await run(contextAttention, inputs, 2, gradOut);
  const zero = (x: ArrayLike<number>) => Array.from(x).every((value) => value === 0);
  t.ok(zero(actual.out.subarray(0, 3 * l * d)), 'rows of covering spans');
  t.ok(zero(actual.out.subarray((3 * l + 4) * d)), 'rows past the length');
  for (const name of ['grad_q', 'grad_k', 'grad_v']) {
    t.ok(zero(actual[name].subarray(4 * d, l * d)), `${name}: past the length`);
    t.ok(zero(actual[name].subarray(l * d)), `${name}: of a row whose one span covers it`);
  }
  const alone = { ...inputs, spans: spanTensor(covering) };
  const nothing = await run(contextAttention, alone, 2, random([3, l, d]));
  for (const name of ['out', 'grad_q', 'grad_k', 'grad_v', 'grad_mask_query'])
    t.ok(zero(nothing[name]), `${name}: 0 where all spans cover their row`);
});

test('context-attention: the backward makes only what is wanted', (t) => {
  const shaders = (wanted: string[]): string[] =>
    backward
      .plan({ ...request([[5, 4], 5, 8, 2], allSpans([5, 4], 2)), wanted })
      .dispatches.map((d) => d.shader.name);
  t.notOk(shaders(['grad_v']).includes('context-attention-backward'), 'grad_v needs no gradient of scores');
  t.notOk(shaders(['grad_q']).includes('context-attention-values'), 'grad_q needs no grad_v');
  const plan = backward.plan({ ...request([[5], 5, 8, 2], [[0, 1, 2]]), wanted: ['grad_mask_query'] });
  t.deepEqual(Object.keys(plan.outputs), ['grad_mask_query']);
  t.end();
});
