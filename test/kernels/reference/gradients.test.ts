import test from 'tape';
import { references } from '../../../kernels/reference/index.ts';
import type { RefParams, RefTensor, RefTensors } from '../../../kernels/reference/types.ts';
import { gradcheck, ints, random } from './gradcheck.ts';

interface GradientCase {
  label: string;
  inputs: RefTensors;
  params?: RefParams;
}

function attentionCase(B: number, Lq: number, Lk: number, D: number, heads: number): GradientCase {
  return {
    label: `B ${B} Lq ${Lq} Lk ${Lk} D ${D} heads ${heads}`,
    inputs: { q: random([B, Lq, D]), k: random([B, Lk, D]), v: random([B, Lk, D]) },
    params: { heads },
  };
}

function visibilityCase(
  label: string,
  lengths: number[],
  L: number,
  kinds: number[],
  groups: number[],
  sees: number[],
): GradientCase {
  const B = lengths.length;
  const [q, k, v] = [random([B, L, 4]), random([B, L, 4]), random([B, L, 4])];
  const tables = { kinds: ints([B, L], kinds), groups: ints([B, L], groups), lengths: ints([B], lengths) };
  return { label, inputs: { q, k, v, ...tables }, params: { heads: 2, sees } };
}

function spanInputs(
  B: number,
  L: number,
  d: number,
  maxWidth: number,
  dw: number,
  spans: number[],
): RefTensors {
  return {
    x: random([B, L, d]),
    width_embedding: random([maxWidth, dw]),
    spans: ints([spans.length / 3, 3], spans),
  };
}

const spans = [0, 0, 1, 0, 1, 4, 1, 4, 5, 1, 2, 4, 1, 2, 4, 0, 0, 3];

function contextCase(label: string, lengths: number[], L: number, D: number, heads: number, rows: number[]) {
  const sizes = [lengths.length, L, D];
  return {
    label,
    inputs: {
      ...{ q: random(sizes, 2), k: random(sizes, 2), v: random(sizes), mask_query: random([D], 2) },
      ...{ spans: ints([rows.length / 3, 3], rows), lengths: ints([lengths.length], lengths) },
    },
    params: { heads },
  };
}

function spanScoreCase(label: string, d: number, dw: number, N: number, rows: number[]): GradientCase {
  return {
    label,
    inputs: { ...spanInputs(2, 5, d, 3, dw, rows), weight: random([N, 2 * d + dw]), bias: random([N]) },
  };
}

function recurrentCase(
  gates: number,
  lengths: number[],
  L: number,
  d: number,
  h: number,
  bidirectional: boolean,
) {
  const inputs: RefTensors = { x: random([lengths.length, L, d]), lengths: ints([lengths.length], lengths) };
  for (const suffix of bidirectional ? ['', '_reverse'] : ['']) {
    inputs[`weight_ih_l0${suffix}`] = random([gates * h, d]);
    inputs[`weight_hh_l0${suffix}`] = random([gates * h, h]);
    inputs[`bias_ih_l0${suffix}`] = random([gates * h]);
    inputs[`bias_hh_l0${suffix}`] = random([gates * h]);
  }
  return {
    label: `lengths ${lengths} L ${L} d ${d} h ${h} ${bidirectional}`,
    inputs,
    params: { bidirectional },
  };
}

const recurrentCases = (gates: number): GradientCase[] => [
  recurrentCase(gates, [3, 0, 4], 4, 3, 2, true),
  recurrentCase(gates, [5], 5, 1, 3, false),
  recurrentCase(gates, [1, 1], 1, 2, 1, true),
  recurrentCase(gates, [], 3, 2, 2, true),
  recurrentCase(gates, [0], 0, 2, 1, false),
];

/** Numbers from 1/2 to 2. */
const positive = ({ shape, data }: RefTensor): RefTensor => ({
  shape,
  data: Float64Array.from(data, (v) => 2 ** v),
});

const cases: Record<string, GradientCase[]> = {
  linear: [
    ...['none', 'relu', 'gelu', 'gelu_tanh', 'tanh', 'sigmoid', 'softplus'].map((activation) => ({
      label: activation,
      inputs: { x: random([2, 3, 5], 2), weight: random([7, 5]), bias: random([7]) },
      params: { activation },
    })),
    { label: 'no bias', inputs: { x: random([3, 1]), weight: random([1, 1]) } },
    { label: 'one row', inputs: { x: random([4]), weight: random([3, 4]), bias: random([3]) } },
    { label: 'no rows', inputs: { x: random([0, 4]), weight: random([3, 4]), bias: random([3]) } },
    { label: 'K 0', inputs: { x: random([2, 0]), weight: random([3, 0]), bias: random([3]) } },
  ],
  'layer-norm': [
    { label: 'd 7', inputs: { x: random([2, 3, 7]), weight: random([7]), bias: random([7]) } },
    {
      label: 'residual',
      inputs: { x: random([3, 5]), weight: random([5]), bias: random([5]), residual: random([3, 5]) },
      params: { eps: 1e-2 },
    },
    { label: 'd 1', inputs: { x: random([2, 1]), weight: random([1]), bias: random([1]) } },
    { label: 'no rows', inputs: { x: random([0, 3]), weight: random([3]), bias: random([3]) } },
  ],
  softmax: [
    { label: 'n 5', inputs: { x: random([2, 3, 5], 4) } },
    { label: 'n 1', inputs: { x: random([3, 1]) } },
    { label: 'n 0', inputs: { x: random([3, 0]) } },
    { label: 'no rows', inputs: { x: random([0, 3]) } },
  ],
  embedding: [
    { label: 'repeated ids', inputs: { ids: ints([2, 3], [4, 0, 4, 1, 4, 0]), table: random([5, 3]) } },
    { label: 'scalar id', inputs: { ids: ints([], [2]), table: random([3, 2]) } },
    { label: 'no ids', inputs: { ids: ints([0], []), table: random([3, 2]) } },
  ],
  attention: [
    attentionCase(2, 3, 5, 6, 2),
    attentionCase(1, 1, 1, 1, 1),
    attentionCase(1, 4, 1, 3, 3),
    attentionCase(2, 0, 3, 2, 1),
    attentionCase(2, 3, 0, 2, 1),
    {
      label: 'mask with an empty row',
      inputs: {
        ...attentionCase(1, 3, 4, 4, 2).inputs,
        mask: ints([1, 3, 4], [1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0]),
      },
      params: { heads: 2 },
    },
    {
      label: 'lengths',
      inputs: { ...attentionCase(3, 2, 4, 2, 1).inputs, lengths: ints([3], [4, 0, 2]) },
      params: { heads: 1 },
    },
    {
      label: 'mask and lengths',
      inputs: {
        ...attentionCase(1, 2, 3, 2, 2).inputs,
        mask: ints([1, 2, 3], [1, 0, 1, 0, 0, 1]),
        lengths: ints([1], [2]),
      },
      params: { heads: 2 },
    },
  ],
  'visibility-attention': [
    visibilityCase('text, annotation, markers', [5], 5, [0, 0, 1, 2, 2], [-1, -1, -1, 4, 4], [5, 2, 1]),
    visibilityCase('padding', [3, 0], 4, [1, 0, 1, 99, 7, 7, 7, 7], [-1, 0, 0, 0, -7, 3, 3, 3], [2, 0]),
    visibilityCase('no rows', [], 3, [], [], [1]),
  ],
  'context-attention': [
    contextCase('overlapping and repeated spans', [5, 5], 5, 4, 2, spans),
    contextCase(
      'padding, a row without spans, a span that covers its row',
      [3, 2, 0],
      4,
      2,
      1,
      [0, 1, 2, 0, 0, 3],
    ),
    contextCase('no spans', [2], 3, 2, 1, []),
    contextCase('one token', [1], 1, 1, 1, [0, 0, 1]),
  ],
  'span-representation': [
    { label: 'overlapping spans', inputs: spanInputs(2, 5, 3, 3, 2, spans) },
    { label: 'no spans', inputs: spanInputs(2, 5, 3, 3, 2, []) },
    { label: 'dw 0', inputs: spanInputs(2, 5, 1, 3, 0, spans) },
  ],
  'span-score': [
    spanScoreCase('overlapping spans', 3, 2, 4, spans),
    spanScoreCase('no spans', 3, 2, 4, []),
    spanScoreCase('one class, d 1', 1, 1, 1, spans),
  ],
  'range-max-pool': [
    {
      label: 'overlapping and empty ranges',
      inputs: { x: random([2, 6, 5]), ranges: ints([5, 3], [0, 0, 6, 0, 2, 5, 1, 3, 3, 1, 4, 2, 1, 5, 6]) },
    },
    { label: 'no ranges', inputs: { x: random([1, 3, 2]), ranges: ints([0, 3], []) } },
    { label: 'L 0', inputs: { x: random([1, 0, 2]), ranges: ints([1, 3], [0, 0, 0]) } },
  ],
  dropout: [
    { label: 'p 0.4', inputs: { x: random([3, 7]) }, params: { p: 0.4, seed: 11, offset: 5 } },
    { label: 'p 1', inputs: { x: random([5]) }, params: { p: 1, seed: 1, offset: 0 } },
    { label: 'empty', inputs: { x: random([0]) }, params: { p: 0.5, seed: 1, offset: 0 } },
  ],
  'cross-entropy': [
    {
      label: 'ignored rows',
      inputs: { logits: random([5, 3], 4), targets: ints([5], [0, -100, 2, 2, -100]) },
    },
    {
      label: 'ignoreIndex 1',
      inputs: { logits: random([3, 2]), targets: ints([3], [1, 0, 0]) },
      params: { ignoreIndex: 1 },
    },
    { label: 'one class', inputs: { logits: random([2, 1]), targets: ints([2], [0, 0]) } },
    { label: 'nothing counted', inputs: { logits: random([2, 3]), targets: ints([2], [-100, -100]) } },
    { label: 'no rows', inputs: { logits: random([0, 3]), targets: ints([0], []) } },
  ],
  'binary-cross-entropy': [
    { label: 'no mask', inputs: { logits: random([2, 3], 4), targets: ints([2, 3], [0, 1, 1, 0, 0, 1]) } },
    {
      label: 'mask',
      inputs: { logits: random([5]), targets: ints([5], [0, 1, 1, 0, 1]), mask: ints([5], [1, 0, 1, 1, 0]) },
    },
    { label: 'scalar', inputs: { logits: random([]), targets: ints([], [1]) } },
    { label: 'empty', inputs: { logits: random([0]), targets: ints([0], []) } },
  ],
  'gaussian-kl': [
    {
      label: 'two views',
      inputs: { mu: random([4, 6]), sigma: positive(random([4, 6])) },
      params: { views: 2 },
    },
    {
      label: 'lengths',
      inputs: {
        mu: random([3, 4, 3]),
        sigma: positive(random([3, 4, 3])),
        lengths: ints([3], [4, 0, 2]),
      },
      params: { views: 1 },
    },
    { label: 'no nodes', inputs: { mu: random([0, 2]), sigma: random([0, 2]) }, params: { views: 1 } },
  ],
  'graph-adjacency': [
    { label: 'lengths', inputs: { weights: positive(random([3, 2, 3, 3])), lengths: ints([3], [3, 0, 2]) } },
    { label: 'no nodes', inputs: { weights: random([2, 1, 0, 0]), lengths: ints([2], [0, 0]) } },
  ],
  'graph-convolution': [
    {
      label: 'lengths',
      inputs: { adjacency: random([3, 2, 4, 4]), x: random([3, 4, 6]), lengths: ints([3], [4, 0, 3]) },
    },
    {
      label: 'no columns',
      inputs: { adjacency: random([1, 2, 2, 2]), x: random([1, 2, 0]), lengths: ints([1], [2]) },
    },
  ],
  lstm: recurrentCases(4),
  gru: recurrentCases(3),
  add: [
    { label: 'matrix', inputs: { a: random([2, 3]), b: random([2, 3]) } },
    { label: 'scalar', inputs: { a: random([]), b: random([]) } },
  ],
  mul: [
    { label: 'matrix', inputs: { a: random([2, 3]), b: random([2, 3]) } },
    { label: 'empty', inputs: { a: random([0]), b: random([0]) } },
  ],
  scale: [{ label: 'matrix', inputs: { x: random([2, 3]) }, params: { factor: -2.5 } }],
  concat: [
    {
      label: 'four parts',
      inputs: { x0: random([2, 3]), x1: random([2, 1]), x2: random([2, 0]), x3: random([2, 4]) },
    },
    { label: 'one part', inputs: { x0: random([2, 2, 3]) } },
    { label: 'no rows', inputs: { x0: random([0, 3]), x1: random([0, 2]) } },
  ],
  sum: [
    { label: 'matrix', inputs: { x: random([3, 4]) } },
    { label: 'empty', inputs: { x: random([0, 4]) } },
  ],
  split: [
    { label: 'three parts', inputs: { x: random([2, 6]) }, params: { widths: [1, 3, 2] } },
    { label: 'no rows', inputs: { x: random([0, 3]) }, params: { widths: [3] } },
  ],
  'weighted-sum': [
    { label: 'two', inputs: { weights: random([2]), x0: random([2, 5]), x1: random([2, 5]) } },
    { label: 'empty', inputs: { weights: random([1]), x0: random([0]) } },
  ],
  'column-sum': [
    { label: 'matrix', inputs: { x: random([3, 4]) } },
    { label: 'no rows', inputs: { x: random([0, 4]) } },
    { label: 'no columns', inputs: { x: random([3, 0]) } },
  ],
};

for (const [kernel, kernelCases] of Object.entries(cases)) {
  test(`${kernel}: the backward agrees with finite differences`, (t) => {
    for (const { label, inputs, params } of kernelCases)
      gradcheck(t, label, references[kernel], inputs, params);
    t.end();
  });
}

test('span-enumerate and adamw have no gradient', (t) => {
  t.notOk(references['span-enumerate'].backward);
  t.notOk(references.adamw.backward);
  t.end();
});
