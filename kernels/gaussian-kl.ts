/** `gaussian-kl`: divergences between all pairs of diagonal Gaussians, one matrix product a view. */
import { fill } from './shared/elementwise.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  integerParam,
  isWanted,
  shapeOf,
  sizeOf,
  spec,
  type Binding,
  type Caps,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
  type Shape,
} from './plan.ts';
import { InputError } from './errors.ts';
import { lanesFor } from './shared/lanes.ts';
import { lengthsOf } from './shared/lengths.ts';
import { matmul, type Matrix, type MatmulSpec } from './shared/matmul.ts';
import { rowGrid } from './shared/row-reduction.ts';
import gaussianKlWgsl from '../shaders/gaussian-kl.wgsl';
import gaussianKlBackwardWgsl from '../shaders/gaussian-kl-backward.wgsl';
import gaussianKlDiagonalWgsl from '../shaders/gaussian-kl-diagonal.wgsl';
import gaussianKlMomentsWgsl from '../shaders/gaussian-kl-moments.wgsl';
import gaussianKlPairsWgsl from '../shaders/gaussian-kl-pairs.wgsl';

/** Bytes of one scratch tensor at most, unless a single instance takes more. */
const SCRATCH_BYTES = 8 * 2 ** 20;
const LANES = 64;
/** Operations of each shader per dimension of a valid node. */
const MOMENT_FLOPS = 3;
const FACTOR_FLOPS = 44;
const BACKWARD_FLOPS = 32;

interface Problem {
  /** [N, D] or [B, N, D]. */
  shape: Shape;
  outShape: Shape;
  batches: number;
  nodes: number;
  hidden: number;
  views: number;
  /** Dimensions of a view, D / views. */
  n: number;
  /** Elements of a row of factors: two of each dimension, a term and a 1, whole vec4s. */
  stride: number;
  /** Elements of a row of `pairs`. */
  pairStride: number;
  lengths: Int32Array;
  /** Valid nodes of the batch. */
  valid: number;
}

function problemOf(kernel: string, request: PlanRequest): Problem {
  const shape = shapeOf(kernel, request, 'mu');
  if (shape.length !== 2 && shape.length !== 3)
    throw new InputError(`${kernel}: input "mu" must be [N, D] or [B, N, D], got [${shape}]`);
  expectShape(kernel, 'sigma', shapeOf(kernel, request, 'sigma'), shape);
  const [batches, nodes, hidden] = shape.length === 2 ? [1, ...shape] : shape;
  const views = integerParam(kernel, request.params, 'views', undefined, 1);
  if (hidden % views !== 0)
    throw new InputError(`${kernel}: D = ${hidden} is not a multiple of views = ${views}`);
  let lengths: Int32Array = Int32Array.of(nodes);
  if (shape.length === 3) {
    lengths = lengthsOf(kernel, request, batches, nodes);
  } else if (request.shapes.lengths) {
    throw new InputError(`${kernel}: input "lengths" needs "mu" of shape [B, N, D], got [${shape}]`);
  }
  const n = hidden / views;
  return {
    ...{ shape, batches, nodes, hidden, views, n, lengths },
    outShape: [...shape.slice(0, -2), views, nodes, nodes],
    stride: 4 * ceilDiv(2 * n + 2, 4),
    pairStride: 4 * ceilDiv(nodes, 4),
    valid: lengths.reduce((sum, length) => sum + length, 0),
  };
}

const read = (name: string, tensor = name): Binding => ({ name, access: 'read', tensor });
const write = (name: string, tensor = name): Binding => ({ name, access: 'read_write', tensor });
const inputsOf = (): Binding[] => ['mu', 'sigma', 'moments', 'lengths'].map((name) => read(name));

/** moments [2, B, D]: what the nodes of an instance share. */
function momentsOf(label: string, p: Problem, caps: Caps): Dispatch {
  const lanes = lanesFor(p.hidden);
  const size = p.batches * p.hidden;
  return {
    label,
    shader: gaussianKlMomentsWgsl,
    entryPoint: 'main',
    constants: { LANES: lanes },
    bindings: [read('mu'), read('sigma'), read('lengths'), write('moments')],
    uniforms: [size / lanes, p.nodes, p.hidden / lanes],
    workgroups: foldGrid(ceilDiv(size / lanes, LANES), caps),
    macs: 0,
    // Of each element a logarithm and two sums, and at the end two products and exp; of each lane a division.
    flops: MOMENT_FLOPS * p.valid * p.hidden + 3 * size + size / lanes,
    bytesRead: 4 * (2 * p.valid * p.hidden + p.batches),
    bytesWritten: 8 * size,
  };
}

/** Whole instances whose factors are in scratch at a time, and their dispatches. */
class Strip {
  readonly rows: number;
  readonly #valid: number;
  /** Where sums over nodes stop; undefined where all nodes are valid. */
  readonly #limit: MatmulSpec['limit'];

  constructor(
    readonly label: string,
    readonly p: Problem,
    readonly first: number,
    readonly count: number,
    readonly caps: Caps,
    data: Record<string, Int32Array>,
  ) {
    this.rows = count * p.nodes * p.views;
    const lengths = p.lengths.subarray(first, first + count);
    this.#valid = lengths.reduce((sum, length) => sum + length, 0);
    if (this.#valid === count * p.nodes) return;
    const tensor = count === p.batches ? 'lengths' : `lengths.${first}`;
    data[tensor] = lengths;
    this.#limit = { tensor, total: this.#valid };
  }

  /** Elements of the moments of instances with nodes. */
  get #momentsRead(): number {
    const { p, first, count } = this;
    return 2 * p.hidden * p.lengths.subarray(first, first + count).filter((length) => length > 0).length;
  }

  /** left and right [count, N, V, stride], whose products are the divergences. */
  factors(): Dispatch {
    const { p, rows, caps } = this;
    const elements = this.#valid * p.hidden;
    const grid = rowGrid(rows, p.n, caps);
    const width = p.n / grid.uniforms[1];
    return {
      label: this.label,
      shader: gaussianKlWgsl,
      entryPoint: 'main',
      ...grid,
      bindings: [...inputsOf(), write('left'), write('right')],
      uniforms: [
        ...grid.uniforms,
        ...[p.stride / width, p.views, p.nodes, this.first, (p.batches * p.hidden) / width],
      ],
      macs: 0,
      flops: FACTOR_FLOPS * elements + 2 * this.#valid * p.views,
      bytesRead: 4 * (2 * elements + this.#momentsRead + this.count),
      bytesWritten: 8 * rows * p.stride,
    };
  }

  /** One matrix a (instance, view) of a tensor whose rows are (node, view): the factors and sums of them. */
  #byNode(tensor: string): Matrix {
    const { nodes, views, stride } = this.p;
    return { tensor, row: views * stride, outer: nodes * views * stride, inner: stride };
  }

  #pairs(tensor: string, row: number, offset = 0): Matrix {
    const { nodes, views } = this.p;
    return { tensor, row, offset, outer: views * nodes * row, inner: nodes * row };
  }

  #matmul(product: Omit<MatmulSpec, 'label' | 'outer' | 'inner'>): Dispatch {
    return matmul({ label: this.label, outer: this.count, inner: this.p.views, ...product }, this.caps);
  }

  /** out = left · rightᵀ, clamped at 0. */
  divergences(): Dispatch {
    const { nodes, views, stride } = this.p;
    return this.#matmul({
      ...{ m: nodes, n: nodes, k: stride },
      a: this.#byNode('left'),
      b: this.#byNode('right'),
      c: this.#pairs('out', nodes, this.first * views * nodes * nodes),
      transB: true,
      activation: 'relu',
    });
  }

  /** pairs [count, V, N, pairStride]: the gradient without diagonal and padding. */
  pairs(): Dispatch {
    const { nodes, views, pairStride, lengths } = this.p;
    const size = this.rows * pairStride;
    const own = lengths.subarray(this.first, this.first + this.count);
    const pairs = own.reduce((sum, length) => sum + length * Math.max(0, length - 1), 0);
    return {
      label: this.label,
      shader: gaussianKlPairsWgsl,
      entryPoint: 'main',
      constants: {},
      bindings: [read('grad_out'), read('lengths'), write('pairs')],
      uniforms: [size, nodes, pairStride, views, this.first],
      workgroups: foldGrid(ceilDiv(size, LANES), this.caps),
      macs: 0,
      flops: 0,
      bytesRead: 4 * (views * pairs + this.count),
      bytesWritten: 4 * size,
    };
  }

  /** by_row = pairs · right, or by_column = pairsᵀ · left: [count, N, V, stride]. */
  sums(factor: 'left' | 'right'): Dispatch {
    const { nodes, stride, pairStride } = this.p;
    return this.#matmul({
      ...{ m: nodes, n: stride, k: nodes },
      a: this.#pairs('pairs', pairStride),
      b: this.#byNode(factor),
      c: this.#byNode(factor === 'left' ? 'by_column' : 'by_row'),
      transA: factor === 'left',
      limit: this.#limit,
    });
  }

  /** The wanted gradients of the strip's nodes. */
  gradients(wanted: readonly string[]): Dispatch {
    const { p } = this;
    const lanes = lanesFor(p.n);
    const size = this.rows * p.n;
    const elements = this.#valid * p.hidden;
    return {
      label: this.label,
      shader: gaussianKlBackwardWgsl,
      entryPoint: 'main',
      constants: {
        LANES: lanes,
        GRAD_MU: Number(wanted.includes('grad_mu')),
        GRAD_SIGMA: Number(wanted.includes('grad_sigma')),
      },
      bindings: [...inputsOf(), read('by_row'), read('by_column'), ...wanted.map((name) => write(name))],
      uniforms: [
        ...[size / lanes, p.n / lanes, p.stride / lanes, p.views, p.nodes, this.first],
        (p.batches * p.hidden) / lanes,
      ],
      workgroups: foldGrid(ceilDiv(size / lanes, LANES), this.caps),
      macs: 0,
      flops: BACKWARD_FLOPS * elements,
      bytesRead: 4 * (6 * elements + this.#momentsRead + 2 * this.#valid * p.views + this.count),
      bytesWritten: 4 * size * wanted.length,
    };
  }
}

/** The scratch and dispatches of all strips of at most `scratchBytes` a tensor. */
function planStrips(
  label: string,
  p: Problem,
  caps: Caps,
  scratchBytes: number,
  tensors: { factors: readonly string[]; pairs: readonly string[] },
  dispatchesOf: (strip: Strip) => Dispatch[],
): Omit<Plan, 'outputs'> {
  const [factor, pair] = [p.nodes * p.views * p.stride, p.nodes * p.views * p.pairStride];
  const largest = 4 * Math.max(factor, tensors.pairs.length > 0 ? pair : 0);
  const count = Math.min(p.batches, Math.max(1, Math.floor(scratchBytes / largest)));
  const data: Record<string, Int32Array> = { lengths: p.lengths };
  const dispatches = [momentsOf(label, p, caps)];
  for (let first = 0; first < p.batches; first += count)
    dispatches.push(
      ...dispatchesOf(new Strip(label, p, first, Math.min(count, p.batches - first), caps, data)),
    );
  return {
    dispatches,
    scratch: {
      moments: spec([2, p.batches, p.hidden]),
      ...Object.fromEntries(tensors.factors.map((name) => [name, spec([count * factor])])),
      ...Object.fromEntries(tensors.pairs.map((name) => [name, spec([count * pair])])),
    },
    data,
  };
}

/** The plan of an empty problem: all outputs 0. */
const zeros = (label: string, outputs: Plan['outputs'], caps: Caps): Plan => ({
  dispatches: Object.entries(outputs).flatMap(([name, { shape }]) =>
    sizeOf(shape) > 0 ? [fill(label, name, sizeOf(shape), 0, caps)] : [],
  ),
  scratch: {},
  outputs,
  data: {},
});

/** The forward plan with at most `scratchBytes` a tensor of scratch. Errors as `gaussianKl`. */
export function planGaussianKl(request: PlanRequest, scratchBytes: number): Plan {
  const label = 'gaussian-kl';
  const p = problemOf(label, request);
  const { caps } = request;
  const outputs = { out: spec(p.outShape) };
  if (sizeOf(p.shape) === 0) return zeros(label, outputs, caps);
  const planned = planStrips(
    label,
    p,
    caps,
    scratchBytes,
    { factors: ['left', 'right'], pairs: [] },
    (strip) => [strip.factors(), strip.divergences()],
  );
  const size = p.batches * p.views * p.nodes;
  const diagonal: Dispatch = {
    label,
    shader: gaussianKlDiagonalWgsl,
    entryPoint: 'main',
    constants: {},
    bindings: [write('out')],
    uniforms: [size, p.nodes],
    workgroups: foldGrid(ceilDiv(size, LANES), caps),
    ...{ macs: 0, flops: 0, bytesRead: 0, bytesWritten: 4 * size },
  };
  return { ...planned, dispatches: [...planned.dispatches, diagonal], outputs };
}

/** The backward plan with at most `scratchBytes` a tensor of scratch. Errors as `gaussianKl`. */
export function planGaussianKlBackward(request: PlanRequest, scratchBytes: number): Plan {
  const label = 'gaussian-kl-backward';
  const p = problemOf(label, request);
  expectShape(label, 'grad_out', shapeOf(label, request, 'grad_out'), p.outShape);
  const wanted = ['grad_mu', 'grad_sigma'].filter((name) => isWanted(request, name));
  const outputs = Object.fromEntries(wanted.map((name) => [name, spec(p.shape)]));
  if (sizeOf(p.shape) === 0 || wanted.length === 0) return zeros(label, outputs, request.caps);
  const tensors = { factors: ['left', 'right', 'by_row', 'by_column'], pairs: ['pairs'] };
  const planned = planStrips(label, p, request.caps, scratchBytes, tensors, (strip) => [
    strip.factors(),
    strip.pairs(),
    strip.sums('right'),
    strip.sums('left'),
    strip.gradients(wanted),
  ]);
  return { ...planned, outputs };
}

const inputs: readonly Port[] = [
  { name: 'mu', dtype: 'f32', shape: '[N, D] or [B, N, D]' },
  { name: 'sigma', dtype: 'f32', shape: '[N, D] or [B, N, D]' },
  { name: 'lengths', dtype: 'i32', shape: '[B]', optional: true, host: true },
];
const params = [{ name: 'views', doc: 'number of views; divides D' }];
const tables = {
  lengths: 'the host input lengths, as it is: [B]; [N] where there is none',
  'lengths.<row>': 'the host input lengths of the batch rows of one strip, from number <row> on',
};

/**
 * out[v, i, j] = KL(N(μ_i, diag σ_i²) ‖ N(μ_j, diag σ_j²)) = Σ_d log(σ_j/σ_i) + (σ_i² + (μ_i − μ_j)²)/(2σ_j²) − ½ over the
 * dimensions d of view v, for mu and sigma [N, D] → [views, N, N], or [B, N, D] with `lengths` → [B, views, N, N]; 0 on
 * the diagonal, in rows and columns past the length, and where rounding would fall below. No N x N x D tensor exists: the
 * divergence is a dot product of a row of factors of i with one of j (shaders/gaussian-kl.wgsl), in coordinates where
 * the nodes' common mean is 0 and their common scale 1, so that nothing of the size of D or of the mean cancels.
 * Gradient: the formula's, also where it was clamped; nothing passes the diagonal.
 * Errors: InputError on shapes, `views`, `lengths`. σ ≤ 0 cannot be seen from here: that instance then
 * holds anything (WGSL's max may take 0 over NaN), the others what they would.
 */
export const gaussianKl: Kernel = {
  name: 'gaussian-kl',
  doc: 'out[v, i, j] = KL(N(mu_i, sigma_i²) ‖ N(mu_j, sigma_j²)) over the dimensions of view v; sigma > 0',
  inputs,
  outputs: [{ name: 'out', dtype: 'f32', shape: '[views, N, N] or [B, views, N, N]' }],
  params,
  tables,
  plan: (request) => planGaussianKl(request, SCRATCH_BYTES),
  backward: {
    name: 'gaussian-kl-backward',
    doc: 'with τ = 1/σ²: grad_mu and grad_sigma from grad_out · [τ, μτ] and grad_outᵀ · [σ² + μ², μ]',
    inputs: [...inputs, { name: 'grad_out', dtype: 'f32', shape: '[views, N, N] or [B, views, N, N]' }],
    outputs: [
      { name: 'grad_mu', dtype: 'f32', shape: '[N, D] or [B, N, D]' },
      { name: 'grad_sigma', dtype: 'f32', shape: '[N, D] or [B, N, D]' },
    ],
    params,
    tables,
    plan: (request) => planGaussianKlBackward(request, SCRATCH_BYTES),
  },
};
