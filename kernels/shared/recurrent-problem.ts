/** What the forms of a recurrence share: the cell, the checked request. */
import { InputError } from '../errors.ts';
import { lengthsOf } from './lengths.ts';
import type { PlanPart } from './segments.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  shapeOf,
  type Binding,
  type Caps,
  type Dispatch,
  type PlanRequest,
  type Shader,
} from '../plan.ts';
import recurrentRowsWgsl from '../../shaders/recurrent-rows.wgsl';

/** A recurrent cell; its mathematics is in shaders/<name>.wgsl and shaders/<name>-backward.wgsl. */
export interface CellSpec {
  name: 'lstm' | 'gru';
  /** Of the recurrence. */
  wgsl: { forward: Shader; backward: Shader };
  doc: string;
  backwardDoc: string;
  /** Gates in PyTorch's order: 4 (i, f, g, o) or 3 (r, z, n). */
  gates: 3 | 4;
  /** What the saved tensor `state` holds. */
  state: string;
  /** Operations per unit and step besides the product with W_hh, forward and backward. */
  flops: number;
  backwardFlops: number;
}

/** Shapes and host values of a request, checked. */
export interface Problem {
  b: number;
  length: number;
  d: number;
  h: number;
  /** Gates times h: rows of a weight. */
  g: number;
  /** '' and, with `bidirectional`, '_reverse'. */
  suffixes: readonly string[];
  lengths: Int32Array;
  /** Valid tokens of all rows, and those with one before them. */
  tokens: number;
  pairs: number;
}

export const params = [
  { name: 'bidirectional', doc: "also run from each row's last valid token to its first", default: false },
];

/**
 * The checked request of a recurrent kernel or, without `biases` among its inputs, of its backward.
 * Errors: InputError on shapes that disagree, `bidirectional`, a length outside 0..L.
 */
export function problemOf(kernel: string, gates: number, request: PlanRequest, biases: boolean): Problem {
  const bidirectional = request.params.bidirectional ?? false;
  if (typeof bidirectional !== 'boolean')
    throw new InputError(
      `${kernel}: parameter "bidirectional" must be true or false, got ${JSON.stringify(bidirectional)}`,
    );
  const surplus = Object.keys(request.shapes).find((name) => name.endsWith('_reverse'));
  if (surplus && !bidirectional)
    throw new InputError(`${kernel}: input "${surplus}" needs the parameter "bidirectional": true`);
  const suffixes = bidirectional ? ['', '_reverse'] : [''];
  const [b, length, d] = shapeOf(kernel, request, 'x', 3);
  const h = shapeOf(kernel, request, 'weight_hh_l0', 2)[1];
  const g = gates * h;
  for (const suffix of suffixes) {
    const expected: Record<string, readonly number[]> = { weight_ih: [g, d], weight_hh: [g, h] };
    if (biases) Object.assign(expected, { bias_ih: [g], bias_hh: [g] });
    for (const [part, shape] of Object.entries(expected)) {
      const name = `${part}_l0${suffix}`;
      expectShape(kernel, name, shapeOf(kernel, request, name), shape);
    }
  }
  const lengths = lengthsOf(kernel, request, b, length);
  const tokens = lengths.reduce((sum, n) => sum + n, 0);
  const pairs = lengths.reduce((sum, n) => sum + Math.max(0, n - 1), 0);
  return { b, length, d, h, g, suffixes, lengths, tokens, pairs };
}

/** A host table: the rows of a batch, longest first, and their lengths. Equal lengths keep their order. */
export function longestFirst(lengths: Int32Array): Int32Array {
  const order = Array.from(lengths.keys()).sort((a, b) => lengths[b] - lengths[a] || a - b);
  return Int32Array.from([...order, ...order.map((row) => lengths[row])]);
}

export const read = (name: string, tensor = name): Binding => ({ name, access: 'read', tensor });
export const write = (name: string, tensor = name): Binding => ({ name, access: 'read_write', tensor });

/**
 * The backward of a recurrence: it writes `grad_gates` [D, B, L, g], the gradients of the gates before activation, 0 at
 * padding, from `gates`, `state`, `out` and `grad_out`.
 */
export interface RecurrenceBackward extends PlanPart {
  /** Tensor of the same gradients as W_hh h + b_hh enters the gates: gru's third gate has a factor there. `rows` x g a direction. */
  hidden: string;
  rows: number;
  /**
   * What W_hh was multiplied with in a direction, in the order of `hidden`: a `tensor` [rows − skip, h], for all but the
   * first `skip` rows, which begin a sequence.
   */
  before(suffix: string, direction: number): PlanPart & { tensor: string };
  skip: number;
}

/** out[b, t] = source[b, t + shift] where both tokens are valid, else 0 (shaders/recurrent-rows.wgsl). */
export function shiftedRows(
  label: string,
  p: Problem,
  source: { tensor: string; row: number; offset: number },
  width: number,
  shift: -1 | 0 | 1,
  out: string,
  caps: Caps,
): Dispatch {
  const size = p.b * p.length * width;
  return {
    label,
    shader: recurrentRowsWgsl,
    entryPoint: 'main',
    constants: {},
    bindings: [read('source', source.tensor), read('lengths'), write('out', out)],
    uniforms: [size, p.length, width, source.row, source.offset, Math.max(0, shift), Math.max(0, -shift)],
    workgroups: foldGrid(ceilDiv(size, 64), caps),
    macs: 0,
    flops: 0,
    bytesRead: 4 * ((shift === 0 ? p.tokens : p.pairs) * width + p.b),
    bytesWritten: 4 * size,
  };
}
