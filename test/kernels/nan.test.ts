/** A NaN goes where the float64 references say: over the whole row of a softmax, and to no other item of a batch. */
import test from 'tape';
import { crossEntropy } from '../../kernels/cross-entropy.ts';
import { kernelNamed } from '../../kernels/index.ts';
import { randomTensors, referenceCases, type ReferenceCase } from '../../kernels/reference/cases.ts';
import { references } from '../../kernels/reference/index.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import { softmax } from '../../kernels/softmax.ts';
import { forwardBackward, relativeError, runtime, TOLERANCE, withCaps } from './harness.ts';

const random = randomTensors(5);

/** Few scales: pipelines of more take a CPU seconds to compile. */
const narrow: ReferenceCase = {
  inputs: {
    ...{ q: random(2, 7, 8), k: random(2, 7, 8), v: random(2, 7, 8), weights: random(2, 2) },
    lengths: { shape: [2], data: Int32Array.of(7, 4) },
  },
  params: { heads: 2, scales: [1, 2] },
};

/** Scales too wide for registers. */
const wide: ReferenceCase = {
  inputs: {
    ...{ q: random(2, 37, 4), k: random(2, 37, 4), v: random(2, 37, 4), weights: random(2) },
    lengths: { shape: [2], data: Int32Array.of(37, 36) },
  },
  params: { heads: 1, scales: [2, 35] },
};

/** Keys that are masked beside keys past the lengths. */
const masked: ReferenceCase = {
  inputs: {
    ...referenceCases('attention')[0].inputs,
    mask: { shape: [2, 5, 7], data: Int32Array.from({ length: 70 }, (_, i) => Number(i % 3 > 0)) },
  },
  params: { heads: 2 },
};

/**
 * Kernels with a softmax or another reduction, and whether a NaN may reach further in its own item of the batch than the
 * reference says: into padding and pairs that do not count, whose weight is 0, by 0 · NaN.
 */
const kernels: Readonly<Record<string, { wholeItem?: true; cases?: ReferenceCase[]; parts?: number[] }>> = {
  softmax: {},
  'cross-entropy': {},
  'binary-cross-entropy': {},
  'clip-grad-norm': {},
  'layer-norm': {},
  'range-max-pool': { parts: [0.1, 0.3] },
  attention: { wholeItem: true, cases: [masked] },
  'context-attention': { wholeItem: true },
  'segment-attention': { wholeItem: true, cases: [narrow, wide] },
  'visibility-attention': { wholeItem: true, cases: referenceCases('visibility-attention').slice(0, 1) },
};

/** `tensor` with a NaN `part` of the way through its elements. */
function withNaN({ shape, data }: RefTensor, part: number): RefTensor {
  const values = Float64Array.from(data);
  values[Math.floor(part * data.length)] = NaN;
  return { shape, data: values };
}

/** What is wrong with a result, or undefined. */
function complaint(actual: ArrayLike<number>, expected: RefTensor, wholeItem: boolean): string | undefined {
  const size = wholeItem ? expected.data.length / (expected.shape[0] ?? 1) : 1;
  const items = new Set<number>();
  expected.data.forEach((v, i) => void (Number.isNaN(v) && items.add(Math.floor(i / size))));
  const missing = expected.data.findIndex((v, i) => Number.isNaN(v) && !Number.isNaN(actual[i]));
  if (missing >= 0) return `element ${missing} is ${actual[missing]}, not NaN`;
  const surplus = expected.data.findIndex(
    (_, i) => Number.isNaN(actual[i]) && !items.has(Math.floor(i / size)),
  );
  if (surplus >= 0) return `element ${surplus} is NaN, not ${expected.data[surplus]}`;
  const numbers = (values: ArrayLike<number>): Float64Array =>
    Float64Array.from(values, (v, i) => (Number.isNaN(actual[i]) ? 0 : v));
  const error = relativeError(numbers(actual), numbers(expected.data));
  return error <= TOLERANCE ? undefined : `the numbers beside: relative error ${error.toExponential(1)}`;
}

for (const [name, { wholeItem = false, cases = referenceCases(name), parts = [0.3, 0.55] }] of Object.entries(
  kernels,
))
  test(`${name}: a NaN in each input and gradient spreads as in the reference`, async (t) => {
    const kernel = kernelNamed(name);
    const reference = references[name];
    for (const [number, { inputs, params }] of cases.entries()) {
      const outputs = Object.entries(reference.forward(inputs, params));
      const grads: RefTensors = Object.fromEntries(
        reference.backward ? outputs.map(([port, { shape }]) => [`grad_${port}`, random(...shape)]) : [],
      );
      const all = { ...inputs, ...grads };
      const floats = Object.keys(all).filter((key) => all[key].data instanceof Float64Array);
      for (const poisoned of floats)
        for (const part of parts) {
          const put = (tensors: RefTensors): RefTensors =>
            poisoned in tensors ? { ...tensors, [poisoned]: withNaN(all[poisoned], part) } : tensors;
          const given = put(inputs);
          const expected = {
            ...reference.forward(given, params),
            ...reference.backward?.(given, params, put(grads)),
          };
          const count = Object.values(expected).flatMap(({ data }) => [...data].filter(Number.isNaN)).length;
          t.ok(count > 0, `case ${number}, ${poisoned}: ${count} NaN expected`);
          for (const software of [true, false]) {
            const actual = await withCaps({ software }, () =>
              forwardBackward(kernel, { name, inputs: given, params }, reference.backward && put(grads)),
            );
            const wrong = Object.entries(expected).flatMap(([port, tensor]) => {
              const what = complaint(actual[port], tensor, wholeItem);
              return what ? [`${port}: ${what}`] : [];
            });
            t.deepEqual(wrong, [], `case ${number}, ${poisoned}${software ? '' : ', the form of a GPU'}`);
          }
        }
    }
  });

test('softmax: a NaN or +∞ makes its row NaN, −∞ counts for nothing, a row of −∞ is NaN, as in PyTorch', async (t) => {
  const rows = [
    [1, NaN, 2],
    [NaN, 0, 0],
    [Infinity, 0, 0],
    [-Infinity, 0, 0],
    [-Infinity, -Infinity, -Infinity],
  ];
  for (const software of [true, false]) {
    const out = await withCaps({ software }, () =>
      runtime.scope(() =>
        runtime.kernel(softmax, { x: runtime.upload(Float32Array.from(rows.flat()), [5, 3]) }).out.read(),
      ),
    );
    const nan = [NaN, NaN, NaN];
    t.deepEqual([...out], [nan, nan, nan, [0, 0.5, 0.5], nan].flat(), software ? '' : 'the form of a GPU');
  }
});

test('cross-entropy: infinities, in both forms', async (t) => {
  const nan = [NaN, NaN, NaN];
  const p = 1 / (1 + Math.exp(-1));
  // Of class 0: the logits, the loss, their gradient.
  const rows: [logits: number[], loss: number, grad: number[]][] = [
    [[1, 2, Infinity], NaN, nan],
    [[Infinity, 2, 1], NaN, nan],
    [[Infinity, Infinity, 0], NaN, nan],
    [[1, 2, -Infinity], -Math.log(1 - p), [-p, p, 0]],
    [[-Infinity, 2, 1], Infinity, [-1, p, 1 - p]],
    [[-Infinity, -Infinity, -Infinity], Infinity, nan],
  ];
  for (const software of [true, false])
    for (const c of [3, 20])
      for (const [logits, loss, grad] of rows) {
        // The classes beyond three count for nothing.
        const all = [...logits, ...new Array<number>(c - 3).fill(-Infinity)];
        const inputs = {
          logits: { shape: [1, c], data: Float64Array.from(all) },
          targets: { shape: [1], data: Int32Array.of(0) },
        };
        const one = { grad_loss: { shape: [], data: Float64Array.of(1) } };
        const made = await withCaps({ software }, () =>
          forwardBackward(crossEntropy, { name: 'infinities', inputs, params: {} }, one),
        );
        const got = [...made.loss, ...made.grad_logits.subarray(0, 3)];
        const wanted = [loss, ...grad];
        t.ok(
          got.every((v, i) => Object.is(v, wanted[i]) || Math.abs(v - wanted[i]) < 1e-6),
          `${logits} of ${c}, ${software ? 'a software device' : 'a GPU'}: ${got}`,
        );
      }
});

test('attention: a score of +∞ makes its row NaN, forward and backward', async (t) => {
  const shape = [1, 7, 4];
  const values = (large: readonly number[]): RefTensor => {
    const { data } = random(...shape);
    for (const row of large) data[4 * row] = 1e20;
    return { shape, data };
  };
  const grad_out = random(...shape);
  const lengths = { shape: [1], data: Int32Array.of(7) };
  for (const keys of [[3], [2, 3], [1, 5]]) {
    const inputs = { q: values([0]), k: values(keys), v: random(...shape), lengths };
    for (const [name, own, params] of [
      ['attention', {}, { heads: 1 }],
      ['segment-attention', { weights: random(2) }, { heads: 1, scales: [1, 2] }],
    ] as const) {
      const of = { name, inputs: { ...inputs, ...own }, params };
      const { out, grad_v } = await forwardBackward(kernelNamed(name), of, { grad_out });
      // Each value has a part in the first query's row.
      t.ok([...out.subarray(0, 4), ...grad_v].every(Number.isNaN), `${name}, keys ${keys}`);
    }
  }
});
