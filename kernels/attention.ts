/**
 * `attention`: masked multi-head attention. Between forward and backward only `out` and the log-sum-exp of every row are
 * kept; the backward computes the scores again. A software device goes strip by strip, with matrix products between
 * which the scores lie in bounded scratch; on a GPU scores never leave a workgroup.
 */
import {
  expectShape,
  isWanted,
  shapeOf,
  spec,
  type Caps,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
} from './plan.ts';
import { attentionBackwardFused, attentionFused, fusesAttention } from './shared/attention/fused.ts';
import { attentionProblem, type AttentionProblem } from './shared/attention/problem.ts';
import { attentionBackwardInStrips, attentionInStrips } from './shared/attention/strips.ts';
import { stripTables } from './shared/table-rules.ts';

/** Bytes of one scratch tensor at most: about what a GPU's or a CPU's last-level cache keeps. */
const SCRATCH_BYTES = 16 * 2 ** 20;

/** How `attention` runs: fused, or in strips of at most so many bytes of scores. */
export type AttentionForm = 'fused' | { scratchBytes: number };

/** Picks the form (pure): fused where the device is a GPU whose workgroups can hold it, else in strips. */
export const chooseAttention = (headSize: number, caps: Caps): AttentionForm =>
  fusesAttention(headSize, caps) ? 'fused' : { scratchBytes: SCRATCH_BYTES };

/** Packed rows go in strips everywhere. */
const formOf = ({ headSize, packed }: AttentionProblem, caps: Caps): AttentionForm =>
  packed ? { scratchBytes: SCRATCH_BYTES } : chooseAttention(headSize, caps);

/**
 * The forward plan; `form` is the choice unless given. Errors: InputError on shapes, heads, lengths.
 */
export function planAttention(request: PlanRequest, form?: AttentionForm): Plan {
  const problem = attentionProblem('attention', request);
  const { batches, heads, queries } = problem;
  const chosen = form ?? formOf(problem, request.caps);
  const planned =
    chosen === 'fused'
      ? attentionFused(problem, request)
      : attentionInStrips(problem, request, chosen.scratchBytes);
  return {
    ...planned,
    outputs: { out: spec(request.shapes.q), lse: spec([batches, heads, queries]) },
  };
}

/** The backward plan. Errors as the forward's. */
export function planAttentionBackward(request: PlanRequest, form?: AttentionForm): Plan {
  const name = 'attention-backward';
  const problem = attentionProblem(name, request);
  const { batches, heads, queries } = problem;
  const shape = request.shapes.q;
  expectShape(name, 'out', shapeOf(name, request, 'out'), shape);
  expectShape(name, 'grad_out', shapeOf(name, request, 'grad_out'), shape);
  expectShape(name, 'lse', shapeOf(name, request, 'lse'), [batches, heads, queries]);
  const chosen = form ?? formOf(problem, request.caps);
  const planned =
    chosen === 'fused'
      ? attentionBackwardFused(problem, request)
      : attentionBackwardInStrips(problem, request, chosen.scratchBytes);
  const gradients = ['q', 'k', 'v'].filter((input) => isWanted(request, `grad_${input}`));
  return {
    ...planned,
    outputs: Object.fromEntries(gradients.map((input) => [`grad_${input}`, spec(request.shapes[input])])),
  };
}

const inputs: readonly Port[] = [
  { name: 'q', dtype: 'f32', shape: '[B, Lq, D], or packed [N, D]' },
  { name: 'k', dtype: 'f32', shape: '[B, Lk, D]' },
  { name: 'v', dtype: 'f32', shape: '[B, Lk, D]' },
  { name: 'mask', dtype: 'i32', shape: '[B, Lq, Lk]', optional: true, host: true },
  { name: 'lengths', dtype: 'i32', shape: '[B]', optional: true, host: true },
];
const params = [{ name: 'heads', doc: 'number of heads; divides D' }];

const tables = {
  ...stripTables,
  mask: 'the host input mask, as it is: [B, Lq, Lk]',
  'mask.<element>': 'the host input mask of the batch rows and queries of one strip, from that element on',
  'rows.<row>.<query>':
    'packed: of each batch row of one strip, from number <row> on, (its first packed row, its length, how many of its queries, ' +
    'which begin at <query>, are within length, 0)',
  'tiles.<row>.<query>.<ends>.<m>.<n>':
    'packed: the tiles of <m> rows and <n> columns of a product of one strip in which a batch row has elements, batch row by ' +
    'batch row, (batch row of the strip, row and column of tiles, its first packed row, m, k, 0, 0); digits of <ends> say ' +
    'what ends m, n and k: 0 nothing, 1 its length, 2 its queries within length',
  tables: 'the host inputs lengths and mask, as they are and in that order; those of them that there are',
};

/**
 * out [B,Lq,D] = softmax(q kᵀ/√dh over the keys that may be attended) v, by head (docs/spec.md#attention). `mask` 1 =
 * may attend; `lengths` = valid keys; a query that may attend to nothing gives 0 and takes no part in any gradient.
 * Packed: q, k, v and out [N,D], the rows of one item after those of another without padding, N = Σ lengths; no mask.
 * Saved for the backward: `lse` [B,H,Lq], the log-sum-exp of each row of scores (−1e30 where nothing is attended; packed:
 * Lq the longest item, undefined past an item's end).
 */
export const attention: Kernel = {
  name: 'attention',
  doc: 'out = softmax(q · kᵀ / √dh) · v by head, masked by pairs and by key lengths',
  inputs,
  outputs: [
    { name: 'out', dtype: 'f32', shape: '[B, Lq, D]' },
    { name: 'lse', dtype: 'f32', shape: '[B, H, Lq]', saved: true },
  ],
  params,
  tables,
  plan: (request) => planAttention(request),
  backward: {
    name: 'attention-backward',
    doc: 'dS = P ∘ (G vᵀ − Σ G∘out); grad_q = dS k/√dh, grad_k = dSᵀ q/√dh, grad_v = Pᵀ G',
    inputs: [
      ...inputs,
      { name: 'out', dtype: 'f32', shape: '[B, Lq, D]' },
      { name: 'lse', dtype: 'f32', shape: '[B, H, Lq]' },
      { name: 'grad_out', dtype: 'f32', shape: '[B, Lq, D]' },
    ],
    outputs: [
      { name: 'grad_q', dtype: 'f32', shape: '[B, Lq, D]' },
      { name: 'grad_k', dtype: 'f32', shape: '[B, Lk, D]' },
      { name: 'grad_v', dtype: 'f32', shape: '[B, Lk, D]' },
    ],
    params,
    tables,
    plan: (request) => planAttentionBackward(request),
  },
};
