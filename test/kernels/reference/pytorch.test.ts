import { readFileSync } from 'node:fs';
import test from 'tape';
import { references } from '../../../kernels/reference/index.ts';
import type { RefParams, RefTensors } from '../../../kernels/reference/types.ts';
import { relativeError } from './gradcheck.ts';

interface StoredTensor {
  shape: number[];
  dtype: 'f64' | 'i32';
  data: number[];
}
type StoredTensors = Record<string, StoredTensor>;
interface Case {
  params: RefParams;
  inputs: StoredTensors;
  outputs: StoredTensors;
  grads: StoredTensors;
}

function unpack(stored: StoredTensors): RefTensors {
  return Object.fromEntries(
    Object.entries(stored).map(([name, { shape, dtype, data }]) => {
      return [name, { shape, data: dtype === 'i32' ? Int32Array.from(data) : Float64Array.from(data) }];
    }),
  );
}

function compare(t: test.Test, actual: RefTensors, expected: RefTensors): void {
  t.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort(), 'the same tensors');
  for (const [name, { shape, data }] of Object.entries(expected)) {
    t.deepEqual([...actual[name].shape], [...shape], `${name}: shape`);
    const error = relativeError(actual[name].data, data);
    t.ok(error < 1e-10, `${name}: off by ${error.toExponential(1)}`);
  }
}

const kernels = [
  'linear',
  'layer-norm',
  'softmax',
  'attention',
  'lstm',
  'gru',
  'cross-entropy',
  'binary-cross-entropy',
  'adamw',
  'segment-attention',
  'sliding-average-pool',
  'gaussian-kl',
  'visibility-attention',
];

for (const kernel of kernels) {
  const cases = JSON.parse(readFileSync(`test/fixtures/kernels/${kernel}.json`, 'utf8')) as Case[];
  cases.forEach(({ params, inputs, outputs, grads }, i) => {
    test(`${kernel} agrees with PyTorch, case ${i} ${JSON.stringify(params)}`, (t) => {
      const reference = references[kernel];
      compare(t, reference.forward(unpack(inputs), params), unpack(outputs));
      if (reference.backward) {
        const all = Object.entries(unpack(grads));
        const isUpstream = ([name]: [string, unknown]) => name.replace('grad_', '') in outputs;
        const upstream = Object.fromEntries(all.filter(isUpstream));
        const expected = Object.fromEntries(all.filter((entry) => !isUpstream(entry)));
        compare(t, reference.backward(unpack(inputs), params, upstream), expected);
      }
      t.end();
    });
  });
}
