/**
 * What `lstm` and `gru` share: ports, checks, and the plans around their recurrences. Everything that is not
 * recurrent is one matrix product over all tokens; the recurrence is one workgroup per (direction, batch row) that
 * loops over time in the kernel, so its dispatches do not grow with the length.
 */
import { activationFlops } from './activation.ts';
import { columnSum } from '../column-sum.ts';
import { fill } from '../elementwise.ts';
import { InputError } from '../errors.ts';
import { lengthsOf } from './lengths.ts';
import { matmul } from './matmul.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  isWanted,
  shapeOf,
  sizeOf,
  spec,
  type Binding,
  type Caps,
  type Dispatch,
  type Kernel,
  type PlanRequest,
  type Port,
  type TensorSpec,
} from '../plan.ts';

/** A recurrent cell; its mathematics is in shaders/<name>.wgsl and shaders/<name>-backward.wgsl. */
export interface CellSpec {
  name: 'lstm' | 'gru';
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

/** Constants of a recurrence: lanes of a workgroup, units per lane, and where the lanes exchange values. */
export interface RecurrentVariant {
  WG: number;
  UNITS: number;
  /** 1: through workgroup memory; 0: through the storage buffer that keeps the values anyway, for any h. */
  SHARED: number;
}

const SOFTWARE_LANES = 64;

/**
 * Picks the variant for hidden size h: pure, testable without a device.
 * @param sharedBytes workgroup memory that SHARED takes per unit.
 */
export function chooseRecurrent(h: number, sharedBytes: number, caps: Caps): RecurrentVariant {
  // A software device switches between all lanes at a barrier: few lanes with several units each.
  const most = caps.software ? SOFTWARE_LANES : Math.min(256, caps.maxComputeInvocationsPerWorkgroup);
  const WG = Math.min(most, 64 * Math.max(1, ceilDiv(h, 64)));
  return {
    WG,
    UNITS: Math.max(1, ceilDiv(h, WG)),
    SHARED: Number(h * sharedBytes <= caps.maxComputeWorkgroupStorageSize),
  };
}

/** Two copies of h; one vec4 of the gates' gradients. */
const FORWARD_SHARED_BYTES = 8;
const BACKWARD_SHARED_BYTES = 16;

interface Problem {
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

const params = [
  { name: 'bidirectional', doc: "also run from each row's last valid token to its first", default: false },
];

function problemOf(kernel: string, gates: number, request: PlanRequest, biases: boolean): Problem {
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

const read = (name: string, tensor = name): Binding => ({ name, access: 'read', tensor });
const write = (name: string, tensor = name): Binding => ({ name, access: 'read_write', tensor });

/** Writes one direction of `packed`: W_hh (and the bias, forward) with the gates of one (k, unit) side by side. */
function pack(
  cell: CellSpec,
  suffix: string,
  direction: number,
  h: number,
  backward: boolean,
  caps: Caps,
): Dispatch {
  const size = (backward ? h : h + 1) * h;
  return {
    label: backward ? `${cell.name}-backward` : cell.name,
    shader: 'recurrent-pack',
    entryPoint: 'main',
    constants: { GATES: cell.gates, BACKWARD: Number(backward) },
    bindings: [
      read('weight', `weight_hh_l0${suffix}`),
      ...(backward ? [] : [read('bias', `bias_hh_l0${suffix}`)]),
      write('packed'),
    ],
    uniforms: [h, direction * size, size],
    workgroups: foldGrid(ceilDiv(size, 64), caps),
    macs: 0,
    flops: 0,
    bytesRead: 4 * cell.gates * size,
    bytesWritten: 16 * size,
  };
}

/** The dispatch of a recurrence over all rows and directions. `bytes*` and `flops` are per valid token and unit. */
function recurrence(
  cell: CellSpec,
  p: Problem,
  backward: boolean,
  bindings: readonly Binding[],
  cost: { flops: number; bytesRead: number; bytesWritten: number },
  caps: Caps,
): Dispatch {
  const stem = backward ? `${cell.name}-backward` : cell.name;
  const directions = p.suffixes.length;
  const groups = directions * p.b;
  const macs = directions * p.pairs * p.g * p.h;
  const unitSteps = directions * p.tokens * p.h;
  const sharedBytes = backward ? BACKWARD_SHARED_BYTES : FORWARD_SHARED_BYTES;
  const packedBytes = 16 * directions * (backward ? p.h : p.h + 1) * p.h;
  const padding = directions * (p.b * p.length - p.tokens);
  return {
    label: stem,
    shader: stem,
    entryPoint: 'main',
    constants: {
      ...chooseRecurrent(p.h, sharedBytes, caps),
      ...{ HIDDEN: p.h, GATES: cell.gates, DIRECTIONS: directions, ACTIVATION: 0 },
    },
    bindings,
    uniforms: [p.b, p.length, groups],
    workgroups: foldGrid(groups, caps),
    macs,
    flops: 2 * macs + unitSteps * cost.flops,
    bytesRead: unitSteps * cost.bytesRead + packedBytes + 4 * p.b,
    // Padding: h of `out`, or the rows of the gates' gradients.
    bytesWritten:
      unitSteps * cost.bytesWritten + 4 * padding * (backward ? (cell.gates === 3 ? 2 * p.g : p.g) : p.h),
  };
}

/** out[b, t] = source[b, t + shift] where both tokens are valid, else 0 (shaders/recurrent-rows.wgsl). */
function shiftedRows(
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
    shader: 'recurrent-rows',
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

/** The kernel of a cell, with its backward. */
export function recurrentKernel(cell: CellSpec): Kernel {
  const { name, gates } = cell;
  const rows = `${gates}h`;
  const portsOf = (suffix: string, biases: boolean, prefix = ''): Port[] => {
    const optional = suffix !== '';
    const port = (part: string, shape: string): Port => ({
      name: `${prefix}${part}_l0${suffix}`,
      ...{ dtype: 'f32', shape, optional },
    });
    return [
      port('weight_ih', `[${rows}, d]`),
      port('weight_hh', `[${rows}, h]`),
      ...(biases ? [port('bias_ih', `[${rows}]`), port('bias_hh', `[${rows}]`)] : []),
    ];
  };
  const x: Port = { name: 'x', dtype: 'f32', shape: '[B, L, d]' };
  const lengths: Port = { name: 'lengths', dtype: 'i32', shape: '[B]', host: true };
  const results: Port[] = [
    { name: 'out', dtype: 'f32', shape: '[B, L, D h], D = 2 with bidirectional, else 1' },
    { name: 'gates', dtype: 'f32', shape: `[D, B, L, ${rows}]`, saved: true },
    { name: 'state', dtype: 'f32', shape: `[D, B, L, h]: ${cell.state}`, saved: true },
  ];

  return {
    name,
    doc: cell.doc,
    inputs: [x, ...portsOf('', true), ...portsOf('_reverse', true), lengths],
    outputs: results,
    params,
    plan(request) {
      const { caps } = request;
      const p = problemOf(name, gates, request, true);
      const directions = p.suffixes.length;
      const dispatches: Dispatch[] = [];
      if (p.b * p.length * p.h > 0) {
        p.suffixes.forEach((suffix, direction) => {
          dispatches.push(
            matmul(
              {
                label: name,
                ...{ m: p.b * p.length, n: p.g, k: p.d },
                a: { tensor: 'x', row: p.d },
                b: { tensor: `weight_ih_l0${suffix}`, row: p.d },
                c: { tensor: 'gates', row: p.g, offset: direction * p.b * p.length * p.g },
                transB: true,
                bias: `bias_ih_l0${suffix}`,
              },
              caps,
            ),
            pack(cell, suffix, direction, p.h, false, caps),
          );
        });
        const bindings = [
          write('gates'),
          read('weight', 'packed'),
          read('lengths'),
          write('out'),
          write('state'),
        ];
        const cost = { flops: cell.flops, bytesRead: 4 * gates, bytesWritten: 4 * (gates + 2) };
        dispatches.push(recurrence(cell, p, false, bindings, cost, caps));
      }
      return {
        dispatches,
        scratch: { packed: spec([directions, p.h + 1, p.h, 4]) },
        outputs: {
          out: spec([p.b, p.length, directions * p.h]),
          gates: spec([directions, p.b, p.length, p.g]),
          state: spec([directions, p.b, p.length, p.h]),
        },
        data: { lengths: p.lengths },
      };
    },
    backward: {
      name: `${name}-backward`,
      doc: cell.backwardDoc,
      inputs: [
        x,
        ...portsOf('', false),
        ...portsOf('_reverse', false),
        lengths,
        ...results.map(({ saved: _, ...port }) => port),
        { name: 'grad_out', dtype: 'f32', shape: '[B, L, D h]' },
      ],
      outputs: [
        { name: 'grad_x', dtype: 'f32', shape: '[B, L, d]' },
        ...portsOf('', true, 'grad_'),
        ...portsOf('_reverse', true, 'grad_'),
      ],
      params,
      plan: (request) => planBackward(cell, request),
    },
  };
}

function planBackward(cell: CellSpec, request: PlanRequest): ReturnType<Kernel['plan']> {
  const { caps } = request;
  const label = `${cell.name}-backward`;
  const p = problemOf(label, cell.gates, request, false);
  const directions = p.suffixes.length;
  const rows = p.b * p.length;
  const width = directions * p.h;
  for (const name of ['out', 'grad_out'])
    expectShape(label, name, shapeOf(label, request, name), [p.b, p.length, width]);
  expectShape(label, 'gates', shapeOf(label, request, 'gates'), [directions, p.b, p.length, p.g]);
  expectShape(label, 'state', shapeOf(label, request, 'state'), [directions, p.b, p.length, p.h]);

  const outputs: Record<string, TensorSpec> = {};
  const want = (name: string, shape: readonly number[]): boolean => {
    const wanted = isWanted(request, name);
    if (wanted) outputs[name] = spec(shape);
    return wanted;
  };
  const wantX = want('grad_x', [p.b, p.length, p.d]);
  const wanted = p.suffixes.map((suffix) => ({
    suffix,
    weightIh: want(`grad_weight_ih_l0${suffix}`, [p.g, p.d]),
    weightHh: want(`grad_weight_hh_l0${suffix}`, [p.g, p.h]),
    biasIh: want(`grad_bias_ih_l0${suffix}`, [p.g]),
    biasHh: want(`grad_bias_hh_l0${suffix}`, [p.g]),
  }));
  const data = { lengths: p.lengths };
  if (rows * p.h === 0) {
    const zeros = Object.entries(outputs).map(([name, { shape }]) =>
      fill(label, name, sizeOf(shape), 0, caps),
    );
    return { dispatches: zeros, scratch: {}, outputs, data };
  }

  // The gradient of the gates before activation, as W_ih x enters them; as W_hh h does, gru's third gate has a factor.
  const gru = cell.gates === 3;
  const hidden = gru ? 'grad_hidden' : 'grad_gates';
  const scratch: Record<string, TensorSpec> = {
    packed: spec([directions, p.h, p.h, 4]),
    grad_gates: spec([directions, p.b, p.length, p.g]),
  };
  if (gru) scratch.grad_hidden = scratch.grad_gates;
  const bindings = [
    ...[read('gates'), read('state'), read('weight', 'packed'), read('lengths'), read('grad_out')],
    write('grad_gates'),
    ...(gru ? [read('out'), write('grad_hidden')] : []),
  ];
  const dispatches = p.suffixes.map((suffix, direction) => pack(cell, suffix, direction, p.h, true, caps));
  const cost = {
    flops: cell.backwardFlops,
    // Gates, grad_out, the state, and the value of the token before (c or h).
    bytesRead: 4 * (cell.gates + 3),
    bytesWritten: 4 * cell.gates * (gru ? 2 : 1),
  };
  dispatches.push(recurrence(cell, p, true, bindings, cost, caps));

  // Padded rows of the gates' gradients are 0, but 0 · NaN is not: products need x without its padding.
  let clean = 'x';
  if (wanted.some(({ weightIh }) => weightIh) && p.tokens < rows) {
    clean = 'clean_x';
    scratch[clean] = spec([p.b, p.length, p.d]);
    dispatches.push(shiftedRows(label, p, { tensor: 'x', row: p.d, offset: 0 }, p.d, 0, clean, caps));
  }
  wanted.forEach(({ suffix, weightIh, weightHh, biasIh, biasHh }, direction) => {
    const offset = direction * rows * p.g;
    const weightGradient = (out: string, grads: string, from: string, n: number): Dispatch =>
      matmul(
        {
          label,
          ...{ m: p.g, n, k: rows },
          a: { tensor: grads, row: p.g, offset },
          b: { tensor: from, row: n },
          c: { tensor: out, row: n },
          transA: true,
        },
        caps,
      );
    const biasGradient = (out: string, grads: string): void => {
      const sums = columnSum(label, grads, rows, p.g, out, `${out}_partial`, caps, offset);
      dispatches.push(...sums.dispatches);
      Object.assign(scratch, sums.scratch);
    };
    if (wantX)
      dispatches.push(
        matmul(
          {
            label,
            ...{ m: rows, n: p.d, k: p.g },
            a: { tensor: 'grad_gates', row: p.g, offset },
            b: { tensor: `weight_ih_l0${suffix}`, row: p.d },
            c: { tensor: 'grad_x', row: p.d },
            accumulate: direction > 0,
          },
          caps,
        ),
      );
    if (weightIh) dispatches.push(weightGradient(`grad_weight_ih_l0${suffix}`, 'grad_gates', clean, p.d));
    if (weightHh) {
      const before = `before${suffix}`;
      scratch[before] = spec([p.b, p.length, p.h]);
      const source = { tensor: 'out', row: width, offset: direction * p.h };
      dispatches.push(
        shiftedRows(label, p, source, p.h, direction === 0 ? -1 : 1, before, caps),
        weightGradient(`grad_weight_hh_l0${suffix}`, hidden, before, p.h),
      );
    }
    if (biasIh) biasGradient(`grad_bias_ih_l0${suffix}`, 'grad_gates');
    if (biasHh) biasGradient(`grad_bias_hh_l0${suffix}`, hidden);
  });
  return { dispatches, scratch, outputs, data };
}

/** Operations of the activations in the cells' cost formulas. */
export const sigmoidFlops = activationFlops('sigmoid');
export const tanhFlops = activationFlops('tanh');
