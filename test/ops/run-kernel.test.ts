import test from 'tape';
import { kernelNamed } from '../../kernels/index.ts';
import type { HostTensor } from '../../src/io/safetensors.ts';
import { inputPort, prepareKernelRun } from '../../src/ops/run-kernel.ts';

const zeros = (...shape: number[]): HostTensor => ({
  shape,
  dtype: 'f32',
  data: new Float32Array(shape.reduce((n, d) => n * d, 1)),
});

test('inputs of a kernel by name', (t) => {
  const port = (kernel: string, name: string) => () => inputPort(kernelNamed(kernel), name, 'file');
  t.equal(port('lstm', 'weight_ih_l0')().name, 'weight_ih_l0');
  t.throws(
    port('lstm', 'weight_ih_l1'),
    /^InputError: file: tensor "weight_ih_l1" is not an input \(lstm takes /,
  );
  t.equal(port('concat', 'x6')().name, 'x6');
  t.throws(port('concat', 'x7'), /"x7" is not an input/);

  t.equal(port('clip-grad-norm', 'grad0')().name, 'grad0');
  t.equal(
    port('clip-grad-norm', 'grad12')().name,
    'grad0',
    'a repeated port stands for any number of tensors',
  );
  for (const name of ['grad', 'grad01', 'grad1x', 'xgrad0', 'grad-1'])
    t.throws(port('clip-grad-norm', name), /is not an input/, name);

  const gradient = kernelNamed('sliding-average-pool').backward;
  t.equal(gradient && inputPort(gradient, 'grad_out.4', 'file').name, 'grad_out.<r>');
  t.throws(() => gradient && inputPort(gradient, 'grad_out4', 'file'), /is not an input/);
  t.end();
});

test('tensors that a kernel does not take are refused', (t) => {
  const prepare = (kernel: string, tensors: Record<string, HostTensor>, gradients = false) =>
    prepareKernelRun(kernelNamed(kernel), new Map(Object.entries(tensors)), {}, gradients, 'file');
  const lstm = { x: zeros(1, 2, 3), weight_ih_l1: zeros(16, 3) };
  t.throws(() => prepare('lstm', lstm), /tensor "weight_ih_l1" is not an input/);
  t.throws(() => prepare('lstm', lstm, true), /tensor "weight_ih_l1" is not an input/, 'with gradients too');
  const product = { x: zeros(2, 3), weight: zeros(4, 3) };
  t.deepEqual(Object.keys(prepare('linear', product).device), ['x', 'weight']);
  t.throws(
    () => prepare('linear', { ...product, grad_x: zeros(2, 3) }, true),
    /tensor "grad_x" is not the gradient of an output \(linear gives out\)/,
  );
  t.end();
});
