/**
 * Inputs that leave no lane idle and no tile cut: sizes are multiples of what a lane, a workgroup or a tile takes, and
 * nothing is padding. What is executed is then what the formulas say; work on masked lanes they never count.
 */
import { randomTensors, type ReferenceCase } from '../../../kernels/reference/cases.ts';
import type { RefTensor, RefTensors } from '../../../kernels/reference/types.ts';

const random = randomTensors(5);
const ints = (shape: readonly number[], value: (i: number) => number): RefTensor => ({
  shape,
  data: Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i)),
});
const positive = ({ shape, data }: RefTensor): RefTensor => ({
  shape,
  data: Float64Array.from(data, (x) => Math.fround(2 ** x)),
});
const one = (inputs: RefTensors, params: ReferenceCase['params'] = {}): ReferenceCase[] => [
  { inputs, params },
];

const qkv = (...shape: number[]): RefTensors => ({
  q: random(...shape),
  k: random(...shape),
  v: random(...shape),
});

/** Spans of the first row, by their first token and the one after their last. */
const spans = (...ends: [start: number, end: number][]): RefTensor =>
  ints([ends.length, 3], (i) => [0, ...ends[Math.floor(i / 3)]][i % 3]);

function recurrent(gates: number): ReferenceCase[] {
  // By rows, and step by step.
  return [
    [4, 4, 16, 64],
    [16, 2, 16, 64],
  ].flatMap(([b, length, d, h]) =>
    one({
      ...{ x: random(b, length, d), lengths: ints([b], () => length) },
      ...{ weight_ih_l0: random(gates * h, d), weight_hh_l0: random(gates * h, h) },
      ...{ bias_ih_l0: random(gates * h), bias_hh_l0: random(gates * h) },
    }),
  );
}

const activations = ['relu', 'gelu', 'tanh', 'sigmoid', 'gelu_tanh', 'softplus'];

export const wholeCases: Readonly<Record<string, () => ReferenceCase[]>> = {
  adamw: () => {
    const state = { param: random(64), grad: random(64), m: random(64), v: positive(random(64)) };
    const params = { lr: 0.01, step: 3 };
    return [...one(state, params), ...one({ ...state, copy: random(64) }, params)];
  },
  add: () => one({ a: random(4, 64), b: random(4, 64) }),
  attention: () => one(qkv(1, 64, 16), { heads: 1 }),
  'binary-cross-entropy': () => one({ logits: random(16, 16), targets: ints([16, 16], (i) => i % 2) }),
  'clip-grad-norm': () => {
    const grads = { grad0: random(256, 4), grad1: random(1024) };
    return [...one(grads, { maxNorm: 1 }), ...one(grads, { maxNorm: 1, lossScale: 256 })];
  },
  'column-sum': () => one({ x: random(128, 64) }),
  concat: () => one({ x0: random(16, 4), x1: random(16, 8), x2: random(16, 4) }),
  'context-attention': () =>
    one(
      { ...qkv(1, 16, 16), mask_query: random(16), spans: spans([7, 8]), lengths: ints([1], () => 16) },
      { heads: 1 },
    ),
  'cross-entropy': () => one({ logits: random(64, 16), targets: ints([64], (i) => i % 16) }),
  dropout: () => one({ x: random(16, 64) }, { p: 0.25, seed: 7, offset: 11 }),
  embedding: () => one({ ids: ints([4, 4], (i) => i), table: random(16, 16) }),
  'gaussian-kl': () => one({ mu: random(16, 14), sigma: positive(random(16, 14)) }, { views: 2 }),
  'graph-adjacency': () => one({ weights: positive(random(1, 2, 16, 16)), lengths: ints([1], () => 16) }),
  'graph-convolution': () =>
    one({ adjacency: random(1, 2, 16, 16), x: random(1, 16, 32), lengths: ints([1], () => 16) }),
  gru: () => recurrent(3),
  'layer-norm': () => one({ x: random(64, 64), weight: random(64), bias: random(64) }),
  linear: () => [
    ...one({ x: random(64, 16), weight: random(64, 16), bias: random(64) }),
    ...one({ x: random(16, 16), weight: random(16, 16) }),
    ...one({ x: random(128, 32), weight: random(128, 32), bias: random(128) }),
    ...activations.flatMap((activation) =>
      one({ x: random(16, 16), weight: random(16, 16), bias: random(16) }, { activation }),
    ),
    ...['none', 'relu', 'gelu'].flatMap((activation) =>
      one({ x: random(64, 16), weight: random(64, 16), bias: random(64) }, { activation, dtype: 'f16' }),
    ),
  ],
  lstm: () => recurrent(4),
  mul: () => one({ a: random(4, 64), b: random(4, 64) }),
  'range-max-pool': () =>
    one({
      x: random(1, 16, 16),
      ranges: ints([4, 3], (i) => [0, Math.floor(i / 3) * 4, Math.floor(i / 3) * 4 + 4][i % 3]),
    }),
  scale: () => [
    ...one({ x: random(4, 64) }, { factor: 2 }),
    ...one({ x: random(4, 64) }, { factor: 2, offset: 1 }),
  ],
  'segment-attention': () =>
    // Sums in registers, and of segments that are too long for them.
    [[2, 3], [33]].flatMap((scales) =>
      one(
        { ...qkv(1, 64, 16), weights: random(scales.length), lengths: ints([1], () => 64) },
        { heads: 1, scales },
      ),
    ),
  'sliding-average-pool': () =>
    one({ x: random(1, 16, 16), lengths: ints([1], () => 16) }, { scales: [1, 2, 4] }),
  softmax: () => [
    ...one({ x: random(64, 16) }),
    ...one({ x: random(64, 17) }),
    ...one({ x: random(16, 256) }),
  ],
  'span-enumerate': () => one({ lengths: ints([4], () => 8) }, { maxWidth: 3 }),
  'span-representation': () =>
    one({
      ...{ x: random(1, 8, 16), width_embedding: random(4, 16) },
      spans: spans([0, 2], [2, 5]),
    }),
  'span-score': () =>
    one({
      ...{ x: random(1, 16, 16), width_embedding: random(16, 16), weight: random(16, 48), bias: random(16) },
      spans: spans([0, 2], [2, 5], [5, 9]),
    }),
  split: () => one({ x: random(16, 16) }, { widths: [4, 8, 4] }),
  sum: () => one({ x: random(64, 16) }),
  'visibility-attention': () => [
    ...one(
      {
        ...qkv(1, 16, 16),
        ...{ kinds: ints([1, 16], () => 0), groups: ints([1, 16], () => -1), lengths: ints([1], () => 16) },
      },
      { heads: 1, sees: [1] },
    ),
    // Two kinds that do not see one another, but for a member of its group each.
    ...one(
      {
        ...qkv(1, 8, 16),
        ...{ kinds: ints([1, 8], (i) => Number(i > 3)), groups: ints([1, 8], (i) => i % 4) },
        lengths: ints([1], () => 8),
      },
      { heads: 1, sees: [1, 2] },
    ),
  ],
  'weighted-sum': () => one({ weights: random(2), x0: random(64, 16), x1: random(64, 16) }),
};
