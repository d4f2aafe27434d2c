import type { RefTensors } from '../../kernels/reference/types.ts';
import { ints, random, testKernel, type Case } from './harness.ts';
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
