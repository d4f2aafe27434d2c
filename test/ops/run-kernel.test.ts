import test from 'tape';
import { kernelNamed } from '../../kernels/index.ts';
import { narrowed, type HostTensor, type StoredTensor } from '../../src/io/safetensors.ts';
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

test('f16 stay so where a port takes them', (t) => {
  const prepare = (kernel: string, tensors: Record<string, StoredTensor>, params = {}, gradients = false) =>
    prepareKernelRun(kernelNamed(kernel), new Map(Object.entries(tensors)), params, gradients, 'file');
  const half = narrowed({ shape: [4, 4], dtype: 'f32', data: new Float32Array(16).fill(1 / 3) });
  const bias = narrowed(zeros(4));
  const linear = prepare('linear', { x: half, weight: half, bias, grad_out: half }, {}, true);
  t.equal(linear.device.x, half, 'with its bits');
  t.equal(linear.device.weight, half);
  t.deepEqual(linear.device.bias, zeros(4), 'widened where the port takes f32 alone');
  t.equal(linear.upstream?.grad_out.dtype, 'f32', 'and for the gradient of an output in f32');
  const narrow = { x: zeros(4, 4), weight: half, grad_out: half };
  t.equal(prepare('linear', narrow, { dtype: 'f16' }, true).upstream?.grad_out, half);
  const rounded = { ...narrow, grad_out: zeros(4, 4) };
  t.equal(prepare('linear', rounded, { dtype: 'f16' }, true).upstream?.grad_out.dtype, 'f16', 'rounded');
  t.equal(prepare('softmax', { x: half }).device.x.dtype, 'f32');
  t.throws(
    () => prepare('span-enumerate', { lengths: narrowed(zeros(2)) }, { maxWidth: 2 }),
    /tensor "lengths" holds floats, not integers/,
  );
  t.end();
});
