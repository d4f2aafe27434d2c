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
import { fill } from './shared/elementwise.ts';
import { expectQuads, matmul, rowsOf } from './shared/matmul.ts';
import { weightGradient } from './shared/weight-gradient.ts';
import { partTables } from './shared/table-rules.ts';
import activationBackwardWgsl from '../shaders/activation-backward.wgsl';

const params = [
  {
    name: 'activation',
    doc: 'none, relu, gelu (exact, erf), gelu_tanh (by tanh), tanh, sigmoid or softplus',
    default: 'none',
  },
  {
    name: 'dtype',
    doc: 'how out and pre are stored: f32 or f16, which takes an N of a multiple of 4',
    default: 'f32',
  },
];

/** Checks how `out` is to be stored. */
function parseDtype(kernel: string, value: unknown): 'f32' | 'f16' {
  if (value === undefined || value === 'f32') return 'f32';
  if (value === 'f16') return 'f16';
  throw new InputError(`${kernel}: parameter "dtype" must be f32 or f16, got ${JSON.stringify(value)}`);
}

/**
 * grad_pre = grad_out · activate'(·); `saved` holds the value before gelu, gelu_tanh and softplus, after the others.
 * @param f16 how all three are stored, f32 otherwise; `size` is a multiple of 4 then
 */
export function activationBackward(
  label: string,
  activation: Activation,
  gradOut: string,
  saved: string,
  gradPre: string,
  size: number,
  caps: Caps,
  f16 = false,
): Dispatch {
  const lanes = f16 ? size / 4 : size;
  return {
    label,
    shader: activationBackwardWgsl,
    entryPoint: 'main',
    constants: { F16: Number(f16), ACTIVATION: activationCode(activation) },
    bindings: [
      { name: 'grad_out', access: 'read', tensor: gradOut },
      { name: 'saved', access: 'read', tensor: saved },
      { name: 'grad_pre', access: 'read_write', tensor: gradPre },
    ],
    uniforms: [lanes],
    workgroups: foldGrid(ceilDiv(lanes, 64), caps),
    macs: 0,
    flops: size * activationBackwardFlops(activation),
    bytesRead: (f16 ? 4 : 8) * size,
    bytesWritten: (f16 ? 2 : 4) * size,
  };
}

/**
 * out [..., N] = activate(x [..., K] · weight [N, K]ᵀ + bias [N]); `x` and `weight` may be stored as f16, and with the
 * parameter `dtype` so are `out` and `pre`; products and sums are f32.
 * Saved for the backward: `pre` [..., N] with gelu, gelu_tanh and softplus only.
 * Errors: inner dimensions or bias that do not fit; an `out` in f16 whose N is no multiple of 4.
 */
export const linear: Kernel = {
  name: 'linear',
  doc: 'out = activate(x · weightᵀ + bias)',
  inputs: [
    { name: 'x', dtype: 'f32', shape: '[..., K]', f16: true },
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
    const dtype = parseDtype('linear', request.params.dtype);
    const m = rowsOf(x);
    const shape = [...x.slice(0, -1), n];
    const pre = needsPre(activation);
    const dispatch = matmul(
      {
        label: 'linear',
        ...{ m, n, k },
        a: { tensor: 'x', row: k, f16: isF16(request, 'x') },
        b: { tensor: 'weight', row: k, f16: isF16(request, 'weight') },
        c: { tensor: 'out', row: n, f16: dtype === 'f16' },
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
      outputs: { out: spec(shape, dtype), ...(pre ? { pre: spec(shape, dtype) } : {}) },
      data: {},
    };
  },
  backward: {
    name: 'linear-backward',
    doc: 'g = grad_out · activate′; grad_x = g · weight, grad_weight = gᵀ · x, grad_bias = Σ g',
    inputs: [
      { name: 'x', dtype: 'f32', shape: '[..., K]', f16: true },
      { name: 'weight', dtype: 'f32', shape: '[N, K]', f16: true },
      { name: 'out', dtype: 'f32', shape: '[..., N]', f16: true },
      { name: 'pre', dtype: 'f32', shape: '[..., N]', optional: true, f16: true },
      { name: 'grad_out', dtype: 'f32', shape: '[..., N]', f16: true },
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
      const dtype = parseDtype('linear-backward', request.params.dtype);
      for (const name of ['out', 'pre', 'grad_out'])
        if (request.f16 && request.shapes[name] && isF16(request, name) !== (dtype === 'f16'))
          throw new InputError(`linear-backward: input "${name}" must be ${dtype}, as the parameter "dtype"`);
      const [halfX, halfG] = [isF16(request, 'x'), dtype === 'f16'];
      if (halfG) expectQuads('linear-backward', 'grad_out', n);
      const dispatches: Dispatch[] = [];
      const scratch: Record<string, TensorSpec> = {};
      const outputs: Record<string, TensorSpec> = {};
      const data: Record<string, Int32Array> = {};
      let g = 'grad_out';
      if (activation !== 'none' && m * n > 0) {
        g = 'grad_pre';
        scratch[g] = spec([m, n], dtype);
        const saved = needsPre(activation) ? 'pre' : 'out';
        dispatches.push(
          activationBackward('linear-backward', activation, 'grad_out', saved, g, m * n, caps, halfG),
        );
      }
      if (isWanted(request, 'grad_x')) {
        outputs.grad_x = spec(x, halfX ? 'f16' : 'f32');
        if (m * k > 0)
          dispatches.push(
            matmul(
              {
                label: 'linear-backward',
                ...{ m, n: k, k: n },
                a: { tensor: g, row: n, f16: halfG },
                b: { tensor: 'weight', row: k, f16: isF16(request, 'weight') },
                c: { tensor: 'grad_x', row: k, f16: halfX },
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
        const f16 = { g: halfG, x: halfX };
        const gradients = weightGradient('linear-backward', g, 'x', m, n, k, 'grad_weight', caps, bias, f16);
        dispatches.push(...gradients.dispatches);
        Object.assign(scratch, gradients.scratch);
        Object.assign(data, gradients.data);
      } else if (bias) {
        const sums = columnSum('linear-backward', g, m, n, bias, 'bias_partial', caps, 0, halfG);
        dispatches.push(...sums.dispatches);
        Object.assign(scratch, sums.scratch);
      }
      return { dispatches, scratch, outputs, data };
    },
  },
};
