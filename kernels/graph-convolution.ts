/** `graph-convolution`: nodes gather their neighbours, by one adjacency a view, then ReLU. */
import { fill } from './shared/elementwise.ts';
import { activationBackward } from './linear.ts';
import {
  expectShape,
  isWanted,
  shapeOf,
  sizeOf,
  spec,
  type Caps,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
  type Shape,
} from './plan.ts';
import { InputError } from './errors.ts';
import { lengthsOf } from './shared/lengths.ts';
import { matmul, type Matrix, type MatmulSpec } from './shared/matmul.ts';
import { clearPadding } from './shared/padding.ts';
import { lengthsTable } from './shared/table-rules.ts';

/** Shapes and host values of a request, checked, and the matrices of its products. */
class Problem {
  readonly adjacency: Shape;
  readonly x: Shape;
  readonly lengths: Int32Array;
  /** Columns of a view. */
  readonly width: number;
  readonly #limit: MatmulSpec['limit'];

  constructor(
    readonly label: string,
    request: PlanRequest,
    readonly caps: Caps,
  ) {
    this.x = shapeOf(label, request, 'x', 3);
    const [batches, nodes, width] = this.x;
    this.adjacency = shapeOf(label, request, 'adjacency', 4);
    const views = this.adjacency[1];
    expectShape(label, 'adjacency', this.adjacency, [batches, views, nodes, nodes]);
    if (views === 0 || width % views !== 0)
      throw new InputError(`${label}: x has ${width} columns, not a multiple of adjacency's ${views} views`);
    this.width = width / views;
    this.lengths = lengthsOf(label, request, batches, nodes);
    const total = this.lengths.reduce((sum, length) => sum + length, 0);
    if (total < batches * nodes) this.#limit = { tensor: 'lengths', total };
  }

  /** One matrix a (batch, view) of a [B, views, N, N] tensor. */
  pairs(tensor: string): Matrix {
    const [, views, nodes] = this.adjacency;
    return { tensor, row: nodes, outer: views * nodes * nodes, inner: nodes * nodes };
  }

  /** One matrix a (batch, view) of a [B, N, g] tensor: the view's columns. */
  columns(tensor: string): Matrix {
    const [, nodes, width] = this.x;
    return { tensor, row: width, outer: nodes * width, inner: this.width };
  }

  matmul(product: Omit<MatmulSpec, 'label' | 'outer' | 'inner'>): Dispatch {
    const [outer, inner] = this.adjacency;
    return matmul({ label: this.label, outer, inner, ...product }, this.caps);
  }

  /** c [N, width] = a [N, N] or its transpose · b [N, width], over the valid nodes; 0 in padding. */
  gather(a: string, b: string, c: string, more: Partial<MatmulSpec>): Dispatch[] {
    const m = this.x[1];
    const product = { m, n: this.width, k: m, a: this.pairs(a), b: this.columns(b), c: this.columns(c) };
    return [this.matmul({ ...product, limit: this.#limit, ...more }), ...this.clear(c, this.x)];
  }

  /** Zeros in the padding of a tensor of shape [B, N, g] or [B, views, N, N]. */
  clear(tensor: string, shape: Shape): Dispatch[] {
    const square = shape.length === 4;
    return clearPadding(this.label, tensor, shape, this.lengths, this.caps, square);
  }
}

function planForward(request: PlanRequest): Plan {
  const p = new Problem('graph-convolution', request, request.caps);
  return {
    dispatches: sizeOf(p.x) > 0 ? p.gather('adjacency', 'x', 'out', { activation: 'relu' }) : [],
    scratch: {},
    outputs: { out: spec(p.x) },
    data: { lengths: p.lengths },
  };
}

function planBackward(request: PlanRequest): Plan {
  const label = 'graph-convolution-backward';
  const { caps } = request;
  const p = new Problem(label, request, caps);
  for (const name of ['out', 'grad_out']) expectShape(label, name, shapeOf(label, request, name), p.x);
  const shapes: Record<string, Shape> = { grad_adjacency: p.adjacency, grad_x: p.x };
  const wanted = Object.keys(shapes).filter((name) => isWanted(request, name));
  const outputs = Object.fromEntries(wanted.map((name) => [name, spec(shapes[name])]));
  const size = sizeOf(p.x);
  if (size === 0) {
    const empty = wanted.filter((name) => sizeOf(shapes[name]) > 0);
    const dispatches = empty.map((name) => fill(label, name, sizeOf(shapes[name]), 0, caps));
    return { dispatches, scratch: {}, outputs, data: {} };
  }
  const dispatches = [activationBackward(label, 'relu', 'grad_out', 'out', 'grad_pre', size, caps)];
  if (wanted.includes('grad_adjacency')) {
    const nodes = p.x[1];
    const operands = { a: p.columns('grad_pre'), b: p.columns('x'), c: p.pairs('grad_adjacency') };
    dispatches.push(
      p.matmul({ m: nodes, n: nodes, k: p.width, ...operands, transB: true }),
      ...p.clear('grad_adjacency', p.adjacency),
    );
  }
  if (wanted.includes('grad_x'))
    dispatches.push(...p.gather('adjacency', 'grad_pre', 'grad_x', { transA: true }));
  return { dispatches, scratch: { grad_pre: spec(p.x) }, outputs, data: { lengths: p.lengths } };
}

const inputs: readonly Port[] = [
  { name: 'adjacency', dtype: 'f32', shape: '[B, views, N, N]' },
  { name: 'x', dtype: 'f32', shape: '[B, N, g]' },
  { name: 'lengths', dtype: 'i32', shape: '[B]', host: true },
];
const out: Port = { name: 'out', dtype: 'f32', shape: '[B, N, g]' };

/**
 * out = ReLU([A_1 x_1 ; … ; A_K x_K]), x_v the v-th of K chunks of g / K columns of x [B, N, g], over the first `lengths`
 * nodes of every graph; padded rows are 0, and padding of adjacency and x may hold anything.
 * Gradients with h = grad_out where out > 0: grad_adjacency_v = h_v x_vᵀ, grad_x_v = A_vᵀ h_v.
 * Errors: InputError on shapes, on views that do not divide g, on lengths.
 */
export const graphConvolution: Kernel = {
  name: 'graph-convolution',
  doc: 'out = ReLU of adjacency_v · (columns of view v of x), views side by side, over the valid nodes',
  inputs,
  outputs: [out],
  params: [],
  tables: lengthsTable,
  plan: planForward,
  backward: {
    name: 'graph-convolution-backward',
    doc: 'h = grad_out where out > 0; by view grad_adjacency = h · xᵀ, grad_x = adjacencyᵀ · h',
    inputs: [...inputs, out, { ...out, name: 'grad_out' }],
    outputs: [
      { name: 'grad_adjacency', dtype: 'f32', shape: '[B, views, N, N]' },
      { name: 'grad_x', dtype: 'f32', shape: '[B, N, g]' },
    ],
    params: [],
    tables: lengthsTable,
    plan: planBackward,
  },
};
