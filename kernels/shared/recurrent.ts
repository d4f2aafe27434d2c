/**
 * What `lstm` and `gru` share: ports and the plans around their recurrences. Everything that is not recurrent is one
 * matrix product over all tokens; the recurrence goes row by row (recurrent-rows.ts), or for many rows step by step
 * (recurrent-steps.ts).
 */
import { activationFlops } from './activation.ts';
import { columnSum } from '../column-sum.ts';
import { fill } from './elementwise.ts';
import { matmul, type Matrix } from './matmul.ts';
import { params, problemOf, shiftedRows, type CellSpec } from './recurrent-problem.ts';
import { rowsBackward, rowsForward } from './recurrent-rows.ts';
import { chooseSteps, stepsBackward, stepsForward } from './recurrent-steps.ts';
import type { PlanPart } from './segments.ts';
import { lengthsTable } from './table-rules.ts';
import {
  expectShape,
  isWanted,
  shapeOf,
  sizeOf,
  spec,
  type Dispatch,
  type Kernel,
  type PlanRequest,
  type Port,
  type TensorSpec,
} from '../plan.ts';

const tables = {
  ...lengthsTable,
  rows:
    'the batch rows, longest first, equal ones in their order; their lengths; then for each step from 0 to the longest ' +
    'length less 1 the sum of the rows that are still running at the steps before it',
};

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
    tables,
    plan(request) {
      const { caps } = request;
      const p = problemOf(name, gates, request, true);
      const directions = p.suffixes.length;
      const dispatches: Dispatch[] = [];
      let part: PlanPart = { dispatches: [], scratch: {}, data: {} };
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
          );
        });
        part = (chooseSteps(p, caps) ? stepsForward : rowsForward)(cell, p, caps);
      }
      return {
        dispatches: [...dispatches, ...part.dispatches],
        scratch: part.scratch,
        outputs: {
          out: spec([p.b, p.length, directions * p.h]),
          gates: spec([directions, p.b, p.length, p.g]),
          state: spec([directions, p.b, p.length, p.h]),
        },
        data: { lengths: p.lengths, ...part.data },
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
      tables,
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

  const { hidden, skip, before, ...part } = (chooseSteps(p, caps) ? stepsBackward : rowsBackward)(
    cell,
    p,
    caps,
  );
  const dispatches = [...part.dispatches];
  const scratch = { ...part.scratch };
  // Padded rows of the gates' gradients are 0, but 0 · NaN is not: products need x without its padding.
  let clean = 'x';
  if (wanted.some(({ weightIh }) => weightIh) && p.tokens < rows) {
    clean = 'clean_x';
    scratch[clean] = spec([p.b, p.length, p.d]);
    dispatches.push(shiftedRows(label, p, { tensor: 'x', row: p.d, offset: 0 }, p.d, 0, clean, caps));
  }
  wanted.forEach(({ suffix, weightIh, weightHh, biasIh, biasHh }, direction) => {
    const offset = direction * rows * p.g;
    const hiddenOffset = direction * part.rows * p.g;
    /** out [g, n] = gradsᵀ · from, for `k` rows of each. */
    const weightGradient = (out: string, grads: Matrix, from: string, k: number, n: number): Dispatch =>
      k === 0
        ? fill(label, out, p.g * n, 0, caps)
        : matmul(
            {
              label,
              ...{ m: p.g, n, k },
              a: grads,
              b: { tensor: from, row: n },
              c: { tensor: out, row: n },
              transA: true,
            },
            caps,
          );
    const biasGradient = (out: string, grads: string, count: number, start: number): void => {
      const sums = columnSum(label, grads, count, p.g, out, `${out}_partial`, caps, start);
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
    if (weightIh) {
      const grads = { tensor: 'grad_gates', row: p.g, offset };
      dispatches.push(weightGradient(`grad_weight_ih_l0${suffix}`, grads, clean, rows, p.d));
    }
    if (weightHh) {
      const from = before(suffix, direction);
      const grads = { tensor: hidden, row: p.g, offset: hiddenOffset + skip * p.g };
      Object.assign(scratch, from.scratch);
      dispatches.push(
        ...from.dispatches,
        weightGradient(`grad_weight_hh_l0${suffix}`, grads, from.tensor, part.rows - skip, p.h),
      );
    }
    if (biasIh) biasGradient(`grad_bias_ih_l0${suffix}`, 'grad_gates', rows, offset);
    if (biasHh) biasGradient(`grad_bias_hh_l0${suffix}`, hidden, part.rows, hiddenOffset);
  });
  return { dispatches, scratch, outputs, data: { ...data, ...part.data } };
}

/** Operations of the activations in the cells' cost formulas. */
export const sigmoidFlops = activationFlops('sigmoid');
export const tanhFlops = activationFlops('tanh');
