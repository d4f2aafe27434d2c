/** `layer-norm`: out = (s − mean) / √(var + eps) · weight + bias over the last axis, s = x + residual. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  f32,
  foldGrid,
  isAdded,
  isWanted,
  numberParam,
  shapeOf,
  spec,
  type Binding,
  type Caps,
  type Dispatch,
  type Kernel,
  type PlanRequest,
  type Port,
  type Shape,
  type TensorSpec,
} from './plan.ts';
import { fill } from './shared/elementwise.ts';
import { rowsOf } from './shared/matmul.ts';
import { rowGrid } from './shared/row-reduction.ts';
import layerNormWgsl from '../shaders/layer-norm.wgsl';
import layerNormBackwardWgsl from '../shaders/layer-norm-backward.wgsl';
import layerNormColumnsWgsl from '../shaders/layer-norm-columns.wgsl';
import layerNormParametersWgsl from '../shaders/layer-norm-parameters.wgsl';

/** Rows that one lane of the parameter gradients adds up, columns of a workgroup, and slabs of a column at most. */
const SLAB = 32;
const COLS = 16;
const MOST_SLABS = 16;
/** Lanes of a workgroup where a lane adds up whole columns: a CPU's vector, so that few columns still use all cores. */
const COLUMN_LANES = 4;

const read = (name: string): Binding => ({ name, access: 'read', tensor: name });
const write = (name: string, tensor = name): Binding => ({ name, access: 'read_write', tensor });

const x: Port = { name: 'x', dtype: 'f32', shape: '[..., d]' };
const weight: Port = { name: 'weight', dtype: 'f32', shape: '[d]' };
const residual: Port = { name: 'residual', dtype: 'f32', shape: '[..., d]', optional: true };
/** The mean of a row and what it lacks: s − mean₀ − mean₁ is s less the mean, rounded once. */
const mean: Port = { name: 'mean', dtype: 'f32', shape: '[..., 2]' };
const rstd: Port = { name: 'rstd', dtype: 'f32', shape: '[...]' };

interface Sizes {
  shape: Shape;
  rows: number;
  d: number;
  /** 1 with a residual. */
  RESIDUAL: number;
}

function sizesOf(kernel: string, request: PlanRequest): Sizes {
  const shape = shapeOf(kernel, request, 'x');
  if (shape.length === 0) throw new InputError(`${kernel}: input "x" must have at least 1 dimension, got []`);
  const d = shape[shape.length - 1];
  expectShape(kernel, 'weight', shapeOf(kernel, request, 'weight'), [d]);
  const added = request.shapes.residual;
  if (added) expectShape(kernel, 'residual', added, shape);
  return { shape, rows: rowsOf(shape), d, RESIDUAL: Number(added !== undefined) };
}

/** Gradient of x + residual, written to `outputs` (one tensor or two) or added to those of them in `request.add`. */
function sumGradient(sizes: Sizes, outputs: readonly string[], request: PlanRequest): Dispatch {
  const { rows, d, RESIDUAL } = sizes;
  const { caps } = request;
  const [ADD = 0, ADD_COPY = 0] = outputs.map((name) => Number(isAdded(request, name)));
  const { constants, uniforms, workgroups } = rowGrid(rows, d, caps);
  return {
    label: 'layer-norm-backward',
    shader: layerNormBackwardWgsl,
    entryPoint: 'main',
    constants: { ...constants, RESIDUAL, COPY: outputs.length - 1, ADD, ADD_COPY },
    bindings: [
      read('x'),
      ...(RESIDUAL ? [read('residual')] : []),
      ...['weight', 'mean', 'rstd', 'grad_out'].map(read),
      ...outputs.map((tensor, i) => write(['grad_s', 'grad_copy'][i], tensor)),
    ],
    uniforms: [...uniforms, f32(d)],
    workgroups,
    macs: 2 * rows * d,
    flops: 4 * rows * d + rows * ((11 + 2 * RESIDUAL + ADD + ADD_COPY) * d + 2),
    bytesRead: 4 * ((2 + RESIDUAL + ADD + ADD_COPY) * rows * d + d + 3 * rows),
    bytesWritten: 4 * rows * d * outputs.length,
  };
}

/**
 * Gradients of weight and bias, as wanted: both in one pass over up to 512 rows, in parts of 512 and a pass over the parts
 * where there are more; on a software device, where a barrier costs as much as a hundred elements, always in one and without
 * barriers. The additions have one order.
 */
function parameterGradients(
  sizes: Sizes,
  wanted: readonly string[],
  caps: Caps,
): { dispatches: Dispatch[]; scratch: Record<string, TensorSpec> } {
  const { rows, d, RESIDUAL } = sizes;
  const slabs = ceilDiv(rows, SLAB);
  // A power of two: batches of ever new lengths share a few pipelines.
  const SLABS = Math.min(MOST_SLABS, 2 ** Math.ceil(Math.log2(slabs)));
  const parts = ceilDiv(slabs, SLABS);
  const blocks = ceilDiv(d, COLS);
  const names = ['grad_weight', 'grad_bias'];
  const scratch: Record<string, TensorSpec> = {};
  /** The gradient itself, or a scratch tensor for one that is not wanted. */
  const target = (name: string): string => {
    if (wanted.includes(name)) return name;
    scratch[`${name}_unwanted`] = spec([d]);
    return `${name}_unwanted`;
  };
  const targets = names.map(target);
  const inputs = [
    read('x'),
    ...(RESIDUAL ? [read('residual')] : []),
    ...['mean', 'rstd', 'grad_out'].map(read),
  ];
  const cost = { macs: rows * d, bytesRead: 4 * ((2 + RESIDUAL) * rows * d + 3 * rows) };
  if (caps.software) {
    const VEC = Number(d % 4 === 0);
    const columns = VEC ? d / 4 : d;
    const dispatch = {
      ...{ label: 'layer-norm-backward', shader: layerNormColumnsWgsl, entryPoint: 'main' },
      ...cost,
      constants: { RESIDUAL, VEC, WG: COLUMN_LANES, SLABS: MOST_SLABS, SLAB },
      bindings: [...inputs, ...names.map((name, i) => write(name, targets[i]))],
      uniforms: [rows, columns],
      workgroups: foldGrid(ceilDiv(columns, COLUMN_LANES), caps),
      flops: (6 + RESIDUAL) * rows * d + 2 * (slabs + ceilDiv(slabs, MOST_SLABS)) * d,
      bytesWritten: 8 * d,
    };
    return { dispatches: [dispatch], scratch };
  }
  const partNames = parts === 1 ? targets : names.map((name) => `${name}_parts`);
  if (parts > 1) for (const name of partNames) scratch[name] = spec([parts, d]);
  const common = { label: 'layer-norm-backward', shader: layerNormParametersWgsl, entryPoint: 'main' };
  const dispatches: Dispatch[] = [
    {
      ...common,
      ...cost,
      constants: { STAGE: 0, RESIDUAL, COLS, SLABS, SLAB },
      bindings: [...inputs, ...names.map((name, i) => write(name, partNames[i]))],
      uniforms: [rows, d, blocks, parts * blocks],
      workgroups: foldGrid(parts * blocks, caps),
      flops: (6 + RESIDUAL) * rows * d + 2 * (slabs - parts) * d,
      bytesWritten: 8 * parts * d,
    },
  ];
  if (parts > 1)
    dispatches.push({
      ...common,
      constants: { STAGE: 1 },
      bindings: [
        ...['weight_parts', 'bias_parts'].map((name, i) => ({ ...read(name), tensor: partNames[i] })),
        ...names.map((name, i) => write(name, targets[i])),
      ],
      uniforms: [parts, d],
      workgroups: foldGrid(ceilDiv(d, 64), caps),
      macs: 0,
      flops: 2 * parts * d,
      bytesRead: 8 * parts * d,
      bytesWritten: 8 * d,
    });
  return { dispatches, scratch };
}

const params = [{ name: 'eps', doc: 'added to the variance; at least 0', default: 1e-5 }];

/**
 * out [..., d] = (s − mean) / √(var + eps) · weight [d] + bias [d], s = x [..., d] (+ residual [..., d]), mean and
 * (biased, corrected two-pass) variance over the last axis (docs/spec.md#layer-norm). Saved for the backward: `mean`
 * [..., 2], the mean and what it lacks, and `rstd` [...]. A mean far from 0 costs no accuracy: 10⁷ … 10⁷ + 3 is as good as
 * 0 … 3. Where Σ (s − mean)² is over float32's 3.4·10³⁸ (deviations of 10¹⁸ in a row of 300), `out` is `bias`, as
 * PyTorch's float32 gives.
 * Errors: shapes that do not fit, a negative eps.
 *
 * Forward: 2 multiply-adds and 6 further operations per element (9 with a residual, added in each of three walks), 8
 * per row. Backward of s: 2 and 11 (13) per element, 2 per row; of weight and bias: 1 and 4 (5), and the sums of slabs.
 */
export const layerNorm: Kernel = {
  name: 'layer-norm',
  doc: 'out = (s − mean) / √(var + eps) · weight + bias over the last axis, s = x + residual',
  inputs: [x, weight, { name: 'bias', dtype: 'f32', shape: '[d]' }, residual],
  outputs: [
    { name: 'out', dtype: 'f32', shape: '[..., d]' },
    { ...mean, saved: true },
    { ...rstd, saved: true },
  ],
  params,
  plan(request) {
    const { shape, rows, d, RESIDUAL } = sizesOf('layer-norm', request);
    expectShape('layer-norm', 'bias', shapeOf('layer-norm', request, 'bias'), [d]);
    const eps = numberParam('layer-norm', request.params, 'eps', 1e-5);
    if (eps < 0) throw new InputError(`layer-norm: parameter "eps" must be at least 0, got ${eps}`);
    const size = rows * d;
    const { constants, uniforms, workgroups } = rowGrid(rows, d, request.caps);
    const dispatch: Dispatch = {
      label: 'layer-norm',
      shader: layerNormWgsl,
      entryPoint: 'main',
      constants: { ...constants, RESIDUAL },
      bindings: [
        read('x'),
        ...(RESIDUAL ? [read('residual')] : []),
        ...['weight', 'bias'].map(read),
        ...['out', 'mean', 'rstd'].map((name) => write(name)),
      ],
      uniforms: [...uniforms, f32(d), f32(eps)],
      workgroups,
      macs: 2 * size,
      flops: 4 * size + (6 + 3 * RESIDUAL) * size + 8 * rows,
      bytesRead: 4 * ((1 + RESIDUAL) * size + 2 * d),
      bytesWritten: 4 * (size + 3 * rows),
    };
    const leading = shape.slice(0, -1);
    return {
      dispatches: size > 0 ? [dispatch] : [],
      scratch: {},
      outputs: { out: spec(shape), mean: spec([...leading, 2]), rstd: spec(leading) },
      data: {},
    };
  },
  backward: {
    name: 'layer-norm-backward',
    doc: 'grad_x = grad_residual = (g − avg(g) − z · avg(g · z)) · rstd, grad_weight = Σ grad_out · z, grad_bias = Σ grad_out',
    inputs: [x, weight, residual, mean, rstd, { name: 'grad_out', dtype: 'f32', shape: '[..., d]' }],
    outputs: [
      { name: 'grad_x', dtype: 'f32', shape: '[..., d]' },
      { name: 'grad_weight', dtype: 'f32', shape: '[d]' },
      { name: 'grad_bias', dtype: 'f32', shape: '[d]' },
      { name: 'grad_residual', dtype: 'f32', shape: '[..., d]', optional: true },
    ],
    adds: ['grad_x', 'grad_residual'],
    params: [],
    plan(request) {
      const { caps } = request;
      const sizes = sizesOf('layer-norm-backward', request);
      const { shape, rows, d, RESIDUAL } = sizes;
      const leading = shape.slice(0, -1);
      for (const [name, expected] of [
        ['mean', [...leading, 2]],
        ['rstd', leading],
        ['grad_out', shape],
      ] as const)
        expectShape('layer-norm-backward', name, shapeOf('layer-norm-backward', request, name), expected);
      const wanted = (names: readonly string[]): string[] => names.filter((name) => isWanted(request, name));
      const rowGradients = wanted(RESIDUAL ? ['grad_x', 'grad_residual'] : ['grad_x']);
      const columnGradients = wanted(['grad_weight', 'grad_bias']);
      const dispatches: Dispatch[] = [];
      let scratch: Record<string, TensorSpec> = {};
      if (rows * d > 0) {
        if (rowGradients.length > 0) dispatches.push(sumGradient(sizes, rowGradients, request));
        if (columnGradients.length > 0) {
          const parameters = parameterGradients(sizes, columnGradients, caps);
          dispatches.push(...parameters.dispatches);
          scratch = parameters.scratch;
        }
      } else dispatches.push(...columnGradients.map((name) => fill('layer-norm-backward', name, d, 0, caps)));
      return {
        dispatches,
        scratch,
        outputs: Object.fromEntries([
          ...rowGradients.map((name) => [name, spec(shape)] as const),
          ...columnGradients.map((name) => [name, spec([d])] as const),
        ]),
        data: {},
      };
    },
  },
};
