import test from 'tape';
import { InputError } from '../../../kernels/errors.ts';
import { references } from '../../../kernels/reference/index.ts';
import type { RefParams, RefTensors } from '../../../kernels/reference/types.ts';
import { floats, ints, random } from './gradcheck.ts';

function throwsInputError(
  t: test.Test,
  kernel: string,
  inputs: RefTensors,
  params: RefParams,
  message: RegExp,
) {
  try {
    references[kernel].forward(inputs, params);
    t.fail(`${kernel} accepted it`);
  } catch (error) {
    t.ok(error instanceof InputError && message.test(error.message), `${kernel}: ${String(error)}`);
  }
}

test('ids, spans, ranges, lengths and targets out of range name their row', (t) => {
  const table = random([3, 2]);
  throwsInputError(t, 'embedding', { ids: ints([2], [0, 3]), table }, {}, /ids row 1 is 3/);
  throwsInputError(t, 'embedding', { ids: ints([1], [-1]), table }, {}, /ids row 0 is -1/);

  const x = random([2, 4, 3]);
  const good = [0, 0, 1];
  const badSpans = [
    [2, 0, 1],
    [-1, 0, 1],
    [0, -1, 1],
    [0, 3, 5],
    [0, 2, 2],
    [0, 2, 1],
  ];
  const head = { weight: random([2, 7]), bias: random([2]) };
  for (const bad of [...badSpans, [1, 0, 3]]) {
    const inputs = { x, width_embedding: random([2, 1]), spans: ints([2, 3], [...good, ...bad]) };
    throwsInputError(t, 'span-representation', inputs, {}, /^span-representation: spans row 1 /);
    throwsInputError(t, 'span-score', { ...inputs, ...head }, {}, /^span-score: spans row 1 /);
  }
  for (const bad of badSpans.slice(0, 4)) {
    const ranges = ints([2, 3], [...good, ...bad]);
    throwsInputError(t, 'range-max-pool', { x, ranges }, {}, /ranges row 1 /);
  }

  const attention = { q: x, k: x, v: x, lengths: ints([2], [4, 5]) };
  throwsInputError(t, 'attention', attention, { heads: 1 }, /lengths row 1 is 5/);
  const context = { q: x, k: x, v: x, mask_query: random([3]), lengths: ints([2], [4, 2]) };
  for (const bad of [...badSpans, [1, 0, 3]]) {
    const inputs = { ...context, spans: ints([2, 3], [...good, ...bad]) };
    throwsInputError(t, 'context-attention', inputs, { heads: 1 }, /^context-attention: spans row 1 /);
  }
  const lengths = ints([2], [1, -1]);
  throwsInputError(t, 'span-enumerate', { lengths }, { maxWidth: 2 }, /lengths row 1 is -1/);
  const gru = { weight_ih_l0: random([6, 3]), weight_hh_l0: random([6, 2]), bias_ih_l0: random([6]) };
  const withBias = { ...gru, bias_hh_l0: random([6]) };
  throwsInputError(t, 'gru', { x, lengths, ...withBias }, {}, /lengths row 1 is -1/);

  const logits = random([2, 3]);
  throwsInputError(t, 'cross-entropy', { logits, targets: ints([2], [-100, 3]) }, {}, /targets row 1 is 3/);
  throwsInputError(t, 'cross-entropy', { logits, targets: ints([2], [0, -1]) }, {}, /targets row 1 is -1/);
  const binary = { logits: random([2]), targets: ints([2], [0, 2]) };
  throwsInputError(t, 'binary-cross-entropy', binary, {}, /targets element 1 is 2/);
  t.end();
});

test('shapes, types and missing inputs name kernel and tensor', (t) => {
  const x = random([2, 3]);
  throwsInputError(t, 'linear', { x }, {}, /linear: input weight is missing/);
  throwsInputError(t, 'linear', { x, weight: random([4, 2]) }, {}, /axis K of weight is 2, expected 3/);
  throwsInputError(t, 'linear', { x: random([]), weight: random([4, 2]) }, {}, /x has shape \[\]/);
  throwsInputError(t, 'linear', { x, weight: ints([1, 3], [1, 2, 3]) }, {}, /weight must hold float64/);
  throwsInputError(t, 'embedding', { ids: x, table: x }, {}, /ids must hold int32/);
  throwsInputError(t, 'softmax', { x: floats([2, 2], [1]) }, {}, /x has 1 values for shape \[2,2\]/);
  throwsInputError(t, 'add', { a: x, b: random([3, 2]) }, {}, /b has leading axes \[3,2\]/);
  throwsInputError(t, 'concat', {}, {}, /input x0 is missing/);
  throwsInputError(t, 'concat', { x0: x, x2: x }, {}, /input x1 is missing/);
  const spans = ints([1, 2], [0, 1]);
  const representation = { x: random([1, 2, 3]), width_embedding: x, spans };
  throwsInputError(t, 'span-representation', representation, {}, /axis 3 of spans is 2/);
  const lstm = { x: random([1, 2, 3]), lengths: ints([1], [2]), weight_ih_l0: random([7, 3]) };
  const hidden = { weight_hh_l0: random([7, 2]), bias_ih_l0: random([7]), bias_hh_l0: random([7]) };
  throwsInputError(t, 'lstm', { ...lstm, ...hidden }, {}, /weight_hh_l0 has shape \[7,2\], expected \[8,2\]/);
  t.throws(() => references.softmax.backward!({ x }, {}, {}), /grad_out is missing/);
  t.throws(
    () => references.softmax.backward!({ x }, {}, { grad_out: random([2, 2]) }),
    /axis 3 of grad_out is 2/,
  );
  t.end();
});

test('params name kernel and param', (t) => {
  const x = random([1, 2, 4]);
  const weight = random([1, 4]);
  throwsInputError(
    t,
    'linear',
    { x, weight },
    { activation: 'swish' },
    /activation must be one of .*"swish"/,
  );
  throwsInputError(t, 'linear', { x, weight }, { activation: 'toString' }, /activation must be one of/);
  throwsInputError(t, 'attention', { q: x, k: x, v: x }, {}, /param heads/);
  throwsInputError(
    t,
    'attention',
    { q: x, k: x, v: x },
    { heads: 3 },
    /D = 4 is not a multiple of heads = 3/,
  );
  throwsInputError(t, 'span-enumerate', { lengths: ints([1], [1]) }, { maxWidth: 0 }, /param maxWidth/);
  throwsInputError(t, 'dropout', { x }, { seed: 0, offset: 0 }, /param p /);
  throwsInputError(t, 'dropout', { x }, { p: 1.5, seed: 0, offset: 0 }, /param p /);
  throwsInputError(t, 'dropout', { x }, { p: 0.5, offset: 0 }, /param seed/);
  throwsInputError(t, 'dropout', { x }, { p: 0.5, seed: 2 ** 32, offset: 0 }, /param seed/);
  throwsInputError(t, 'dropout', { x }, { p: 0.5, seed: 0 }, /param offset/);
  throwsInputError(t, 'scale', { x }, {}, /param factor/);
  const state = { param: x, grad: x, m: x, v: x };
  throwsInputError(t, 'adamw', state, { lr: 0.1, step: 0 }, /param step/);
  throwsInputError(t, 'adamw', state, { step: 1 }, /param lr/);
  throwsInputError(t, 'gru', { x, lengths: ints([1], [1]) }, { bidirectional: 1 }, /param bidirectional/);
  t.end();
});
