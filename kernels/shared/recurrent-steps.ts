/**
 * The recurrence of many rows: at every step one matrix product with W_hh for all rows that are that long, then the
 * cell, one lane a unit. Rows are taken longest first, so those of a step are the first ones and no lane meets padding.
 */
import { ceilDiv, foldGrid, spec, type Binding, type Caps, type Dispatch } from '../plan.ts';
import { lanesFor } from './lanes.ts';
import { matmul } from './matmul.ts';
import { clearPadding } from './padding.ts';
import {
  longestFirst,
  read,
  write,
  type CellSpec,
  type Problem,
  type RecurrenceBackward,
} from './recurrent-problem.ts';
import { BACKWARD_SHARED_BYTES, chooseRecurrent } from './recurrent-rows.ts';
import type { PlanPart } from './segments.ts';
import recurrentOrderWgsl from '../../shaders/recurrent-order.wgsl';

const LANES = 64;
/**
 * Rows a step, on average, from which a software device goes by steps. Measured, both directions, forward and backward:
 * with 4 rows 0.8 to 2.1 times as fast as row by row, with 8 1.1 to 2.7, with 16 1.5 to 4.8 (h from 32 to 384).
 */
const SOFTWARE_ROWS = 8;
/**
 * The same for a GPU, in vec4s of W_hh read a step by all workgroups: 2²⁴, 256 MiB, take its second-level cache
 * some 50 µs, the dispatches of a step 10 to 20. Reckoned, not measured.
 */
const GPU_ELEMENTS = 2 ** 24;

/** The order of the steps, pure: the (step, row) pairs of a direction, step by step, are numbered from 0 on. */
export interface Steps {
  /** Rows at each step. */
  active: readonly number[];
  /** Number of the first pair of each step. */
  first: readonly number[];
  /** Host table: batch rows, longest first; their lengths; `first`. */
  table: Int32Array;
}

export function stepsOf(lengths: Int32Array): Steps {
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  const active = new Array<number>(longest).fill(0);
  for (const length of lengths) for (let step = 0; step < length; step++) active[step]++;
  let pairs = 0;
  const first = active.map((count) => (pairs += count) - count);
  return { active, first, table: Int32Array.from([...longestFirst(lengths), ...first]) };
}

/**
 * Whether a recurrence goes by steps: pure, testable without a device. Else every workgroup reads the packed W_hh, 16 h² bytes,
 * at every step for its rows; by steps all rows share it, but a step takes three dispatches.
 */
export function chooseSteps(
  { lengths, h, suffixes }: Pick<Problem, 'lengths' | 'h' | 'suffixes'>,
  caps: Caps,
): boolean {
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  if (longest === 0) return false;
  const rows = lengths.reduce((sum, length) => sum + length, 0) / longest;
  if (caps.software) return rows >= SOFTWARE_ROWS;
  const { ROWS } = chooseRecurrent(h, suffixes.length * lengths.length, BACKWARD_SHARED_BYTES, caps);
  return (rows / ROWS) * suffixes.length * h * h >= GPU_ELEMENTS;
}

/** The dispatch of one step's cell over all directions; costs are per unit. */
function cellStep(
  cell: CellSpec,
  p: Problem,
  { active, first }: Steps,
  step: number,
  backward: boolean,
  bindings: readonly Binding[],
  cost: { flops: number; bytesRead: number; bytesWritten: number },
  caps: Caps,
): Dispatch {
  const stem = backward ? `${cell.name}-backward` : cell.name;
  const directions = p.suffixes.length;
  const size = directions * active[step] * p.h;
  return {
    label: stem,
    shader: cell.wgsl[backward ? 'backward' : 'forward'],
    entryPoint: 'main',
    constants: {
      ...{ STEPS: 1, WG: LANES, UNITS: 1, SHARED: 0 },
      ...{ HIDDEN: p.h, GATES: cell.gates, DIRECTIONS: directions, ACTIVATION: 0 },
    },
    bindings,
    uniforms: [
      ...[size, p.b, p.length, active[step], step],
      ...(backward ? [p.tokens, first[step], first[Math.max(0, step - 1)]] : []),
    ],
    workgroups: foldGrid(ceilDiv(size, LANES), caps),
    macs: 0,
    flops: size * cost.flops,
    bytesRead: size * cost.bytesRead + 8 * active[step],
    bytesWritten: size * cost.bytesWritten,
  };
}

/** `gates` from W_ih x + b_ih to activated, `state` and `out`. */
export function stepsForward(cell: CellSpec, p: Problem, caps: Caps): PlanPart {
  const { name, gates } = cell;
  const steps = stepsOf(p.lengths);
  const directions = p.suffixes.length;
  const bindings = [
    ...[write('gates'), read('product'), read('rows'), write('out'), write('state'), write('hidden')],
  ];
  // The gates from x and from h, and the value before (c or h); the gates, the state, and h twice.
  const cost = { flops: cell.flops, bytesRead: 4 * (2 * gates + 1), bytesWritten: 4 * (gates + 3) };
  const dispatches = steps.active.flatMap((m, step): Dispatch[] => [
    ...p.suffixes.map((suffix, direction) =>
      matmul(
        {
          label: name,
          // Before the first step h is 0: the product is the bias.
          ...{ m, n: p.g, k: step === 0 ? 0 : p.h },
          a: { tensor: 'hidden', row: p.h, offset: direction * p.b * p.h },
          b: { tensor: `weight_hh_l0${suffix}`, row: p.h },
          c: { tensor: 'product', row: p.g, offset: direction * p.b * p.g },
          transB: true,
          bias: `bias_hh_l0${suffix}`,
        },
        caps,
      ),
    ),
    cellStep(cell, p, steps, step, false, bindings, cost, caps),
  ]);
  return {
    dispatches: [
      ...dispatches,
      ...clearPadding(name, 'out', [p.b, p.length, directions * p.h], p.lengths, caps),
    ],
    scratch: { product: spec([directions, p.b, p.g]), hidden: spec([directions, p.b, p.h]) },
    data: { rows: steps.table },
  };
}

/** to [step − from, row] of one direction = its columns of source [B, L, D h] at each step's token, or the one before. */
function inStepOrder(
  label: string,
  p: Problem,
  { active }: Steps,
  direction: number,
  source: string,
  to: { tensor: string; offset: number; before: boolean },
  caps: Caps,
): Dispatch {
  const from = Number(to.before);
  const width = p.suffixes.length * p.h;
  const elements = (to.before ? p.pairs : p.tokens) * p.h;
  const lanes = lanesFor(p.h);
  const size = ((active.length - from) * p.b * p.h) / lanes;
  return {
    label,
    shader: recurrentOrderWgsl,
    entryPoint: 'main',
    constants: { BEFORE: from, LANES: lanes },
    bindings: [read('source', source), read('rows'), write('out', to.tensor)],
    uniforms: [size, p.b, p.length, p.h / lanes, width / lanes, direction, to.offset / lanes],
    workgroups: foldGrid(ceilDiv(size, LANES), caps),
    macs: 0,
    flops: 0,
    bytesRead: 4 * (elements + p.b + active.length),
    bytesWritten: 4 * elements,
  };
}

/**
 * The backward step by step from the last: `grad_h`, numbered as the steps are, begins as grad_out and gathers what
 * reaches a token's h from the token after it.
 */
export function stepsBackward(cell: CellSpec, p: Problem, caps: Caps): RecurrenceBackward {
  const label = `${cell.name}-backward`;
  const steps = stepsOf(p.lengths);
  const directions = p.suffixes.length;
  const gru = cell.gates === 3;
  const gradGates = [directions, p.b, p.length, p.g];
  const bindings = [
    ...[read('gates'), read('state'), read('rows'), write('grad_h'), write('grad_gates')],
    ...[write('grad_hidden'), gru ? read('out') : write('grad_c')],
  ];
  // Gates, state, grad_h, the value before; by the way also the gradient that goes back beside W_hh, of h or c.
  const cost = {
    flops: cell.backwardFlops + Number(gru),
    bytesRead: 4 * (cell.gates + 4),
    bytesWritten: 4 * (2 * cell.gates + 1),
  };
  const dispatches = p.suffixes.map((_, direction) => {
    const to = { tensor: 'grad_h', offset: direction * p.tokens * p.h, before: false };
    return inStepOrder(label, p, steps, direction, 'grad_out', to, caps);
  });
  for (let step = steps.active.length - 1; step >= 0; step--) {
    dispatches.push(cellStep(cell, p, steps, step, true, bindings, cost, caps));
    if (step === 0) break;
    p.suffixes.forEach((suffix, direction) => {
      const at = direction * p.tokens;
      dispatches.push(
        matmul(
          {
            label,
            ...{ m: steps.active[step], n: p.h, k: p.g },
            a: { tensor: 'grad_hidden', row: p.g, offset: (at + steps.first[step]) * p.g },
            b: { tensor: `weight_hh_l0${suffix}`, row: p.h },
            c: { tensor: 'grad_h', row: p.h, offset: (at + steps.first[step - 1]) * p.h },
            accumulate: true,
          },
          caps,
        ),
      );
    });
  }
  return {
    dispatches: [...dispatches, ...clearPadding(label, 'grad_gates', gradGates, p.lengths, caps)],
    scratch: {
      grad_gates: spec(gradGates),
      grad_hidden: spec([directions, p.tokens, p.g]),
      grad_h: spec([directions, p.tokens, p.h]),
      ...(gru ? {} : { grad_c: spec([directions, p.b, p.h]) }),
    },
    data: { rows: steps.table },
    hidden: 'grad_hidden',
    rows: p.tokens,
    skip: p.tokens - p.pairs,
    before(suffix, direction) {
      const tensor = `before${suffix}`;
      const to = { tensor, offset: 0, before: true };
      const dispatch = inStepOrder(label, p, steps, direction, 'out', to, caps);
      return { tensor, dispatches: [dispatch], scratch: { [tensor]: spec([p.pairs, p.h]) }, data: {} };
    },
  };
}
