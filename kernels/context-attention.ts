/**
 * `context-attention`: self-attention of every span's surroundings. Keys and values do not depend on the span, and the
 * queries inside it are one vector, so the flash states of all prefixes and suffixes of the keys are made once, and a
 * span merges two of them: L²D + S·L·D work where S attentions take S·L²·D. No score of a span is ever stored.
 */
import {
  expectShape,
  isWanted,
  shapeOf,
  sizeOf,
  spec,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
  type Shape,
} from './plan.ts';
import { columnSum } from './column-sum.ts';
import { backwardElements, BackwardStrip, MASK_PARTIAL } from './shared/context-attention/backward.ts';
import { forwardElements, ForwardStrip } from './shared/context-attention/forward.ts';
import { contextProblem, type ContextProblem } from './shared/context-attention/problem.ts';
import { contextStrips, planOf } from './shared/context-attention/strip.ts';
import { backwardTables, byRange, forwardTables, spansIn } from './shared/context-attention/tables.ts';
import { fill } from './shared/elementwise.ts';
import { stripTables } from './shared/table-rules.ts';

/** Bytes of scratch, about. */
const SCRATCH_BYTES = 16 * 2 ** 20;

const isEmpty = ({ spans, batches, queries, hidden }: ContextProblem): boolean =>
  spans.length * batches * queries * hidden === 0;

/** The most of something that a batch row has. */
const most = ({ batches }: ContextProblem, of: (b: number) => number): number =>
  Math.max(...Array.from({ length: batches }, (_, b) => of(b)));

/**
 * The forward plan with about `scratchBytes` of scratch (and no tensor over what one binding may hold): strip by strip
 * the scores, the states of all prefixes and suffixes, and their merge. Errors: InputError on shapes, heads, lengths, spans.
 */
export function planContextAttention(request: PlanRequest, scratchBytes: number): Plan {
  const name = 'context-attention';
  const problem = contextProblem(name, request);
  const { heads, queries, hidden, spans } = problem;
  const S = spans.length / 3;
  const outputs = { out: spec([S, queries, hidden]), lse: spec([S, heads, queries]) };
  if (isEmpty(problem)) return { dispatches: [], scratch: {}, outputs, data: {} };
  const elements = Math.min(scratchBytes, request.caps.maxStorageBufferBindingSize) / 4;
  const tablesOf = byRange((batch, batches) => forwardTables(problem, batch, batches));
  const slots = most(problem, (b) => tablesOf(b, 1).slots);
  const perQuery = forwardElements(problem, slots);
  const data: Record<string, Int32Array> = {};
  const strips = contextStrips(problem, elements, perQuery, perQuery).map(
    (strip) =>
      new ForwardStrip(tablesOf(strip.batch, strip.batches), name, problem, strip, request.caps, data),
  );
  return { ...planOf(strips, (strip) => strip.dispatches()), outputs, data };
}

/**
 * The backward plan with about `scratchBytes` of scratch, and grad_out summed inside the spans, [S, dh], beside them.
 * Errors as the forward's.
 */
export function planContextAttentionBackward(request: PlanRequest, scratchBytes: number): Plan {
  const name = 'context-attention-backward';
  const problem = contextProblem(name, request);
  const { batches, heads, queries, hidden, headSize, spans } = problem;
  const { caps } = request;
  const S = spans.length / 3;
  for (const output of ['out', 'grad_out'])
    expectShape(name, output, shapeOf(name, request, output), [S, queries, hidden]);
  expectShape(name, 'lse', shapeOf(name, request, 'lse'), [S, heads, queries]);
  const shapes: Record<string, Shape> = Object.fromEntries(
    ['q', 'k', 'v', 'mask_query'].map((input) => [`grad_${input}`, request.shapes[input]]),
  );
  const wanted = Object.keys(shapes).filter((gradient) => isWanted(request, gradient));
  const outputs = Object.fromEntries(wanted.map((gradient) => [gradient, spec(shapes[gradient])]));
  if (isEmpty(problem)) {
    const zero = wanted.filter((gradient) => sizeOf(shapes[gradient]) > 0);
    const dispatches = zero.map((gradient) => fill(name, gradient, sizeOf(shapes[gradient]), 0, caps));
    return { dispatches, scratch: {}, outputs, data: {} };
  }
  const elements = Math.min(scratchBytes, caps.maxStorageBufferBindingSize) / 4;
  const own = most(problem, (b) => spansIn(problem, b, 1).length);
  const tablesOf = byRange((batch, rows) => backwardTables(problem, batch, rows));
  const slots = most(problem, (b) => tablesOf(b, 1).slots);
  const perQuery = backwardElements(problem, slots, own);
  const data: Record<string, Int32Array> = {};
  const strips = contextStrips(problem, elements, perQuery, perQuery + own * headSize).map(
    (strip) => new BackwardStrip(tablesOf(strip.batch, strip.batches), name, problem, strip, caps, data),
  );
  const planned = planOf(strips, (strip) => strip.dispatches((gradient) => wanted.includes(gradient)));
  const total = { dispatches: [] as Dispatch[], scratch: {} };
  if (batches > 1 && wanted.includes('grad_mask_query')) {
    const sum = columnSum(name, MASK_PARTIAL, batches, hidden, 'grad_mask_query', 'mask_slabs', caps);
    total.dispatches = sum.dispatches;
    total.scratch = { [MASK_PARTIAL]: spec([batches, hidden]), ...sum.scratch };
  }
  return {
    dispatches: [...planned.dispatches, ...total.dispatches],
    scratch: { ...planned.scratch, ...total.scratch },
    outputs,
    data,
  };
}

const inputs: readonly Port[] = [
  { name: 'q', dtype: 'f32', shape: '[B, L, D]' },
  { name: 'k', dtype: 'f32', shape: '[B, L, D]' },
  { name: 'v', dtype: 'f32', shape: '[B, L, D]' },
  { name: 'mask_query', dtype: 'f32', shape: '[D]' },
  { name: 'spans', dtype: 'i32', shape: '[S, 3]', host: true },
  { name: 'lengths', dtype: 'i32', shape: '[B]', host: true },
];
const params = [{ name: 'heads', doc: 'number of heads; divides D' }];

const tables = {
  ...stripTables,
  'spans.<row>.<rows>':
    'of the <rows> batch rows from number <row> on, the spans that are in them, those of a batch row together and in the ' +
    'order given; rows of 8: number of the span, batch row less <row>, start, end, slot of the state before the span, slot ' +
    'of the state behind it (0 where there is none, and backward), length of the batch row, 0',
};
/** Chains of states, of prefixes and of suffixes. */
const chainTables = {
  'chains.<row>.<rows>':
    'a chain for each of the <rows> batch rows from number <row> on, first of prefixes, then of suffixes: the first slot of ' +
    'each, and the number of slots; a chain of prefixes has a slot for each distinct start of the spans, ascending, a chain ' +
    'of suffixes one for each distinct end, descending',
  'ranges.<row>.<rows>':
    'rows (from, to), one a slot: the keys from .. to - 1 that are added on the way to it from the slot before; the first of ' +
    'a chain of prefixes begins at 0, the first of a chain of suffixes ends at the length',
};
/** Chains of sums over spans, of those behind a key and of those before it. */
const sumTables = {
  'chains.<row>.<rows>':
    'a chain for each of the <rows> batch rows from number <row> on, first of the spans by start, descending, start 0 left ' +
    'out, then of the spans by end, ascending, the length left out, a slot for each distinct cut: the first slot of each ' +
    'chain and the number of slots; then the first item of each slot and the number of items',
  'items.<row>.<rows>':
    'rows (place among the spans of the strip, number of the span, start, end): the spans of each slot, those that have its cut',
  'key_slots.<row>.<rows>':
    '[rows, L, 2]: for each key the last slot of either chain whose cut it lies outside of (before a start, at or behind an ' +
    'end and within length), -1 for none',
};

/**
 * out [S,L,D]: row (s, i) is the attention of query q[b,i], or of mask_query where start ≤ i < end, over the keys of
 * batch row b within length and outside [start, end), scores / √dh (docs/spec.md#context-attention); spans i32[S,3] =
 * (b, start, end), 0 ≤ start < end ≤ length, in any order, repeated or not. Rows past the length, and all rows of a
 * span that covers its batch row, are 0, and nothing flows back from them. What padding holds changes nothing; its
 * gradients are 0.
 * Saved for the backward: `lse` [S,H,L], the log-sum-exp of each row of scores (−1e30 where it is 0).
 */
export const contextAttention: Kernel = {
  name: 'context-attention',
  doc: 'out[s] = attention over the keys outside span s, with mask_query for the queries inside it',
  inputs,
  outputs: [
    { name: 'out', dtype: 'f32', shape: '[S, L, D]' },
    { name: 'lse', dtype: 'f32', shape: '[S, H, L]', saved: true },
  ],
  params,
  tables: { ...tables, ...chainTables },
  plan: (request) => planContextAttention(request, SCRATCH_BYTES),
  backward: {
    name: 'context-attention-backward',
    doc: 'gradients from sums over the spans behind each key and before it, with one pass over [L, L] a head',
    inputs: [
      ...inputs,
      { name: 'out', dtype: 'f32', shape: '[S, L, D]' },
      { name: 'lse', dtype: 'f32', shape: '[S, H, L]' },
      { name: 'grad_out', dtype: 'f32', shape: '[S, L, D]' },
    ],
    outputs: [
      { name: 'grad_q', dtype: 'f32', shape: '[B, L, D]' },
      { name: 'grad_k', dtype: 'f32', shape: '[B, L, D]' },
      { name: 'grad_v', dtype: 'f32', shape: '[B, L, D]' },
      { name: 'grad_mask_query', dtype: 'f32', shape: '[D]' },
    ],
    params,
    tables: { ...tables, ...sumTables },
    plan: (request) => planContextAttentionBackward(request, SCRATCH_BYTES),
  },
};
