/** `column-sum`: the sum of a matrix over its rows in a fixed order; bias gradients, and with one column any total. */
import {
  ceilDiv,
  foldGrid,
  shapeOf,
  sizeOf,
  spec,
  type Caps,
  type Dispatch,
  type Kernel,
  type TensorSpec,
} from './plan.ts';
import { fill } from './shared/elementwise.ts';
import broadcastRowsWgsl from '../shaders/broadcast-rows.wgsl';
import columnSumWgsl from '../shaders/column-sum.wgsl';

/** Rows that a lane adds up; slabs that a workgroup adds up, each a lane, and columns of such a workgroup. */
const SLAB = 64;
const MOST_SLABS = 16;
const COLS = 16;

const powerOfTwoFrom = (count: number): number => 2 ** Math.ceil(Math.log2(count));

/**
 * Dispatches that write out[n] = Σ_m x[m, n], and the scratch tensor they need (named `scratch`).
 * Rows are added in order within slabs of 64, slabs likewise, until one is left: the same bits on every run. Up to 1,024
 * rows take one dispatch, up to 65,536 two.
 * @param offset elements of `x` before its first row
 * @param f16 whether `x` is stored so
 */
export function columnSum(
  label: string,
  x: string,
  m: number,
  n: number,
  out: string,
  scratch: string,
  caps: Caps,
  offset = 0,
  f16 = false,
): { dispatches: Dispatch[]; scratch: Record<string, TensorSpec> } {
  if (n === 0) return { dispatches: [], scratch: {} };
  if (m === 0) return { dispatches: [fill(label, out, n, 0, caps)], scratch: {} };
  const dispatches: Dispatch[] = [];
  const buffers: Record<string, TensorSpec> = {};
  let from = x;
  let rows = m;
  for (let level = 0; ; level++) {
    const slabs = ceilDiv(rows, SLAB);
    const last = slabs <= MOST_SLABS;
    const to = last ? out : `${scratch}${level}`;
    if (!last) buffers[to] = spec([slabs, n]);
    // Powers of two: ever new numbers of rows share a few pipelines.
    const SLABS = last ? powerOfTwoFrom(slabs) : 1;
    const columns = SLABS === 1 ? 64 : Math.min(COLS, powerOfTwoFrom(n));
    const parts = last ? 1 : slabs;
    const blocks = ceilDiv(n, columns);
    dispatches.push({
      label,
      shader: columnSumWgsl,
      entryPoint: 'main',
      constants: { F16: Number(f16 && level === 0), SLABS, COLS: columns },
      bindings: [
        { name: 'x', access: 'read', tensor: from },
        { name: 'out', access: 'read_write', tensor: to },
      ],
      uniforms: [rows, n, blocks, parts * blocks, SLAB, level === 0 ? offset : 0],
      workgroups: foldGrid(parts * blocks, caps),
      macs: 0,
      flops: (rows + SLABS - 1) * n,
      bytesRead: (f16 && level === 0 ? 2 : 4) * rows * n,
      bytesWritten: 4 * parts * n,
    });
    if (last) return { dispatches, scratch: buffers };
    from = to;
    rows = slabs;
  }
}

/** out[N] = Σ_m x[m, N]. Gradient: every row of grad_x is grad_out. */
export const columnSumKernel: Kernel = {
  name: 'column-sum',
  doc: 'out[n] = sum over m of x[m, n], in a fixed order',
  inputs: [{ name: 'x', dtype: 'f32', shape: '[M, N]' }],
  outputs: [{ name: 'out', dtype: 'f32', shape: '[N]' }],
  params: [],
  plan(request) {
    const [m, n] = shapeOf('column-sum', request, 'x', 2);
    return {
      ...columnSum('column-sum', 'x', m, n, 'out', 'partial', request.caps),
      outputs: { out: spec([n]) },
      data: {},
    };
  },
  backward: {
    name: 'column-sum-backward',
    doc: 'every row of grad_x is grad_out',
    inputs: [
      { name: 'x', dtype: 'f32', shape: '[M, N]' },
      { name: 'grad_out', dtype: 'f32', shape: '[N]' },
    ],
    outputs: [{ name: 'grad_x', dtype: 'f32', shape: '[M, N]' }],
    params: [],
    plan(request) {
      const shape = shapeOf('column-sum-backward', request, 'x', 2);
      return {
        dispatches: [
          broadcastRows('column-sum-backward', 'grad_out', 'grad_x', shape[0], shape[1], request.caps),
        ],
        scratch: {},
        outputs: { grad_x: spec(shape) },
        data: {},
      };
    },
  },
};

/** `sum`: the sum of all elements, a scalar. Gradient: grad_out everywhere. */
export const sum: Kernel = {
  name: 'sum',
  doc: 'out = sum of all elements of x',
  inputs: [{ name: 'x', dtype: 'f32', shape: '[...]' }],
  outputs: [{ name: 'out', dtype: 'f32', shape: '[]' }],
  params: [],
  plan(request) {
    const size = sizeOf(shapeOf('sum', request, 'x'));
    return {
      ...columnSum('sum', 'x', size, 1, 'out', 'partial', request.caps),
      outputs: { out: spec([]) },
      data: {},
    };
  },
  backward: {
    name: 'sum-backward',
    doc: 'grad_x = grad_out everywhere',
    inputs: [
      { name: 'x', dtype: 'f32', shape: '[...]' },
      { name: 'grad_out', dtype: 'f32', shape: '[]' },
    ],
    outputs: [{ name: 'grad_x', dtype: 'f32', shape: '[...]' }],
    params: [],
    plan(request) {
      const shape = shapeOf('sum-backward', request, 'x');
      return {
        dispatches: [broadcastRows('sum-backward', 'grad_out', 'grad_x', sizeOf(shape), 1, request.caps)],
        scratch: {},
        outputs: { grad_x: spec(shape) },
        data: {},
      };
    },
  },
};

function broadcastRows(label: string, row: string, out: string, m: number, n: number, caps: Caps): Dispatch {
  const size = m * n;
  return {
    label,
    shader: broadcastRowsWgsl,
    entryPoint: 'main',
    constants: {},
    bindings: [
      { name: 'row', access: 'read', tensor: row },
      { name: 'out', access: 'read_write', tensor: out },
    ],
    uniforms: [size, n],
    workgroups: foldGrid(ceilDiv(size, 64), caps),
    macs: 0,
    flops: 0,
    bytesRead: 4 * n,
    bytesWritten: 4 * size,
  };
}
