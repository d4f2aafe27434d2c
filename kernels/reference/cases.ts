/**
 * Small inputs of every kernel, on which `spanwise verify` compares a device with the float64 references. The values
 * are those that float32 holds, so both sides start from the same numbers.
 */
import { philox4x32 } from '../shared/philox.ts';
import { sizeOf } from './shapes.ts';
import type { RefParams, RefTensor, RefTensors } from './types.ts';

export interface ReferenceCase {
  inputs: RefTensors;
  params: RefParams;
}

/** A source of float tensors with values in [-1, 1), the same for the same seed. */
export function randomTensors(seed: number): (...shape: number[]) => RefTensor {
  let tensors = 0;
  return (...shape) => {
    const number = tensors++;
    const data = new Float64Array(sizeOf(shape));
    for (let i = 0; i < data.length; i++)
      data[i] = Math.fround(philox4x32([i, number, 0, 0], [seed, 0])[0] / 2 ** 31 - 1);
    return { shape, data };
  };
}

const ints = (shape: readonly number[], ...values: number[]): RefTensor => ({
  shape,
  data: Int32Array.from(values),
});

type Random = ReturnType<typeof randomTensors>;

function recurrent(
  random: Random,
  gates: number,
  h: number,
  bidirectional: boolean,
  lengths: readonly number[] = [4, 2],
): ReferenceCase {
  const [b, d] = [lengths.length, 5];
  const inputs: RefTensors = { x: random(b, 4, d), lengths: ints([b], ...lengths) };
  for (const suffix of bidirectional ? ['', '_reverse'] : ['']) {
    inputs[`weight_ih_l0${suffix}`] = random(gates * h, d);
    inputs[`weight_hh_l0${suffix}`] = random(gates * h, h);
    inputs[`bias_ih_l0${suffix}`] = random(gates * h);
    inputs[`bias_hh_l0${suffix}`] = random(gates * h);
  }
  return { inputs, params: { bidirectional } };
}

/** Rows that a software device runs step by step. */
const manyRows = [4, 4, 2, 4, 4, 0, 4, 4, 4, 4, 3, 4];

const attentionCase = (random: Random, D: number, heads: number, more: RefTensors): ReferenceCase => ({
  inputs: { q: random(2, 5, D), k: random(2, 7, D), v: random(2, 7, D), ...more },
  params: { heads },
});

/** Numbers from 1/2 to 2, for standard deviations and weights of graphs. */
const positive = ({ shape, data }: RefTensor): RefTensor => ({
  shape,
  data: Float64Array.from(data, (v) => Math.fround(2 ** v)),
});

/** Spans of x [2, 6, d]: the first and last words, a repeated start, one of the widest. */
const spans = ints([5, 3], 0, 0, 1, 0, 2, 5, 1, 0, 3, 1, 0, 2, 1, 5, 6);

/** The cases of each kernel, by its name. */
const builders: Readonly<Record<string, (random: Random) => ReferenceCase[]>> = {
  adamw: (random) => [
    {
      // The second moment is a mean of squares.
      inputs: {
        param: random(37),
        grad: random(37),
        m: random(37),
        v: { shape: [37], data: random(37).data.map(Math.abs) },
      },
      params: { lr: 0.01, step: 3 },
    },
  ],
  add: (random) => [{ inputs: { a: random(3, 7), b: random(3, 7) }, params: {} }],
  attention: (random) => [
    attentionCase(random, 8, 2, { lengths: ints([2], 7, 4) }),
    attentionCase(random, 96, 1, {
      mask: ints([2, 5, 7], ...Array.from({ length: 70 }, (_, i) => Number(i % 3 > 0))),
    }),
    {
      // Packed.
      inputs: { q: random(11, 8), k: random(11, 8), v: random(11, 8), lengths: ints([3], 7, 0, 4) },
      params: { heads: 2 },
    },
  ],
  'binary-cross-entropy': (random) => [
    {
      inputs: {
        logits: random(4, 3),
        targets: ints([4, 3], ...Array.from({ length: 12 }, (_, i) => i % 2)),
        mask: ints([4, 3], ...Array.from({ length: 12 }, (_, i) => Number(i !== 5))),
      },
      params: {},
    },
  ],
  'clip-grad-norm': (random) => [
    { inputs: { grad0: random(9, 5), grad1: random(130) }, params: { maxNorm: 1 } },
  ],
  'column-sum': (random) => [{ inputs: { x: random(130, 7) }, params: {} }],
  concat: (random) => [{ inputs: { x0: random(3, 2), x1: random(3, 5), x2: random(3, 4) }, params: {} }],
  'context-attention': (random) => [
    {
      inputs: {
        ...{ q: random(2, 6, 8), k: random(2, 6, 8), v: random(2, 6, 8), mask_query: random(8) },
        ...{ spans, lengths: ints([2], 6, 6) },
      },
      params: { heads: 2 },
    },
  ],
  'cross-entropy': (random) => [
    { inputs: { logits: random(6, 5), targets: ints([6], 0, 4, -100, 2, 2, 1) }, params: {} },
  ],
  dropout: (random) => [{ inputs: { x: random(11, 13) }, params: { p: 0.3, seed: 7, offset: 11 } }],
  embedding: (random) => [
    { inputs: { ids: ints([2, 3], 4, 0, 4, 1, 4, 2), table: random(6, 9) }, params: {} },
    { inputs: { ids: ints([5], 1, -1, 0, -1, 1), table: random(3, 8) }, params: { padding: true } },
  ],
  'gaussian-kl': (random): ReferenceCase[] => [
    { inputs: { mu: random(5, 12), sigma: positive(random(5, 12)) }, params: { views: 3 } },
    {
      inputs: { mu: random(2, 6, 10), sigma: positive(random(2, 6, 10)), lengths: ints([2], 6, 4) },
      params: { views: 2 },
    },
  ],
  'graph-adjacency': (random) => [
    { inputs: { weights: positive(random(2, 3, 5, 5)), lengths: ints([2], 5, 3) }, params: {} },
  ],
  'graph-convolution': (random) => [
    {
      inputs: { adjacency: random(2, 3, 5, 5), x: random(2, 5, 12), lengths: ints([2], 5, 3) },
      params: {},
    },
  ],
  gru: (random) => [recurrent(random, 3, 6, true), recurrent(random, 3, 4, true, manyRows)],
  'layer-norm': (random): ReferenceCase[] => [
    {
      inputs: { x: random(5, 12), weight: random(12), bias: random(12), residual: random(5, 12) },
      params: {},
    },
    { inputs: { x: random(3, 257), weight: random(257), bias: random(257) }, params: { eps: 1e-6 } },
  ],
  linear: (random) => [
    { inputs: { x: random(7, 13), weight: random(5, 13), bias: random(5) }, params: { activation: 'gelu' } },
    { inputs: { x: random(2, 67, 36), weight: random(65, 36), bias: random(65) }, params: {} },
  ],
  lstm: (random) => [recurrent(random, 4, 6, true), recurrent(random, 4, 4, true, manyRows)],
  mul: (random) => [{ inputs: { a: random(3, 7), b: random(3, 7) }, params: {} }],
  'range-max-pool': (random) => [
    { inputs: { x: random(2, 6, 9), ranges: ints([4, 3], 0, 0, 6, 0, 2, 4, 1, 3, 3, 1, 1, 2) }, params: {} },
  ],
  scale: (random) => [
    { inputs: { x: random(3, 7) }, params: { factor: -2.5 } },
    { inputs: { x: random(3, 7) }, params: { factor: 1, offset: 0.01 } },
  ],
  'segment-attention': (random): ReferenceCase[] => [
    {
      inputs: {
        q: random(2, 7, 8),
        k: random(2, 7, 8),
        v: random(2, 7, 8),
        weights: random(2, 3),
        lengths: ints([2], 7, 4),
      },
      params: { heads: 2, scales: [1, 2, 5] },
    },
    {
      inputs: { q: random(2, 6, 16), k: random(2, 6, 16), v: random(2, 6, 16), lengths: ints([2], 6, 2) },
      params: { heads: 2, scales: [2, 3], projections: 'per-scale' },
    },
    {
      inputs: {
        q: random(2, 5, 6),
        k: random(2, 5, 6),
        v: random(2, 5, 6),
        weights: random(2, 5, 2, 2),
        lengths: ints([2], 3, 5),
      },
      params: { heads: 2, scales: [3, 1] },
    },
  ],
  'sliding-average-pool': (random) => [
    { inputs: { x: random(2, 6, 5), lengths: ints([2], 6, 2) }, params: { scales: [1, 2, 4] } },
    {
      inputs: { x: random(2, 17, 8), lengths: ints([2], 16, 17) },
      params: { scales: [7, 3, 2, 6, 4, 5, 9] },
    },
  ],
  softmax: (random) => [
    { inputs: { x: random(4, 9) }, params: {} },
    { inputs: { x: random(2, 515) }, params: {} },
  ],
  'span-enumerate': () => [{ inputs: { lengths: ints([3], 5, 0, 2) }, params: { maxWidth: 3 } }],
  'span-representation': (random) => [
    { inputs: { x: random(2, 6, 8), width_embedding: random(3, 5), spans }, params: {} },
  ],
  'span-score': (random) => [
    {
      inputs: {
        x: random(2, 6, 8),
        width_embedding: random(3, 5),
        spans,
        weight: random(4, 21),
        bias: random(4),
      },
      params: {},
    },
  ],
  split: (random) => [{ inputs: { x: random(3, 11) }, params: { widths: [2, 5, 4] } }],
  sum: (random) => [{ inputs: { x: random(9, 17) }, params: {} }],
  'visibility-attention': (random): ReferenceCase[] => [
    {
      inputs: {
        ...{ q: random(2, 7, 8), k: random(2, 7, 8), v: random(2, 7, 8) },
        kinds: ints([2, 7], 0, 0, 1, 2, 2, 2, 2, 2, 0, 2, 0, 1, 9, 9),
        groups: ints([2, 7], -1, -1, -1, 0, 1, 0, 1, 5, 5, 5, -1, -1, 5, 5),
        lengths: ints([2], 7, 5),
      },
      params: { heads: 2, sees: [0b101, 0b010, 0b001] },
    },
    {
      inputs: {
        ...{ q: random(1, 5, 6), k: random(1, 5, 6), v: random(1, 5, 6) },
        kinds: ints([1, 5], 0, 1, 0, 1, 1),
        groups: ints([1, 5], -1, -1, -1, -1, -1),
        lengths: ints([1], 5),
      },
      params: { heads: 2, sees: [0b11, 0b01] },
    },
  ],
  'weighted-sum': (random) => [
    { inputs: { weights: random(3), x0: random(37, 9), x1: random(37, 9), x2: random(37, 9) }, params: {} },
  ],
};

/** The cases of a kernel; none for one that has no entry here. */
export function referenceCases(kernel: string): ReferenceCase[] {
  return Object.hasOwn(builders, kernel) ? builders[kernel](randomTensors(1)) : [];
}

/** Inputs that are standard deviations, weights of a graph or means of squares. */
const positiveInputs: Readonly<Record<string, string>> = {
  adamw: 'v',
  'gaussian-kl': 'sigma',
  'graph-adjacency': 'weights',
};

/** A case of given shapes: its float inputs are random, as in the cases above; its integers are given. */
export function sampleCase(
  kernel: string,
  shapes: Readonly<Record<string, readonly number[]>>,
  host: Readonly<Record<string, Int32Array>>,
  params: RefParams,
): ReferenceCase {
  const random = randomTensors(1);
  const sample = (name: string, shape: readonly number[]): RefTensor => {
    if (Object.hasOwn(host, name)) return { shape, data: host[name] };
    return positiveInputs[kernel] === name ? positive(random(...shape)) : random(...shape);
  };
  const inputs = Object.entries(shapes).map(([name, shape]) => [name, sample(name, shape)] as const);
  return { inputs: Object.fromEntries(inputs), params };
}
