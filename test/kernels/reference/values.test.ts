// What the references compute where PyTorch has no such kernel, and at the edges: padding, ties, extremes, nothing.
import test from 'tape';
import { references } from '../../../kernels/reference/index.ts';
import { activations, erf, erfc } from '../../../kernels/reference/math.ts';
import { philox4x32 } from '../../../kernels/shared/philox.ts';
import { floats, ints, random } from './gradcheck.ts';

test('erf and erfc to double accuracy', (t) => {
  // x, erf(x), erfc(x) from the C library.
  const known = [
    [1e-8, 1.1283791670955126e-8, 0.9999999887162083],
    [0.5, 0.5204998778130465, 0.4795001221869535],
    [0.999, 0.8422852702064969, 0.15771472979350307],
    [1, 0.8427007929497149, 0.15729920705028513],
    [2, 0.9953222650189527, 0.004677734981047265],
    [5, 0.9999999999984626, 1.5374597944280351e-12],
    [26, 1, 5.663192408856143e-296],
  ];
  for (const [x, value, complement] of known) {
    t.ok(Math.abs(erf(x) / value - 1) < 4e-15, `erf(${x})`);
    t.ok(Math.abs(erfc(x) / complement - 1) < 4e-15, `erfc(${x})`);
    t.equal(erf(-x), -erf(x), `erf(−${x})`);
  }
  t.equal(erf(0), 0);
  t.ok(Number.isNaN(erf(NaN)));
  t.ok(Math.abs(activations.gelu.value(-10) / -7.619853024160489e-23 - 1) < 1e-13, 'GELU keeps its tail');
  t.end();
});

test('linear: by hand', (t) => {
  const inputs = {
    x: floats([1, 2], [1, 2]),
    weight: floats([2, 2], [3, 4, -5, 1]),
    bias: floats([2], [0.5, 1]),
  };
  t.deepEqual([...references.linear.forward(inputs, {}).out.data], [11.5, -2]);
  t.deepEqual([...references.linear.forward(inputs, { activation: 'relu' }).out.data], [11.5, 0]);
  t.end();
});

test('softmax: stable at 1e5', (t) => {
  const { out } = references.softmax.forward({ x: floats([2, 2], [1e5, 1e5, -1e5, 1e5]) }, {});
  t.deepEqual([...out.data], [0.5, 0.5, 0, 1]);
  t.end();
});

test('attention: masked and padded keys are never read', (t) => {
  const inputs = {
    q: random([1, 3, 2]),
    k: random([1, 4, 2]),
    v: random([1, 4, 2]),
    mask: ints([1, 3, 4], [1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1]),
    lengths: ints([1], [3]),
  };
  const params = { heads: 1 };
  const upstream = { grad_out: random([1, 3, 2]) };
  const before = references.attention.forward(inputs, params).out;
  const gradBefore = references.attention.backward!(inputs, params, upstream);
  t.deepEqual([...before.data.slice(2, 4)], [0, 0], 'a row that may attend to nothing gives 0');
  for (const name of ['k', 'v'] as const) inputs[name].data.fill(NaN, 4);
  t.deepEqual(
    references.attention.forward(inputs, params).out,
    before,
    'NaN in key 2 (masked) and 3 (padded)',
  );
  const grads = references.attention.backward!(inputs, params, upstream);
  t.deepEqual(grads, gradBefore, 'nor do the gradients change');
  t.deepEqual([...grads.grad_q.data.slice(2, 4)], [0, 0], 'nor has its query a gradient');
  for (const name of ['grad_k', 'grad_v']) {
    t.deepEqual([...grads[name].data.slice(4)], [0, 0, 0, 0], `${name} is 0 at unread keys`);
  }
  t.end();
});

test('span-enumerate: order and width', (t) => {
  const lengths = ints([3], [3, 0, 2]);
  const { spans } = references['span-enumerate'].forward({ lengths }, { maxWidth: 2 });
  const expected = [0, 0, 1, 0, 0, 2, 0, 1, 2, 0, 1, 3, 0, 2, 3, 2, 0, 1, 2, 0, 2, 2, 1, 2];
  t.deepEqual(spans, ints([8, 3], expected));
  const none = references['span-enumerate'].forward({ lengths: ints([0], []) }, { maxWidth: 2 });
  t.deepEqual(none.spans, ints([0, 3], []));
  t.end();
});

test('span-representation and span-score: by hand', (t) => {
  const inputs = {
    x: floats([1, 3, 2], [1, 2, 3, 4, 5, 6]),
    width_embedding: floats([2, 1], [10, 20]),
    spans: ints([2, 3], [0, 0, 1, 0, 1, 3]),
  };
  const { out } = references['span-representation'].forward(inputs, {});
  t.deepEqual(out, floats([2, 5], [1, 2, 1, 2, 10, 3, 4, 5, 6, 20]));
  const weight = floats([1, 5], [1, 10, 100, 1000, 10000]);
  const score = references['span-score'].forward({ ...inputs, weight, bias: floats([1], [0.5]) }, {});
  t.deepEqual(score.out, floats([2, 1], [102121.5, 206543.5]));
  t.end();
});

test('range-max-pool: the first of equal maxima takes the gradient, an empty range is 0', (t) => {
  const inputs = {
    x: floats([1, 3, 2], [-1, 7, -1, 7, -2, 8]),
    ranges: ints([4, 3], [0, 0, 2, 0, 0, 3, 0, 3, 3, 0, 2, 1]),
  };
  const { out } = references['range-max-pool'].forward(inputs, {});
  t.deepEqual(out, floats([4, 2], [-1, 7, -1, 8, 0, 0, 0, 0]));
  const upstream = { grad_out: floats([4, 2], [1, 2, 3, 4, 5, 6, 7, 8]) };
  const { grad_x } = references['range-max-pool'].backward!(inputs, {}, upstream);
  t.deepEqual(grad_x, floats([1, 3, 2], [4, 2, 0, 0, 0, 4]));
  t.end();
});

test('dropout: the Philox rule', (t) => {
  const x = random([4001]);
  const params = { p: 0.3, seed: 0xfffffffe, offset: 3 };
  const { out } = references.dropout.forward({ x }, params);
  const expected = x.data.map((value, i) => {
    const word = philox4x32([i >> 2, 3, 0, 0], [0xfffffffe, 0])[i & 3];
    return word >= Math.floor(0.3 * 2 ** 32) ? value / 0.7 : 0;
  });
  t.deepEqual(out.data, expected);
  const kept = out.data.filter((value) => value !== 0).length / 4001;
  t.ok(Math.abs(kept - 0.7) < 0.03, `${kept} kept of 0.7`);
  t.deepEqual(
    references.dropout.forward({ x }, { ...params, p: 0 }).out.data,
    x.data,
    'p 0 keeps everything',
  );
  t.notDeepEqual(
    references.dropout.forward({ x }, { ...params, offset: 4 }).out,
    out,
    'another offset, another mask',
  );
  // Salmon et al.'s first known answer: counter 0, key 0. A threshold at word 1's value keeps it, one above does not.
  const [, word] = [0x6627e8d5, 0xe169c58d];
  const at = (threshold: number) => {
    const zeroKey = { p: threshold / 2 ** 32, seed: 0, offset: 0 };
    return references.dropout.forward({ x: floats([2], [1, 1]) }, zeroKey).out.data[1];
  };
  t.ok(at(word) > 1, 'kept where word = threshold');
  t.equal(at(word + 1), 0, 'dropped where word < threshold');
  t.end();
});

test('cross-entropy: extremes, and nothing that counts', (t) => {
  const extreme = { logits: floats([1, 2], [-1e5, 1e5]), targets: ints([1], [0]) };
  t.equal(references['cross-entropy'].forward(extreme, {}).loss.data[0], 2e5);
  const ignored = { logits: floats([2, 2], [NaN, 1, 2, 3]), targets: ints([2], [-100, -100]) };
  t.deepEqual(references['cross-entropy'].forward(ignored, {}).loss, floats([], [0]));
  const upstream = { grad_loss: floats([], [3]) };
  const { grad_logits } = references['cross-entropy'].backward!(ignored, {}, upstream);
  t.deepEqual(grad_logits, floats([2, 2], [0, 0, 0, 0]));
  t.end();
});

test('binary-cross-entropy: stable at ±1e3, and nothing that counts', (t) => {
  const logits = floats([4], [1e3, -1e3, 1e3, -1e3]);
  const inputs = { logits, targets: ints([4], [1, 0, 0, 1]) };
  t.equal(references['binary-cross-entropy'].forward(inputs, {}).loss.data[0], 500);
  const upstream = { grad_loss: floats([], [8]) };
  const { grad_logits } = references['binary-cross-entropy'].backward!(inputs, {}, upstream);
  t.deepEqual([...grad_logits.data], [0, 0, 2, -2]);
  const masked = { ...inputs, logits: floats([4], [NaN, NaN, NaN, NaN]), mask: ints([4], [0, 0, 0, 0]) };
  t.equal(references['binary-cross-entropy'].forward(masked, {}).loss.data[0], 0);
  const none = references['binary-cross-entropy'].backward!(masked, {}, upstream);
  t.deepEqual([...none.grad_logits.data], [0, 0, 0, 0]);
  t.end();
});

for (const [kernel, gates] of [
  ['lstm', 4],
  ['gru', 3],
] as const) {
  test(`${kernel}: padded tokens are never read and stay 0`, (t) => {
    const [d, h, L] = [2, 2, 4];
    const inputs = Object.fromEntries(
      ['', '_reverse'].flatMap((suffix) => [
        [`weight_ih_l0${suffix}`, random([gates * h, d])],
        [`weight_hh_l0${suffix}`, random([gates * h, h])],
        [`bias_ih_l0${suffix}`, random([gates * h])],
        [`bias_hh_l0${suffix}`, random([gates * h])],
      ]),
    );
    const x = random([2, L, d]);
    const params = { bidirectional: true };
    const run = (values: Float64Array, length: number, upstream: Float64Array) => {
      const rows = { ...inputs, x: { shape: x.shape, data: values }, lengths: ints([2], [length, 0]) };
      const grads = { grad_out: { shape: [2, L, 2 * h], data: upstream } };
      const { out } = references[kernel].forward(rows, params);
      return { out, grads: references[kernel].backward!(rows, params, grads) };
    };
    const upstream = random([2, L, 2 * h]).data;
    const clean = run(x.data, 3, upstream);
    const poisoned = run(x.data.slice().fill(NaN, 3 * d), 3, upstream.slice().fill(NaN, 3 * 2 * h));
    t.deepEqual(poisoned, clean, 'NaN in the padded rows of x and of the upstream gradient changes nothing');
    t.ok(
      clean.out.data.slice(3 * 2 * h).every((value) => value === 0),
      'padded outputs are 0',
    );
    t.ok(
      clean.grads.grad_x.data.slice(3 * d).every((value) => value === 0),
      'padded gradients are 0',
    );
    t.ok(
      clean.out.data.slice(0, 3 * 2 * h).every((value) => value !== 0),
      'valid outputs are not',
    );
    t.end();
  });
}

test('adamw: PyTorch’s defaults, and the bias correction of step 1', (t) => {
  const one = (value: number) => floats([1], [value]);
  const inputs = { param: one(2), grad: one(0.5), m: one(0), v: one(0) };
  const { param, m, v } = references.adamw.forward(inputs, { lr: 0.1, step: 1 });
  // At step 1 the corrected moments are g and g²: the step is lr·g/(|g| + eps), after a decay of lr·0.01.
  t.ok(Math.abs(param.data[0] - (2 * (1 - 0.1 * 0.01) - (0.1 * 0.5) / (0.5 + 1e-8))) < 1e-14);
  t.ok(Math.abs(m.data[0] - 0.05) < 1e-15);
  t.ok(Math.abs(v.data[0] - 0.00025) < 1e-15);
  t.end();
});

test('concat, sum, column-sum, scale: by hand', (t) => {
  const joined = references.concat.forward(
    { x0: floats([2, 1], [1, 2]), x1: floats([2, 2], [3, 4, 5, 6]) },
    {},
  );
  t.deepEqual(joined.out, floats([2, 3], [1, 3, 4, 2, 5, 6]));
  const x = floats([2, 3], [1, 2, 3, 4, 5, 6]);
  t.deepEqual(references.sum.forward({ x }, {}).out, floats([], [21]));
  t.deepEqual(references['column-sum'].forward({ x }, {}).out, floats([3], [5, 7, 9]));
  t.deepEqual(references.scale.forward({ x }, { factor: 2 }).out, floats([2, 3], [2, 4, 6, 8, 10, 12]));
  t.end();
});
