import test from 'tape';
import { backwardRequest, visibleOutputs } from '../../kernels/backward-request.ts';
import { kernelNamed, kernels } from '../../kernels/index.ts';
import type { Kernel, Port } from '../../kernels/plan.ts';

const port = (name: string, more: Partial<Port> = {}): Port => ({
  name,
  dtype: 'f32',
  shape: '[n]',
  ...more,
});
const noPlan = () => {
  throw new Error('not planned here');
};

/** Any number of inputs x0, x1, …, of integers ids0, ids1, …, of outputs out.<r>, and of saved outputs sum.<r>. */
const many: Kernel = {
  name: 'many',
  doc: '',
  inputs: [port('x0', { repeated: true }), port('ids0', { repeated: true, host: true }), port('scale')],
  outputs: [port('out.<r>', { repeated: true }), port('sum.<r>', { repeated: true, saved: true })],
  params: [
    { name: 'sizes', doc: '' },
    { name: 'rounding', doc: '' },
  ],
  plan: noPlan,
  backward: {
    name: 'many-backward',
    doc: '',
    inputs: [
      port('x0', { repeated: true }),
      port('ids0', { repeated: true, host: true }),
      port('sum.<r>', { repeated: true }),
      port('grad_out.<r>', { repeated: true }),
    ],
    outputs: [port('grad_x0', { repeated: true })],
    params: [{ name: 'sizes', doc: '' }],
    plan: noPlan,
  },
};
const run = {
  inputs: { x0: 'x0', x11: 'x11', scale: 'scale' },
  host: { ids0: 0, ids3: 3 },
  outputs: { 'out.2': 'out.2', 'out.5': 'out.5', 'sum.2': 'sum.2' },
  params: { sizes: [2, 5], rounding: true },
};

test('a backward is given what its ports name, repeated ones too', (t) => {
  t.deepEqual(visibleOutputs(many, run.outputs), ['out.2', 'out.5'], 'sum.2 is saved for the backward');
  const asked: string[] = [];
  const upstream = (name: string) => {
    asked.push(name);
    return `grad of ${name}`;
  };
  t.deepEqual(backwardRequest(many, run, upstream, ['x11']), {
    kernel: many.backward,
    inputs: {
      x0: 'x0',
      x11: 'x11',
      'sum.2': 'sum.2',
      'grad_out.2': 'grad of out.2',
      'grad_out.5': 'grad of out.5',
    },
    host: { ids0: 0, ids3: 3 },
    params: { sizes: [2, 5] },
    wanted: ['grad_x11'],
  });
  t.deepEqual(asked, ['out.2', 'out.5']);
  t.end();
});

test('a gradient that a backward does not give is refused', (t) => {
  const of =
    (kernel: Kernel, ...names: string[]) =>
    () =>
      backwardRequest(kernel, run, () => '', names);
  t.throws(of(many, 'x0', 'scale'), /^SpanwiseError: many: its backward gives no gradient of "scale"$/);
  t.throws(of(kernelNamed('adamw')), /^SpanwiseError: adamw: has no backward$/);
  t.end();
});

test('every backward gives the gradient of every float input of its kernel', (t) => {
  for (const [name, kernel] of Object.entries(kernels)) {
    if (!kernel.backward) continue;
    const floats = kernel.inputs.filter(({ dtype }) => dtype === 'f32').map((input) => input.name);
    const nothing = { inputs: {}, host: {}, outputs: {}, params: {} };
    t.deepEqual(
      backwardRequest(kernel, nothing, () => 0, floats).wanted,
      floats.map((input) => `grad_${input}`),
      name,
    );
  }
  t.end();
});
