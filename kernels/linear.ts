/** `linear`: out = activate(x · weightᵀ + bias), PyTorch's weight layout [N, K]. */
import { InputError } from './errors.ts';
import {
  expectShape,
  isAdded,
  isF16,
  isWanted,
  shapeOf,
  spec,
  foldGrid,
  ceilDiv,
  type Caps,
  type Dispatch,
  type Kernel,
  type TensorSpec,
} from './plan.ts';
import {
  activationBackwardFlops,
  activationCode,
  needsPre,
  parseActivation,
  type Activation,
} from './shared/activation.ts';
import { columnSum } from './column-sum.ts';
import { fill } from './elementwise.ts';
import { matmul, rowsOf } from './shared/matmul.ts';
import { weightGradient } from './shared/weight-gradient.ts';
import { partTables } from './shared/table-rules.ts';
import activationBackwardWgsl from '../shaders/activation-backward.wgsl';

const params = [
  {
    name: 'activation',
    doc: 'none, relu, gelu (exact, erf), gelu_tanh (by tanh), tanh, sigmoid or softplus',
    default: 'none',
  },
];

/** grad_pre = grad_out · activate'(·); `saved` holds the value before gelu, gelu_tanh and softplus, after the others. */
export function activationBackward(
  label: string,
  activation: Activation,
  gradOut: string,
  saved: string,
  gradPre: string,
  size: number,
  caps: Caps,
): Dispatch {
  return {
    label,
    shader: activationBackwardWgsl,
    entryPoint: 'main',
    constants: { ACTIVATION: activationCode(activation) },
    bindings: [
      { name: 'grad_out', access: 'read', tensor: gradOut },
      { name: 'saved', access: 'read', tensor: saved },
      { name: 'grad_pre', access: 'read_write', tensor: gradPre },
    ],
    uniforms: [size],
    workgroups: foldGrid(ceilDiv(size, 64), caps),
    macs: 0,
    flops: size * activationBackwardFlops(activation),
    bytesRead: 8 * size,
    bytesWritten: 4 * size,
  };
}

/**
 * out [..., N] = activate(x [..., K] · weight [N, K]ᵀ + bias [N]); `weight` may be stored as f16, products and sums are f32.
 * Saved for the backward: `pre` [..., N] with gelu, gelu_tanh and softplus only.
 * Errors: inner dimensions or bias that do not fit.
 */
export const linear: Kernel = {
  name: 'linear',
  doc: 'out = activate(x · weightᵀ + bias)',
  inputs: [
    { name: 'x', dtype: 'f32', shape: '[..., K]' },
    { name: 'weight', dtype: 'f32', shape: '[N, K]', f16: true },
    { name: 'bias', dtype: 'f32', shape: '[N]', optional: true },
  ],
  outputs: [
    { name: 'out', dtype: 'f32', shape: '[..., N]' },
    { name: 'pre', dtype: 'f32', shape: '[..., N]', saved: true },
  ],
  params,
  plan(request) {
    const x = shapeOf('linear', request, 'x');
    const [n, k] = shapeOf('linear', request, 'weight', 2);
    if (x.length === 0 || x[x.length - 1] !== k)
      throw new InputError(`linear: input "x" [${x}] does not end in weight's K of [${n},${k}]`);
    const bias = request.shapes.bias;
    if (bias) expectShape('linear', 'bias', bias, [n]);
    const activation = parseActivation('linear', request.params.activation);
    const m = rowsOf(x);
    const shape = [...x.slice(0, -1), n];
    const pre = needsPre(activation);
    const dispatch = matmul(
      {
        label: 'linear',
        ...{ m, n, k },
        a: { tensor: 'x', row: k },
        b: { tensor: 'weight', row: k, f16: isF16(request, 'weight') },
        c: { tensor: 'out', row: n },
        transB: true,
        rounds: true,
        ...(bias ? { bias: 'bias' } : {}),
        ...(pre ? { pre: 'pre' } : {}),
        activation,
      },
      request.caps,
    );
    return {
      dispatches: m * n > 0 ? [dispatch] : [],
      scratch: {},
      outputs: { out: spec(shape), ...(pre ? { pre: spec(shape) } : {}) },
      data: {},
    };
  },
  backward: {
    name: 'linear-backward',
    doc: 'g = grad_out · activate′; grad_x = g · weight, grad_weight = gᵀ · x, grad_bias = Σ g',
    inputs: [
      { name: 'x', dtype: 'f32', shape: '[..., K]' },
      { name: 'weight', dtype: 'f32', shape: '[N, K]', f16: true },
      { name: 'out', dtype: 'f32', shape: '[..., N]' },
      { name: 'pre', dtype: 'f32', shape: '[..., N]', optional: true },
      { name: 'grad_out', dtype: 'f32', shape: '[..., N]' },
    ],
    outputs: [
      { name: 'grad_x', dtype: 'f32', shape: '[..., K]' },
      { name: 'grad_weight', dtype: 'f32', shape: '[N, K]' },
      { name: 'grad_bias', dtype: 'f32', shape: '[N]', optional: true },
    ],
    adds: ['grad_x'],
    params,
    tables: partTables('grad_weight'),
    plan(request) {
      const { caps } = request;
      const x = shapeOf('linear-backward', request, 'x');
      const [n, k] = shapeOf('linear-backward', request, 'weight', 2);
      const m = rowsOf(x);
      expectShape('linear-backward', 'grad_out', shapeOf('linear-backward', request, 'grad_out'), [
        ...x.slice(0, -1),
        n,
      ]);
      const activation = parseActivation('linear-backward', request.params.activation);
      const dispatches: Dispatch[] = [];
      const scratch: Record<string, TensorSpec> = {};
      const outputs: Record<string, TensorSpec> = {};
      const data: Record<string, Int32Array> = {};
      let g = 'grad_out';
      if (activation !== 'none' && m * n > 0) {
        g = 'grad_pre';
        scratch[g] = spec([m, n]);
        const saved = needsPre(activation) ? 'pre' : 'out';
        dispatches.push(activationBackward('linear-backward', activation, 'grad_out', saved, g, m * n, caps));
      }
      if (isWanted(request, 'grad_x')) {
        outputs.grad_x = spec(x);
        if (m * k > 0)
          dispatches.push(
            matmul(
              {
                label: 'linear-backward',
                ...{ m, n: k, k: n },
                a: { tensor: g, row: n },
                b: { tensor: 'weight', row: k, f16: isF16(request, 'weight') },
                c: { tensor: 'grad_x', row: k },
                accumulate: isAdded(request, 'grad_x'),
              },
              caps,
            ),
          );
      }
      const bias =
        isWanted(request, 'grad_bias') && (request.wanted ?? request.shapes.bias) ? 'grad_bias' : undefined;
      const weight = isWanted(request, 'grad_weight');
      if (weight) outputs.grad_weight = spec([n, k]);
      if (bias) outputs[bias] = spec([n]);
      if (weight && m === 0) dispatches.push(fill('linear-backward', 'grad_weight', n * k, 0, caps));
      if (weight && m * n * k > 0) {
        const gradients = weightGradient('linear-backward', g, 'x', m, n, k, 'grad_weight', caps, bias);
        dispatches.push(...gradients.dispatches);
        Object.assign(scratch, gradients.scratch);
        Object.assign(data, gradients.data);
      } else if (bias) {
        const sums = columnSum('linear-backward', g, m, n, bias, 'bias_partial', caps);
        dispatches.push(...sums.dispatches);
        Object.assign(scratch, sums.scratch);
      }
      return { dispatches, scratch, outputs, data };
    },
  },
};
