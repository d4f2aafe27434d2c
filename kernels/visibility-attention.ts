/**
 * `visibility-attention`: attention among tokens of a few kinds, where a kind sees whole kinds and a token the members
 * of its group (docs/spec.md#visibility-attention). Queries of one kind go in blocks of four over the blocks of the
 * kinds that it sees, so that no pair is computed which nobody sees, and no mask is made; scores lie in bounded
 * scratch, strip by strip. Between forward and backward only `out` and the log-sum-exp of every row are kept.
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
  type TensorSpec,
} from './plan.ts';
import { VisibilityPasses, visibilityStrips, type Strip } from './shared/visibility-attention/passes.ts';
import { visibilityProblem, type VisibilityProblem } from './shared/visibility-attention/problem.ts';
import { BLOCK } from './shared/visibility-attention/tables.ts';

/** Bytes of scratch at most, but for a block that needs more: about what a last-level cache keeps. */
const SCRATCH_BYTES = 16 * 2 ** 20;

/** Strips of at most `scratchBytes`, and the scratch `weights` of `parts` numbers a score that the largest needs. */
function planStrips(
  problem: VisibilityProblem,
  caps: Caps,
  scratchBytes: number,
  parts: number,
): { strips: readonly Strip[]; scratch: Readonly<Record<string, TensorSpec>> } {
  const { batches, tokens, hidden, heads, tilesBefore } = problem;
  if (batches * tokens * hidden === 0) return { strips: [], scratch: {} };
  const perTile = parts * BLOCK * BLOCK * heads;
  const bytes = Math.min(scratchBytes, caps.maxStorageBufferBindingSize);
  const strips = visibilityStrips(problem, Math.floor(bytes / (4 * perTile)));
  const most = Math.max(...strips.map(({ first, end }) => tilesBefore[end] - tilesBefore[first]));
  return { strips, scratch: { weights: spec([Math.max(1, most) * perTile]) } };
}

/** The forward plan with at most `scratchBytes` of scores at a time: one pass a strip. Errors as the kernel's. */
export function planVisibilityAttention(request: PlanRequest, scratchBytes: number): Plan {
  const name = 'visibility-attention';
  const problem = visibilityProblem(name, request);
  const passes = new VisibilityPasses(name, problem, request.caps);
  const { strips, scratch } = planStrips(problem, request.caps, scratchBytes, 1);
  return {
    dispatches: strips.map((strip) => passes.forward(strip)),
    scratch,
    outputs: {
      out: spec(request.shapes.q),
      lse: spec([problem.batches, problem.tokens, problem.heads]),
    },
    data: { tables: problem.table },
  };
}

/**
 * The backward plan with at most `scratchBytes` of P and dS at a time: for each strip both and grad_q, then grad_k and
 * grad_v from them by the transposed lists; last what the groups add to these. Errors as the kernel's.
 */
export function planVisibilityAttentionBackward(request: PlanRequest, scratchBytes: number): Plan {
  const name = 'visibility-attention-backward';
  const problem = visibilityProblem(name, request);
  const { batches, tokens, heads } = problem;
  for (const input of ['out', 'grad_out'])
    expectShape(name, input, shapeOf(name, request, input), request.shapes.q);
  expectShape(name, 'lse', shapeOf(name, request, 'lse'), [batches, tokens, heads]);
  const passes = new VisibilityPasses(name, problem, request.caps);
  const { strips, scratch } = planStrips(problem, request.caps, scratchBytes, 2);
  const gradients = ['grad_q', 'grad_k', 'grad_v'].filter((output) => isWanted(request, output));
  const [gradQ, gradK, gradV] = ['grad_q', 'grad_k', 'grad_v'].map((output) => gradients.includes(output));
  const dispatches =
    strips.length === 0
      ? []
      : [
          passes.stats(),
          ...strips.flatMap((strip) => [
            passes.queries(strip, gradQ),
            ...(gradV ? [passes.keys(strip, 'grad_v')] : []),
            ...(gradK ? [passes.keys(strip, 'grad_k')] : []),
          ]),
          ...(passes.hasGroups && (gradK || gradV) ? [passes.members(gradK, gradV)] : []),
        ];
  return {
    dispatches,
    scratch: strips.length === 0 ? {} : { ...scratch, stats: spec([batches, tokens, heads, 2]) },
    outputs: Object.fromEntries(gradients.map((output) => [output, spec(request.shapes.q)])),
    data: { tables: problem.table },
  };
}

const inputs: readonly Port[] = [
  { name: 'q', dtype: 'f32', shape: '[B, L, D]' },
  { name: 'k', dtype: 'f32', shape: '[B, L, D]' },
  { name: 'v', dtype: 'f32', shape: '[B, L, D]' },
  { name: 'kinds', dtype: 'i32', shape: '[B, L]', host: true },
  { name: 'groups', dtype: 'i32', shape: '[B, L]', host: true },
  { name: 'lengths', dtype: 'i32', shape: '[B]', host: true },
];
const params = [
  { name: 'heads', doc: 'number of heads; divides D' },
  { name: 'sees', doc: 'by kind, the bits of the kinds that it sees' },
];
const tables = {
  tables:
    'a record of 21 for each block of four tokens, then the lists that records point into by place in the table. Tokens of ' +
    'a batch row go by kind, those past the length last, in fours, the last token repeated in a block of fewer. Record: the ' +
    'four tokens (b L + i); how many they are; begin, end of the list of (first, end) ranges of blocks that they see by ' +
    'kind; tiles (block by block seen) of the blocks before; tiles of this block; bit of its kind; bits of the kinds it ' +
    'sees; begin, end of the list of those who see it, rows (first, end block of queries, tile of block 0 by block 0, tiles ' +
    'a block of queries); for each of the four tokens begin, end of the list of the members of its group, rows (token, bit ' +
    'of its kind, bits that this sees), 0, 0 where all of the group see each other by kind (shaders/common/visibility.wgsl)',
};

/**
 * out [B,L,D] = softmax(q kᵀ/√dh over the keys that the query sees) v, by head: token i sees token j, both within
 * length, if bit kinds_j of sees[kinds_i] is set, or if groups_i = groups_j ≥ 0 (docs/spec.md#visibility-attention). A
 * row that sees nothing gives 0; padded rows of out and of every gradient are 0, whatever padding holds. Saved for the
 * backward: `lse` [B,L,H], −1e30 where nothing is seen. Errors: InputError on shapes, heads, sees, lengths, kinds.
 */
export const visibilityAttention: Kernel = {
  name: 'visibility-attention',
  doc: 'out = softmax(q · kᵀ / √dh) · v by head, over the keys whose kind or group the query sees',
  inputs,
  outputs: [
    { name: 'out', dtype: 'f32', shape: '[B, L, D]' },
    { name: 'lse', dtype: 'f32', shape: '[B, L, H]', saved: true },
  ],
  params,
  tables,
  plan: (request) => planVisibilityAttention(request, SCRATCH_BYTES),
  backward: {
    name: 'visibility-attention-backward',
    doc: 'dS = P ∘ (G vᵀ − Σ G∘out); grad_q = dS k/√dh, grad_k = dSᵀ q/√dh, grad_v = Pᵀ G',
    inputs: [
      ...inputs,
      { name: 'out', dtype: 'f32', shape: '[B, L, D]' },
      { name: 'lse', dtype: 'f32', shape: '[B, L, H]' },
      { name: 'grad_out', dtype: 'f32', shape: '[B, L, D]' },
    ],
    outputs: [
      { name: 'grad_q', dtype: 'f32', shape: '[B, L, D]' },
      { name: 'grad_k', dtype: 'f32', shape: '[B, L, D]' },
      { name: 'grad_v', dtype: 'f32', shape: '[B, L, D]' },
    ],
    params,
    tables,
    plan: (request) => planVisibilityAttentionBackward(request, SCRATCH_BYTES),
  },
};
