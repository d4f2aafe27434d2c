/**
 * The recurrence in a kernel that loops over time, so that its dispatches do not grow with the length: one workgroup per
 * direction and batch row, or where rows are many per several of them, which share what it reads of W_hh.
 */
import { ceilDiv, foldGrid, spec, type Binding, type Caps, type Dispatch, type TensorSpec } from '../plan.ts';
import {
  longestFirst,
  read,
  shiftedRows,
  write,
  type CellSpec,
  type Problem,
  type RecurrenceBackward,
} from './recurrent-problem.ts';
import type { PlanPart } from './segments.ts';
import recurrentPackWgsl from '../../shaders/recurrent-pack.wgsl';

/** Constants of a recurrence: lanes of a workgroup, units per lane, where the lanes exchange values, rows of a workgroup. */
export interface RecurrentVariant {
  WG: number;
  UNITS: number;
  /** 1: through workgroup memory; 0: through the storage buffer that keeps the values anyway, for any h. */
  SHARED: number;
  ROWS: number;
}

const SOFTWARE_LANES = 64;

/** With fewer lanes a GPU waits for memory. */
const BUSY_LANES = 32768;
/** Sums of four gates that a lane keeps in registers. */
const MOST_SUMS = 8;

/**
 * Picks the variant for hidden size h and `rows` of all directions: pure, testable without a device. Each row of a workgroup
 * divides what is read of W_hh by as much. On a software device, which has few cores and no latency to hide, one row.
 * @param sharedBytes workgroup memory that SHARED takes per unit and row
 */
export function chooseRecurrent(h: number, rows: number, sharedBytes: number, caps: Caps): RecurrentVariant {
  // A software device switches between all lanes at a barrier: few lanes with several units each.
  const most = caps.software ? SOFTWARE_LANES : Math.min(256, caps.maxComputeInvocationsPerWorkgroup);
  const WG = Math.min(most, 64 * Math.max(1, ceilDiv(h, 64)));
  const UNITS = Math.max(1, ceilDiv(h, WG));
  const fits = (count: number): boolean => count * h * sharedBytes <= caps.maxComputeWorkgroupStorageSize;
  const several = [8, 4, 2].find(
    (count) => !caps.software && fits(count) && count * UNITS <= MOST_SUMS && rows * WG >= count * BUSY_LANES,
  );
  return { WG, UNITS, SHARED: Number(fits(1)), ROWS: several ?? 1 };
}

/** Of a row: two copies of h; one vec4 of the gates' gradients. */
const FORWARD_SHARED_BYTES = 8;
export const BACKWARD_SHARED_BYTES = 16;

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
    shader: recurrentPackWgsl,
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

/** What the recurrences of all directions are specialised with, and the table by which their workgroups take rows. */
function formOf(p: Problem, backward: boolean, caps: Caps) {
  const sharedBytes = backward ? BACKWARD_SHARED_BYTES : FORWARD_SHARED_BYTES;
  const variant = chooseRecurrent(p.h, p.suffixes.length * p.b, sharedBytes, caps);
  const sorted = variant.ROWS > 1;
  const data: Record<string, Int32Array> = sorted ? { rows: longestFirst(p.lengths) } : {};
  return { variant, table: read(sorted ? 'rows' : 'lengths'), data };
}

/** The dispatch of a recurrence over all rows and directions. `bytes*` and `flops` are per valid token and unit. */
function recurrence(
  cell: CellSpec,
  p: Problem,
  backward: boolean,
  variant: RecurrentVariant,
  bindings: readonly Binding[],
  cost: { flops: number; bytesRead: number; bytesWritten: number },
  caps: Caps,
): Dispatch {
  const stem = backward ? `${cell.name}-backward` : cell.name;
  const directions = p.suffixes.length;
  const groups = directions * ceilDiv(p.b, variant.ROWS);
  const macs = directions * p.pairs * p.g * p.h;
  const unitSteps = directions * p.tokens * p.h;
  const packedBytes = 16 * directions * (backward ? p.h : p.h + 1) * p.h;
  const padding = directions * (p.b * p.length - p.tokens);
  return {
    label: stem,
    shader: cell.wgsl[backward ? 'backward' : 'forward'],
    entryPoint: 'main',
    constants: {
      ...variant,
      STEPS: 0,
      ...{ HIDDEN: p.h, GATES: cell.gates, DIRECTIONS: directions, ACTIVATION: 0 },
    },
    bindings,
    uniforms: [p.b, p.length, groups],
    workgroups: foldGrid(groups, caps),
    macs,
    flops: 2 * macs + unitSteps * cost.flops,
    bytesRead: unitSteps * cost.bytesRead + packedBytes + 4 * p.b * (variant.ROWS > 1 ? 2 : 1),
    // Padding: h of `out`, or the rows of the gates' gradients.
    bytesWritten:
      unitSteps * cost.bytesWritten + 4 * padding * (backward ? (cell.gates === 3 ? 2 * p.g : p.g) : p.h),
  };
}

/** `gates` from W_ih x + b_ih to activated, `state` and `out`. */
export function rowsForward(cell: CellSpec, p: Problem, caps: Caps): PlanPart {
  const { variant, table, data } = formOf(p, false, caps);
  const bindings = [write('gates'), read('weight', 'packed'), table, write('out'), write('state')];
  const cost = { flops: cell.flops, bytesRead: 4 * cell.gates, bytesWritten: 4 * (cell.gates + 2) };
  return {
    dispatches: [
      ...p.suffixes.map((suffix, direction) => pack(cell, suffix, direction, p.h, false, caps)),
      recurrence(cell, p, false, variant, bindings, cost, caps),
    ],
    scratch: { packed: spec([p.suffixes.length, p.h + 1, p.h, 4]) },
    data,
  };
}

export function rowsBackward(cell: CellSpec, p: Problem, caps: Caps): RecurrenceBackward {
  const directions = p.suffixes.length;
  const gru = cell.gates === 3;
  const { variant, table, data } = formOf(p, true, caps);
  const grads = spec([directions, p.b, p.length, p.g]);
  const scratch: Record<string, TensorSpec> = {
    packed: spec([directions, p.h, p.h, 4]),
    grad_gates: grads,
    ...(gru ? { grad_hidden: grads } : {}),
  };
  const bindings = [
    ...[read('gates'), read('state'), read('weight', 'packed'), table, read('grad_out')],
    write('grad_gates'),
    ...(gru ? [read('out'), write('grad_hidden')] : []),
  ];
  const cost = {
    flops: cell.backwardFlops,
    // Gates, grad_out, the state, and the value of the token before (c or h).
    bytesRead: 4 * (cell.gates + 3),
    bytesWritten: 4 * cell.gates * (gru ? 2 : 1),
  };
  return {
    dispatches: [
      ...p.suffixes.map((suffix, direction) => pack(cell, suffix, direction, p.h, true, caps)),
      recurrence(cell, p, true, variant, bindings, cost, caps),
    ],
    scratch,
    data,
    hidden: gru ? 'grad_hidden' : 'grad_gates',
    rows: p.b * p.length,
    skip: 0,
    before(suffix, direction) {
      const tensor = `before${suffix}`;
      const source = { tensor: 'out', row: directions * p.h, offset: direction * p.h };
      const shift = direction === 0 ? -1 : 1;
      const label = `${cell.name}-backward`;
      const dispatch = shiftedRows(label, p, source, p.h, shift, tensor, caps);
      return { tensor, dispatches: [dispatch], scratch: { [tensor]: spec([p.b, p.length, p.h]) }, data: {} };
    },
  };
}
