/** `graph-adjacency`: row-normalised weights of a graph with self loops, [B, views, N, N]. */
import {
  expectShape,
  shapeOf,
  sizeOf,
  spec,
  type Binding,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
} from './plan.ts';
import { InputError } from './errors.ts';
import { lengthsOf } from './shared/lengths.ts';
import { rowGrid } from './shared/row-reduction.ts';
import { lengthsTable } from './shared/table-rules.ts';
import graphAdjacencyWgsl from '../shaders/graph-adjacency.wgsl';

const read = (name: string): Binding => ({ name, access: 'read', tensor: name });

function plan(kernel: string, request: PlanRequest, output: string): Plan {
  const backward = output !== 'out';
  const shape = shapeOf(kernel, request, 'weights', 4);
  const [batches, views, n, columns] = shape;
  if (n !== columns)
    throw new InputError(`${kernel}: input "weights" must be [B, views, N, N], got [${shape}]`);
  if (backward) expectShape(kernel, 'grad_out', shapeOf(kernel, request, 'grad_out'), shape);
  const lengths = lengthsOf(kernel, request, batches, n);
  const rows = batches * views * n;
  const grid = rowGrid(rows, n, request.caps, false);
  const pairs = views * lengths.reduce((sum, length) => sum + length * length, 0);
  const validRows = views * lengths.reduce((sum, length) => sum + length, 0);
  const macs = backward ? pairs : 0;
  const dispatch: Dispatch = {
    label: kernel,
    shader: graphAdjacencyWgsl,
    entryPoint: 'main',
    ...grid,
    constants: { ...grid.constants, BACKWARD: Number(backward) },
    bindings: [
      ...[read('weights'), read('lengths')],
      ...(backward ? [read('grad_out')] : []),
      { name: backward ? 'grad_weights' : 'out', access: 'read_write', tensor: output },
    ],
    uniforms: [...grid.uniforms, views],
    macs,
    // By pair the sum, the self loop, and the scale; backward a difference too. By row 1 +, a division, the mean.
    flops: 2 * macs + (backward ? 4 : 3) * pairs + (backward ? 3 : 2) * validRows,
    bytesRead: 4 * ((backward ? 4 : 2) * pairs + batches),
    bytesWritten: 4 * sizeOf(shape),
  };
  return {
    dispatches: sizeOf(shape) > 0 ? [dispatch] : [],
    scratch: {},
    outputs: { [output]: spec(shape) },
    data: { lengths },
  };
}

const inputs: readonly Port[] = [
  { name: 'weights', dtype: 'f32', shape: '[B, views, N, N]' },
  { name: 'lengths', dtype: 'i32', shape: '[B]', host: true },
];
const out: Port = { name: 'out', dtype: 'f32', shape: '[B, views, N, N]' };

/**
 * out = (w + I) / (1 + row sum of w) over the first `lengths` nodes of every graph, rows of which sum to 1: GDPNet's
 * normalisation (Xue et al. 2021). For weights ≥ 0, as divergences are. 0 in rows and columns past the length, whose
 * weights may hold anything. Gradient: grad_w[i, j] = (g[i, j] − Σ_k g[i, k] out[i, k]) / (1 + row sum of w).
 * Errors: InputError on weights that are not square, on lengths.
 */
export const graphAdjacency: Kernel = {
  name: 'graph-adjacency',
  doc: 'out = (weights + I) / (1 + row sum of weights) over the valid nodes of each graph; 0 in padding',
  inputs,
  outputs: [out],
  params: [],
  tables: lengthsTable,
  plan: (request) => plan('graph-adjacency', request, 'out'),
  backward: {
    name: 'graph-adjacency-backward',
    doc: 'grad_weights = (grad_out − row sum of grad_out · out) / (1 + row sum of weights)',
    inputs: [...inputs, { ...out, name: 'grad_out' }],
    outputs: [{ ...out, name: 'grad_weights' }],
    params: [],
    tables: lengthsTable,
    plan: (request) => plan('graph-adjacency-backward', request, 'grad_weights'),
  },
};
