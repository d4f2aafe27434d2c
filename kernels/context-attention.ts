/**
 * `context-attention`: self-attention of every span's surroundings. Keys and values do not depend on the span, and the
 * queries inside it are one vector, so the flash states of all prefixes and suffixes of the keys are made once, and a
 * span merges two of them: L²D + S·L·D work where S attentions take S·L²·D. No score of a span is ever stored.
 */
import { spec, type Kernel, type Plan, type PlanRequest, type Port } from './plan.ts';
import { forwardElements, ForwardStrip } from './context-attention/forward.ts';
import { contextProblem, type ContextProblem } from './context-attention/problem.ts';
import { contextStrips, planOf } from './context-attention/strip.ts';
import { forwardTables } from './context-attention/tables.ts';

/** Bytes of scratch at most, but for what the smallest strip needs. */
const SCRATCH_BYTES = 16 * 2 ** 20;

const isEmpty = ({ spans, batches, queries, hidden }: ContextProblem): boolean =>
  spans.length * batches * queries * hidden === 0;

/**
 * The forward plan with about `scratchBytes` of scratch at a time (and never a tensor over what one binding may hold).
 * Errors: InputError on shapes, heads, lengths, spans.
 */
export function planContextAttention(request: PlanRequest, scratchBytes: number): Plan {
  const name = 'context-attention';
  const problem = contextProblem(name, request);
  const { heads, queries, hidden, spans } = problem;
  const S = spans.length / 3;
  const outputs = { out: spec([S, queries, hidden]), lse: spec([S, heads, queries]) };
  if (isEmpty(problem)) return { dispatches: [], scratch: {}, outputs, data: {} };
  const slots = mostSlots(problem, (b) => forwardTables(problem, b, 1).slots);
  const perQuery = forwardElements(problem, slots);
  const data: Record<string, Int32Array> = {};
  const elements = Math.min(scratchBytes, request.caps.maxStorageBufferBindingSize) / 4;
  const strips = contextStrips(problem, elements, perQuery, perQuery).map(
    (strip) => new ForwardStrip(name, problem, strip, request.caps, data),
  );
  return { ...planOf(strips, data), outputs };
}

const mostSlots = ({ batches }: ContextProblem, slotsOf: (b: number) => number): number =>
  Math.max(...Array.from({ length: batches }, (_, b) => slotsOf(b)));

const inputs: readonly Port[] = [
  { name: 'q', dtype: 'f32', shape: '[B, L, D]' },
  { name: 'k', dtype: 'f32', shape: '[B, L, D]' },
  { name: 'v', dtype: 'f32', shape: '[B, L, D]' },
  { name: 'mask_query', dtype: 'f32', shape: '[D]' },
  { name: 'spans', dtype: 'i32', shape: '[S, 3]', host: true },
  { name: 'lengths', dtype: 'i32', shape: '[B]', host: true },
];
const params = [{ name: 'heads', doc: 'number of heads; divides D' }];

export const contextAttention: Kernel = {
  name: 'context-attention',
  doc: 'out[s] = attention over the keys outside span s, mask_query for the queries inside',
  inputs,
  outputs: [
    { name: 'out', dtype: 'f32', shape: '[S, L, D]' },
    { name: 'lse', dtype: 'f32', shape: '[S, H, L]', saved: true },
  ],
  params,
  plan: (request) => planContextAttention(request, SCRATCH_BYTES),
};
