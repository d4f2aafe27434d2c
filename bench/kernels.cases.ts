/** Representative inputs of every kernel: about what a BERT-base model sees in a step of a few sentences. */
import { sizeOf } from '../kernels/plan.ts';
import type { RefParams, RefTensor, RefTensors } from '../kernels/reference/types.ts';
import { enumerateSpans } from '../src/tasks/spans/enumerate.ts';
import { randomValues } from './harness.ts';

export interface KernelCase {
  kernel: string;
  /** The shape in words. */
  shape: string;
  inputs: () => RefTensors;
  params?: RefParams;
}

let seed = 0;
const floats = (...shape: number[]): RefTensor => ({
  shape,
  data: Float64Array.from(randomValues(shape, seed++)),
});
const ints = (shape: readonly number[], value: (i: number) => number): RefTensor => ({
  shape,
  data: Int32Array.from({ length: sizeOf(shape) }, (_, i) => value(i)),
});
/** Weights as PyTorch starts recurrences, uniform within 1/√h: wider ones would make the states chaotic. */
const recurrentWeights = (h: number, ...shape: number[]): RefTensor => {
  const { data } = floats(...shape);
  return { shape, data: (data as Float64Array).map((v) => Math.fround(v / Math.sqrt(h))) };
};
/** Values at least 0, for second moments. */
const squares = (...shape: number[]): RefTensor => {
  const { data } = floats(...shape);
  return { shape, data: (data as Float64Array).map((v) => Math.fround(v * v)) };
};

/** From 1/2 to 2: standard deviations, weights of graphs. */
const positive = (...shape: number[]): RefTensor => {
  const { data } = floats(...shape);
  return { shape, data: (data as Float64Array).map((v) => Math.fround(2 ** v)) };
};

function attention(queries: number, keys: number, heads: number, more: RefTensors = {}): () => RefTensors {
  const [B, D] = [2, 96 * heads];
  return () => ({ q: floats(B, queries, D), k: floats(B, keys, D), v: floats(B, keys, D), ...more });
}

function recurrent(gates: number): () => RefTensors {
  const [B, L, d, h] = [4, 64, 256, 128];
  return () => ({
    x: floats(B, L, d),
    lengths: ints([B], (b) => L - 7 * b),
    ...Object.fromEntries(
      ['', '_reverse'].flatMap((suffix) => [
        [`weight_ih_l0${suffix}`, recurrentWeights(h, gates * h, d)],
        [`weight_hh_l0${suffix}`, recurrentWeights(h, gates * h, h)],
        [`bias_ih_l0${suffix}`, recurrentWeights(h, gates * h)],
        [`bias_hh_l0${suffix}`, recurrentWeights(h, gates * h)],
      ]),
    ),
  });
}

/** Sentences of 48 words, BERT-base's 768, width table [10, 150]; every span of at most ten words. */
function spanInputs(): RefTensors {
  const [B, L] = [2, 48];
  const spans = enumerateSpans(new Array<number>(B).fill(L), 10);
  return {
    x: floats(B, L, 768),
    width_embedding: floats(10, 150),
    spans: { shape: [spans.length / 3, 3], data: spans },
  };
}

/** From 220 candidates and 20 labels down. */
const graphNodes = (): RefTensor => ints([8], (b) => 240 - 15 * b);

/** All cases; a kernel that is not there yet is passed over. */
export const kernelCases: readonly KernelCase[] = [
  {
    kernel: 'linear',
    shape: '512x768x768',
    inputs: () => ({ x: floats(512, 768), weight: floats(768, 768), bias: floats(768) }),
  },
  {
    kernel: 'linear',
    shape: '256x768x3072 gelu',
    inputs: () => ({ x: floats(256, 768), weight: floats(3072, 768), bias: floats(3072) }),
    params: { activation: 'gelu' },
  },
  { kernel: 'attention', shape: 'B2 H8x96 256x256', inputs: attention(256, 256, 8), params: { heads: 8 } },
  {
    kernel: 'attention',
    shape: 'B2 H8x96 48x48, lengths',
    inputs: attention(48, 48, 8, { lengths: ints([2], (b) => 48 - 11 * b) }),
    params: { heads: 8 },
  },
  {
    kernel: 'context-attention',
    shape: 'B2 H8x96 L48 w10',
    inputs: () => ({
      ...{ ...attention(48, 48, 8)(), mask_query: floats(768) },
      ...{ spans: spanInputs().spans, lengths: ints([2], () => 48) },
    }),
    params: { heads: 8 },
  },
  {
    kernel: 'segment-attention',
    shape: 'B2 H8x96 L256, scales 2-6',
    inputs: attention(256, 256, 8, { weights: floats(5), lengths: ints([2], (b) => 256 - 64 * b) }),
    params: { heads: 8, scales: [2, 3, 4, 5, 6] },
  },
  {
    kernel: 'sliding-average-pool',
    shape: 'B2 L256 d768, scales 2-6',
    inputs: () => ({ x: floats(2, 256, 768), lengths: ints([2], (b) => 256 - 64 * b) }),
    params: { scales: [2, 3, 4, 5, 6] },
  },
  {
    kernel: 'layer-norm',
    shape: '512x768, residual',
    inputs: () => ({
      ...{ x: floats(512, 768), residual: floats(512, 768) },
      ...{ weight: floats(768), bias: floats(768) },
    }),
    params: { eps: 1e-12 },
  },
  { kernel: 'softmax', shape: '2048x256', inputs: () => ({ x: floats(2048, 256) }) },
  {
    kernel: 'embedding',
    shape: '512 of 8192x768',
    inputs: () => ({ ids: ints([512], (i) => (i * 8191) % 6007), table: floats(8192, 768) }),
  },
  {
    kernel: 'span-enumerate',
    shape: 'B64 L128 w10',
    inputs: () => ({ lengths: ints([64], (b) => 128 - b) }),
    params: { maxWidth: 10 },
  },
  { kernel: 'span-representation', shape: 'B2 L48 d768 w10', inputs: spanInputs },
  {
    kernel: 'span-score',
    shape: 'B2 L48 d768 w10 N6',
    inputs: () => ({ ...spanInputs(), weight: floats(6, 1686), bias: floats(6) }),
  },
  {
    kernel: 'range-max-pool',
    shape: 'B4 L128 d768, 512 ranges',
    inputs: () => ({
      x: floats(4, 128, 768),
      ranges: ints([512, 3], (i) => {
        const [range, column] = [Math.floor(i / 3), i % 3];
        const start = (7 * range) % 120;
        return [range % 4, start, start + 1 + (range % 8)][column];
      }),
    }),
  },
  {
    kernel: 'lstm',
    shape: 'B4 L64 d256 h128, both ways',
    inputs: recurrent(4),
    params: { bidirectional: true },
  },
  {
    kernel: 'gru',
    shape: 'B4 L64 d256 h128, both ways',
    inputs: recurrent(3),
    params: { bidirectional: true },
  },
  {
    kernel: 'visibility-attention',
    shape: 'B4 H12x64, 40 text, 20 annotation, 400 marker tokens',
    inputs: () => ({
      ...{ q: floats(4, 460, 768), k: floats(4, 460, 768), v: floats(4, 460, 768) },
      kinds: ints([4, 460], (i) => (i % 460 < 40 ? 0 : i % 460 < 60 ? 1 : 2)),
      groups: ints([4, 460], (i) => (i % 460 < 60 ? -1 : (i % 460) % 200)),
      lengths: ints([4], () => 460),
    }),
    params: { heads: 12, sees: [0b101, 0b010, 0b001] },
  },
  {
    kernel: 'gaussian-kl',
    shape: 'B8 N240 D768, 2 views',
    inputs: () => ({ mu: floats(8, 240, 768), sigma: positive(8, 240, 768), lengths: graphNodes() }),
    params: { views: 2 },
  },
  {
    kernel: 'graph-adjacency',
    shape: 'B8 N240, 2 views',
    inputs: () => ({ weights: positive(8, 2, 240, 240), lengths: graphNodes() }),
  },
  {
    kernel: 'graph-convolution',
    shape: 'B8 N240 g768, 2 views',
    inputs: () => ({ adjacency: floats(8, 2, 240, 240), x: floats(8, 240, 768), lengths: graphNodes() }),
  },
  {
    kernel: 'cross-entropy',
    shape: '8192x9',
    inputs: () => ({ logits: floats(8192, 9), targets: ints([8192], (i) => (i % 11 === 0 ? -100 : i % 9)) }),
    params: { ignoreIndex: -100 },
  },
  {
    kernel: 'binary-cross-entropy',
    shape: '8192x5',
    inputs: () => ({ logits: floats(8192, 5), targets: ints([8192, 5], (i) => Number(i % 17 === 0)) }),
  },
  {
    kernel: 'dropout',
    shape: '512x768 p0.1',
    inputs: () => ({ x: floats(512, 768) }),
    params: { p: 0.1, seed: 1, offset: 2 },
  },
  {
    kernel: 'concat',
    shape: '512x768, twice',
    inputs: () => ({ x0: floats(512, 768), x1: floats(512, 768) }),
  },
  {
    kernel: 'split',
    shape: '512x5120 in 5',
    inputs: () => ({ x: floats(512, 5120) }),
    params: { widths: [1024, 1024, 1024, 1024, 1024] },
  },
  {
    kernel: 'weighted-sum',
    shape: '6 of 512x768',
    inputs: () => ({
      weights: floats(6),
      ...Object.fromEntries([0, 1, 2, 3, 4, 5].map((i) => [`x${i}`, floats(512, 768)])),
    }),
  },
  { kernel: 'add', shape: '512x768', inputs: () => ({ a: floats(512, 768), b: floats(512, 768) }) },
  { kernel: 'mul', shape: '512x768', inputs: () => ({ a: floats(512, 768), b: floats(512, 768) }) },
  { kernel: 'scale', shape: '512x768', inputs: () => ({ x: floats(512, 768) }), params: { factor: 0.75 } },
  { kernel: 'sum', shape: '512x768', inputs: () => ({ x: floats(512, 768) }) },
  { kernel: 'column-sum', shape: '4096x768', inputs: () => ({ x: floats(4096, 768) }) },
  {
    kernel: 'adamw',
    shape: '3072x768',
    inputs: () => ({
      ...{ param: floats(3072, 768), grad: floats(3072, 768) },
      ...{ m: floats(3072, 768), v: squares(3072, 768) },
    }),
    params: { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, step: 3 },
  },
  {
    kernel: 'clip-grad-norm',
    shape: '4 of 768x768',
    inputs: () => Object.fromEntries([0, 1, 2, 3].map((i) => [`grad${i}`, floats(768, 768)])),
    params: { maxNorm: 1 },
  },
];
