/**
 * `attention` fused: one dispatch forward, with a running maximum; backward one that makes what both passes need of a
 * query, one by queries for grad_q and one by keys for grad_k and grad_v. Nothing as large as the scores is stored.
 */
import {
  ceilDiv,
  foldGrid,
  isWanted,
  spec,
  type Caps,
  type Dispatch,
  type Plan,
  type PlanRequest,
} from '../../plan.ts';
import {
  canFuse,
  fusedDispatch,
  OWN_ROWS,
  reads,
  rowsShare,
  writes,
  type FusedPass,
} from '../fused-attention.ts';
import { lanesFor } from '../lanes.ts';
import type { AttentionProblem } from './problem.ts';
import attentionDeltaWgsl from '../../../shaders/attention-delta.wgsl';
import attentionFusedWgsl from '../../../shaders/attention-fused.wgsl';
import attentionFusedKeysWgsl from '../../../shaders/attention-fused-keys.wgsl';
import attentionFusedQueriesWgsl from '../../../shaders/attention-fused-queries.wgsl';

const FORWARD: FusedPass = { keysOwn: false, products: 1, sums: 1, tiles: 1, rows: true };
const QUERIES: FusedPass = { keysOwn: false, products: 2, sums: 1, tiles: 1 };
const KEYS: FusedPass = { keysOwn: true, products: 2, sums: 2, tiles: 2 };

/** Whether forward and backward can run fused for heads of that size (pure). */
export const fusesAttention = (headSize: number, caps: Caps): boolean =>
  [FORWARD, QUERIES, KEYS].every((pass) => canFuse(pass, headSize, caps));

/** What costs are made of. */
interface Counts {
  /** (row, key) pairs of all heads that are within length. */
  pairs: number;
  /** Queries and valid keys of all heads. */
  rows: number;
  keys: number;
  /** Host numbers that a pass reads. */
  tables: number;
}

function countsOf({ batches, heads, queries, keys, lengths, mask }: AttentionProblem): Counts {
  const valid = lengths ? lengths.reduce((sum, length) => sum + length, 0) : batches * keys;
  return {
    pairs: heads * queries * valid,
    rows: batches * heads * queries,
    keys: heads * valid,
    tables: (lengths ? batches : 0) + (mask ? heads * queries * valid : 0),
  };
}

/** The table of lengths, then mask; a caller's array where it is one of them. */
function tablesOf({ lengths, mask }: AttentionProblem): Plan['data'] {
  if (!lengths || !mask) {
    const tables = lengths ?? mask;
    return tables ? { tables } : {};
  }
  const tables = new Int32Array(lengths.length + mask.length);
  tables.set(lengths);
  tables.set(mask, lengths.length);
  return { tables };
}

const tableOf = ({ lengths, mask }: AttentionProblem) => ((lengths ?? mask) ? reads('tables') : []);

/** Leaves out what has nothing to do. */
const planOf = (problem: AttentionProblem, dispatches: Dispatch[], scratch: Plan['scratch']) => ({
  dispatches: dispatches.filter((dispatch) => !dispatch.workgroups.includes(0)),
  scratch,
  data: tablesOf(problem),
});

/** The forward's dispatch: O and the log-sum-exp. */
export function attentionFused(problem: AttentionProblem, { caps }: PlanRequest): Omit<Plan, 'outputs'> {
  const { headSize, lengths, keys } = problem;
  const { pairs, rows, keys: valid, tables } = countsOf(problem);
  const macs = 2 * pairs * headSize;
  // Every tile of keys moves the sums of its queries to their new maximum.
  let moves = 0;
  for (let b = 0; b < problem.batches; b++)
    moves += problem.heads * problem.queries * ceilDiv(lengths?.[b] ?? keys, rowsShare(OWN_ROWS).stream);
  const { splits } = rowsShare(OWN_ROWS, headSize);
  const dispatch = {
    ...fusedDispatch(FORWARD, problem, caps, {
      label: 'attention',
      shader: attentionFusedWgsl,
      bindings: [...reads('q', 'k', 'v'), ...writes('out', 'lse'), ...tableOf(problem)],
      mask: problem.mask !== undefined,
    }),
    macs,
    // By pair: multiply, max, subtract, exp, and of the sum subtract, exp, multiply, add; by row: max, divide, log, add.
    flops: 2 * macs + 8 * pairs + moves * splits * headSize + rows * (4 + splits * headSize),
    bytesRead: 4 * ((rows + 2 * valid) * headSize + tables),
    bytesWritten: 4 * (rows * headSize + rows),
  };
  return planOf(problem, [dispatch], {});
}

/** The backward's dispatches: statistics of the queries, then by queries, then by keys, as far as they are wanted. */
export function attentionBackwardFused(
  problem: AttentionProblem,
  request: PlanRequest,
): Omit<Plan, 'outputs'> {
  const { caps } = request;
  const { headSize, batches, heads, queries, keys } = problem;
  const { pairs, rows, keys: valid, tables } = countsOf(problem);
  const wanted = (input: string): boolean => isWanted(request, `grad_${input}`);
  const label = 'attention-backward';
  const mask = problem.mask !== undefined;
  const { splits } = rowsShare(OWN_ROWS, headSize);
  const dispatches: Dispatch[] = [statistics(problem, caps)];
  // By pair: multiply, subtract, exp, and of dS subtract, multiply.
  if (wanted('q')) {
    const macs = 3 * pairs * headSize;
    dispatches.push({
      ...fusedDispatch(QUERIES, problem, caps, {
        label,
        shader: attentionFusedQueriesWgsl,
        bindings: [...reads('q', 'k', 'v', 'grad_out', 'stats'), ...writes('grad_q'), ...tableOf(problem)],
        mask,
      }),
      macs,
      flops: 2 * macs + 5 * pairs + rows * splits * headSize,
      bytesRead: 4 * (2 * (rows + valid) * headSize + 2 * rows + tables),
      bytesWritten: 4 * rows * headSize,
    });
  }
  const gradients = ['v', 'k'].filter(wanted);
  if (gradients.length > 0) {
    const K = Number(wanted('k'));
    const V = Number(wanted('v'));
    const macs = (1 + K + V + K) * pairs * headSize;
    const all = batches * heads * keys;
    const pass: FusedPass = { ...KEYS, products: K ? 2 : 1, sums: (K + V) as 1 | 2, tiles: K && V ? 2 : 1 };
    dispatches.push({
      ...fusedDispatch(pass, problem, caps, {
        label,
        shader: attentionFusedKeysWgsl,
        bindings: [
          ...reads('q', 'k', 'v', 'grad_out', 'stats'),
          ...writes(...gradients.map((input) => `grad_${input}`)),
          ...tableOf(problem),
        ],
        mask,
        constants: { GRAD_V: V, GRAD_K: K },
      }),
      macs,
      flops: 2 * macs + (3 + 2 * K) * pairs + all * headSize * ((K + V) * (splits - 1) + K),
      bytesRead: 4 * ((2 * rows + (1 + K) * valid) * headSize + 2 * rows + tables),
      bytesWritten: 4 * all * headSize * gradients.length,
    });
  }
  return planOf(problem, dispatches, { stats: spec([batches, heads, queries, 2]) });
}

/** (lse, Σ G∘O) of every row. */
function statistics(problem: AttentionProblem, caps: Caps): Dispatch {
  const { batches, heads, queries, hidden, headSize } = problem;
  const rows = batches * heads * queries;
  const macs = rows * headSize;
  return {
    label: 'attention-backward',
    shader: attentionDeltaWgsl,
    entryPoint: 'main',
    constants: { LANES: lanesFor(headSize) },
    bindings: [...reads('out', 'grad_out', 'lse'), ...writes('stats')],
    uniforms: [rows, queries, heads, hidden, headSize],
    workgroups: foldGrid(ceilDiv(rows, 16), caps),
    macs,
    flops: 2 * macs,
    bytesRead: 4 * (2 * macs + rows),
    bytesWritten: 8 * rows,
  };
}
