import test from 'tape';
import { defaultCaps, sizeOf, type Kernel, type Plan, type TensorSpec } from '../../kernels/plan.ts';
import { spanScore } from '../../kernels/span-score.ts';
import { random, runtime, testKernel, type Case } from './harness.ts';
import { allSpans, paddedRows, spanTensor, throwsOnBadSpans } from './spans.ts';

const cases: Case[] = [];
function add(
  name: string,
  lengths: number[],
  l: number,
  d: number,
  [maxWidth, dw]: [number, number],
  n: number,
  step = 1,
) {
  const spans = allSpans(lengths, maxWidth).filter((_, s) => s % step === 0);
  cases.push({
    name: `${name}: lengths ${lengths.join(' ')} of ${l}, d ${d}, widths [${maxWidth},${dw}], N ${n}`,
    inputs: {
      x: paddedRows(lengths, l, d),
      width_embedding: random([maxWidth, dw]),
      spans: spanTensor(spans),
      weight: random([n, 2 * d + dw]),
      bias: random([n]),
    },
  });
}
add('one token', [1], 1, 1, [1, 1], 1);
add('no span', [0, 0], 3, 4, [2, 4], 3);
add('no sentence', [], 3, 4, [2, 4], 3);
add('no label', [3], 3, 4, [2, 4], 0);
add('no width embedding', [3], 3, 4, [2, 0], 3);
add('no hidden size', [3], 3, 0, [2, 4], 3);
add('prime sizes, padding', [7, 5], 7, 13, [3, 5], 5);
add('no padding', [6, 6], 6, 8, [3, 4], 4);
add('vec4, padding', [6, 4, 0], 6, 8, [4, 12], 8);
add('weight rows no multiple of 4', [9], 10, 8, [3, 25], 7);
add('tokens between spans unused', [16, 11], 17, 12, [2, 6], 3, 7);
for (const n of [31, 32, 33]) add('about a tile of labels', [5], 6, 12, [2, 4], n);
add('over 64 spans a width: slabs', [70, 65], 70, 4, [2, 3], 3);
testKernel('span-score', cases);

interface Workload {
  request: Parameters<Kernel['plan']>[0];
  concatBytes: number;
}

/** One sentence of `length` of 256 tokens, all spans of up to 10; d 768, dw 25 and 8 labels. */
function workload(length: number): Workload {
  const [l, d, maxWidth, dw, n] = [256, 768, 10, 25, 8];
  const spans = allSpans([length], maxWidth);
  return {
    request: {
      shapes: {
        x: [1, l, d],
        width_embedding: [maxWidth, dw],
        spans: [spans.length, 3],
        weight: [n, 2 * d + dw],
        bias: [n],
        grad_out: [spans.length, n],
      },
      params: {},
      caps: defaultCaps,
      host: { spans: Int32Array.from(spans.flat()) },
    },
    concatBytes: 4 * spans.length * (2 * d + dw),
  };
}

const bytesOf = (tensors: Readonly<Record<string, TensorSpec>>): number =>
  Object.values(tensors).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
const macsOf = (plan: Plan): number => plan.dispatches.reduce((sum, d) => sum + d.macs, 0);

test('span-score: takes under a tenth of the memory of the span matrix', (t) => {
  for (const length of [256, 255]) {
    const { request, concatBytes } = workload(length);
    const forward = spanScore.plan(request);
    const backward = (spanScore.backward as Kernel).plan(request);
    const forwardBytes = bytesOf(forward.scratch) + bytesOf(forward.outputs);
    const backwardBytes = bytesOf(backward.scratch);
    t.ok(forwardBytes < concatBytes / 10, `forward, ${length} tokens: ${forwardBytes} of ${concatBytes}`);
    t.ok(backwardBytes < concatBytes / 10, `backward, ${length} tokens: ${backwardBytes} of ${concatBytes}`);
    t.equal('clean' in backward.scratch, length < 256, 'x is copied only where a row of it is not named');
  }
  t.end();
});

test('span-score: multiplies tokens, not spans', (t) => {
  const { request } = workload(256);
  const [l, d, maxWidth, dw, n] = [256, 768, 10, 25, 8];
  const once = (2 * l * d + maxWidth * dw) * n;
  t.equal(macsOf(spanScore.plan(request)), once);
  t.equal(macsOf((spanScore.backward as Kernel).plan(request)), 2 * once, 'twice that for both gradients');
  t.end();
});

test('span-score: gradients of padded tokens are exactly 0', async (t) => {
  const { inputs } = cases.find((c) => c.name.startsWith('vec4, padding')) as Case;
  const gradX = await runtime.scope(() => {
    const upload = (name: string) => runtime.upload(Float32Array.from(inputs[name].data), inputs[name].shape);
    const names = ['x', 'width_embedding', 'weight', 'bias'];
    const tensors = Object.fromEntries(names.map((name) => [name, upload(name)]));
    const spans = { data: inputs.spans.data as Int32Array, shape: inputs.spans.shape };
    const gradOut = random([spans.shape[0], 8]);
    const result = runtime.kernel(
      spanScore.backward as Kernel,
      { ...tensors, grad_out: runtime.upload(Float32Array.from(gradOut.data), gradOut.shape) },
      { host: { spans }, wanted: ['grad_x'] },
    );
    return runtime.read(result.grad_x);
  });
  const [l, d] = [6, 8];
  [6, 4, 0].forEach((length, b) => {
    const row = (from: number, to: number) => gradX.subarray((b * l + from) * d, (b * l + to) * d);
    t.ok(
      row(0, length).every((v) => v !== 0),
      `sentence ${b}: tokens have a gradient`,
    );
    t.ok(
      row(length, l).every((v) => v === 0),
      `sentence ${b}: padding has none`,
    );
  });
});

test('span-score: spans, weight and bias that do not fit', (t) => {
  const shapes = { x: [2, 4, 3], width_embedding: [2, 1], weight: [5, 7], bias: [5] };
  throwsOnBadSpans(t, spanScore, shapes);
  const plan = (changed: Record<string, readonly number[]>): Plan =>
    spanScore.plan({
      shapes: { ...shapes, spans: [0, 3], ...changed },
      params: {},
      caps: defaultCaps,
      host: { spans: new Int32Array(0) },
    });
  t.throws(() => plan({ weight: [5, 6] }), /^InputError: span-score: input "weight" must have shape \[5,7\]/);
  t.throws(() => plan({ bias: [4] }), /input "bias" must have shape \[5\], got \[4\]/);
  t.end();
});
