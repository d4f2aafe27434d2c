/** `layer-norm`: out = (s − mean) / √(var + eps) · weight + bias over the last axis, s = x + residual. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  f32,
  foldGrid,
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
import { columnSum } from './column-sum.ts';
import { fill } from './elementwise.ts';
import { rowsOf } from './shared/matmul.ts';
import { rowGrid } from './shared/row-reduction.ts';

/** Rows that one invocation of the parameter gradients adds up. */
const SLAB = 32;

const read = (name: string): Binding => ({ name, access: 'read', tensor: name });
const write = (name: string, tensor = name): Binding => ({ name, access: 'read_write', tensor });

const x: Port = { name: 'x', dtype: 'f32', shape: '[..., d]' };
const weight: Port = { name: 'weight', dtype: 'f32', shape: '[d]' };
const residual: Port = { name: 'residual', dtype: 'f32', shape: '[..., d]', optional: true };
const mean: Port = { name: 'mean', dtype: 'f32', shape: '[...]' };
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

/** Gradient of x + residual, written to `outputs` (one tensor or two). */
function sumGradient(sizes: Sizes, outputs: readonly string[], caps: Caps): Dispatch {
  const { rows, d, RESIDUAL } = sizes;
  const { constants, uniforms, workgroups } = rowGrid(rows, d, caps);
  return {
    label: 'layer-norm-backward',
    shader: 'layer-norm-backward',
    entryPoint: 'main',
    constants: { ...constants, RESIDUAL, COPY: outputs.length - 1 },
    bindings: [
      read('x'),
      ...(RESIDUAL ? [read('residual')] : []),
      ...['weight', 'mean', 'rstd', 'grad_out'].map(read),
      ...outputs.map((tensor, i) => write(['grad_s', 'grad_copy'][i], tensor)),
    ],
    uniforms: [...uniforms, f32(d)],
    workgroups,
    macs: 2 * rows * d,
    flops: 4 * rows * d + rows * ((9 + 2 * RESIDUAL) * d + 2),
    bytesRead: 4 * ((2 + RESIDUAL) * rows * d + d + 2 * rows),
    bytesWritten: 4 * rows * d * outputs.length,
  };
}

/** Gradients of weight and bias, as wanted: sums over slabs of rows, then over the slabs, in a fixed order. */
function parameterGradients(
  sizes: Sizes,
  wanted: readonly string[],
  caps: Caps,
): { dispatches: Dispatch[]; scratch: Record<string, TensorSpec> } {
  const { rows, d, RESIDUAL } = sizes;
  const label = 'layer-norm-backward';
  const slabs = ceilDiv(rows, SLAB);
  const blocks = ceilDiv(d, 64);
  const scratch: Record<string, TensorSpec> = {};
  /** Where the slabs of a gradient go: to the gradient itself when there is one slab. */
  const target = (name: string): string => {
    if (slabs === 1 && wanted.includes(name)) return name;
    scratch[`${name}_slabs`] = spec([slabs, d]);
    return `${name}_slabs`;
  };
  const dispatches: Dispatch[] = [
    {
      label,
      shader: 'layer-norm-parameters',
      entryPoint: 'main',
      constants: { RESIDUAL },
      bindings: [
        read('x'),
        ...(RESIDUAL ? [read('residual')] : []),
        ...['mean', 'rstd', 'grad_out'].map(read),
        ...['grad_weight', 'grad_bias'].map((name) => write(name, target(name))),
      ],
      uniforms: [rows, d, blocks, slabs * blocks, SLAB],
      workgroups: foldGrid(slabs * blocks, caps),
      macs: rows * d,
      flops: (5 + RESIDUAL) * rows * d,
      bytesRead: 4 * ((2 + RESIDUAL) * rows * d + 2 * rows),
      bytesWritten: 8 * slabs * d,
    },
  ];
  if (slabs > 1)
    for (const name of wanted) {
      const sum = columnSum(label, `${name}_slabs`, slabs, d, name, `${name}_partial`, caps);
      dispatches.push(...sum.dispatches);
      Object.assign(scratch, sum.scratch);
    }
  return { dispatches, scratch };
}

const params = [{ name: 'eps', doc: 'added to the variance; at least 0', default: 1e-5 }];

/**
 * out [..., d] = (s − mean) / √(var + eps) · weight [d] + bias [d], s = x [..., d] (+ residual [..., d]), mean and
 * (biased, two-pass) variance over the last axis (docs/spec.md#layer-norm). Saved for the backward: `mean`, `rstd`
 * [...].
 * Errors: shapes that do not fit, a negative eps.
 *
 * Forward: 2 multiply-adds and 4 further operations per element (7 with a residual, added in each of three walks), 5
 * per row. Backward of s: 2 and 9 (11) per element, 2 per row; of weight and bias: 1 and 3 (4), and the slabs' sums.
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
      shader: 'layer-norm',
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
      flops: 4 * size + (4 + 3 * RESIDUAL) * size + 5 * rows,
      bytesRead: 4 * ((1 + RESIDUAL) * size + 2 * d),
      bytesWritten: 4 * (size + 2 * rows),
    };
    const leading = shape.slice(0, -1);
    return {
      dispatches: size > 0 ? [dispatch] : [],
      scratch: {},
      outputs: { out: spec(shape), mean: spec(leading), rstd: spec(leading) },
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
    params: [],
    plan(request) {
      const { caps } = request;
      const sizes = sizesOf('layer-norm-backward', request);
      const { shape, rows, d, RESIDUAL } = sizes;
      for (const name of ['mean', 'rstd'])
        expectShape(
          'layer-norm-backward',
          name,
          shapeOf('layer-norm-backward', request, name),
          shape.slice(0, -1),
        );
      expectShape(
        'layer-norm-backward',
        'grad_out',
        shapeOf('layer-norm-backward', request, 'grad_out'),
        shape,
      );
      const wanted = (names: readonly string[]): string[] => names.filter((name) => isWanted(request, name));
      const rowGradients = wanted(RESIDUAL ? ['grad_x', 'grad_residual'] : ['grad_x']);
      const columnGradients = wanted(['grad_weight', 'grad_bias']);
      const dispatches: Dispatch[] = [];
      let scratch: Record<string, TensorSpec> = {};
      if (rows * d > 0) {
        if (rowGradients.length > 0) dispatches.push(sumGradient(sizes, rowGradients, caps));
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
