/**
 * `segment-attention`: token-to-segment attention (Segment Information Attention, SPEC section 1). Averaging keys
 * over segments commutes with both products: the scores of the segments of r tokens are sliding means of one score
 * matrix, and Σ_r w_r A_r (P_r V) = (Σ_r w_r A_r P_r) V. So whatever the scales there are two matrix products forward
 * and five backward, those of self-attention, and one scan between them; no pooled keys, no scores by scale. Scores
 * are computed again in the backward: nothing is kept for it.
 */
import { columnSum } from './column-sum.ts';
import {
  expectShape,
  isWanted,
  shapeOf,
  sizeOf,
  spec,
  type Caps,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
  type Shape,
} from './plan.ts';
import { planStrips, scoreScale } from './shared/attention-strips.ts';
import { segmentProblem, type SegmentProblem } from './segment-attention/problem.ts';
import { SegmentScan, type SegmentForm } from './segment-attention/scan.ts';

/** Scores are kept times log2(e): exp2 is what devices have. */
const LOG2_E = Math.LOG2E;

/** Bytes of one score tensor at most: about what a GPU's or a CPU's last-level cache keeps. */
const SCRATCH_BYTES = 16 * 2 ** 20;
/** The widest scale that a scan keeps in registers: 4 numbers for each token of it in the backward. */
const REGISTER_TOKENS = 16;

/** Picks the form: pure, testable without a device. */
export function chooseSegmentAttention(): SegmentForm {
  return { registers: REGISTER_TOKENS, scratchBytes: SCRATCH_BYTES };
}

/**
 * The forward plan: for each strip Sᵀ = K Qᵀ/√dh, C from S by one scan, out = C V. `form` is the choice unless given.
 * Errors: InputError on shapes, heads, scales, projections, lengths, weights.
 */
export function planSegmentAttention(request: PlanRequest, form?: SegmentForm): Plan {
  const problem = segmentProblem('segment-attention', request);
  const chosen = form ?? chooseSegmentAttention();
  const planned = planStrips(
    SegmentScan,
    'segment-attention',
    problem,
    request.caps,
    chosen.scratchBytes,
    ['scores'],
    (strip) => [
      strip.scores('k', 'q', 'scores', LOG2_E * scoreScale(problem)),
      ...strip.combine(chosen),
      strip.overKeys('scores', 'v', 'out'),
    ],
  );
  return { ...planned, outputs: { out: spec(request.shapes.q) } };
}

/**
 * The backward plan, with two score tensors: for each strip Sᵀ again, Zᵀ = V Gᵀ, C and dS from them by one scan, then
 * grad_v = Cᵀ G, grad_k = dSᵀ Q/√dh, grad_q = dS K/√dh; the gradient of weights is a sum of the scan's rows in a fixed
 * order. Errors as the forward's.
 */
export function planSegmentAttentionBackward(request: PlanRequest, form?: SegmentForm): Plan {
  const name = 'segment-attention-backward';
  const { caps } = request;
  const problem = segmentProblem(name, request);
  const chosen = form ?? chooseSegmentAttention();
  expectShape(name, 'grad_out', shapeOf(name, request, 'grad_out'), request.shapes.q);
  const scale = scoreScale(problem);
  const wanted = (input: string): boolean => isWanted(request, `grad_${input}`);
  const weights = problem.weights && wanted('weights') ? problem.weights.shape : undefined;
  const rowGrads = weights && (weights.length === 4 ? 'grad_weights' : 'row_grads');
  const planned = planStrips(
    SegmentScan,
    name,
    problem,
    caps,
    chosen.scratchBytes,
    ['scores', 'grad_scores'],
    (strip) => [
      strip.scores('k', 'q', 'scores', LOG2_E * scale),
      strip.scores('v', 'grad_out', 'grad_scores'),
      ...strip.combineBackward(chosen, rowGrads),
      ...(wanted('v') ? [strip.overQueries('scores', 'grad_out', 'grad_v')] : []),
      ...(wanted('k') ? [strip.overQueries('grad_scores', 'q', 'grad_k', scale)] : []),
      ...(wanted('q') ? [strip.overKeys('grad_scores', 'k', 'grad_q', scale)] : []),
    ],
  );
  const reduced = reduceWeightGradients(name, problem, weights, caps);
  const gradients = ['q', 'k', 'v', ...(weights ? ['weights'] : [])].filter(wanted);
  return {
    ...planned,
    dispatches: [...planned.dispatches, ...reduced.dispatches],
    scratch: { ...planned.scratch, ...reduced.scratch },
    outputs: Object.fromEntries(gradients.map((input) => [`grad_${input}`, spec(request.shapes[input])])),
  };
}

/** grad_weights [S] or [H,S] from row_grads [B,L,H,S]; weights of every row have theirs already. */
function reduceWeightGradients(
  label: string,
  { batches, queries, headsPerSet, scales }: SegmentProblem,
  shape: Shape | undefined,
  caps: Caps,
): Pick<Plan, 'dispatches' | 'scratch'> {
  if (!shape || shape.length === 4) return { dispatches: [], scratch: {} };
  const elements = batches * queries * headsPerSet * scales.length;
  const columns = sizeOf(shape);
  const sum = columnSum(label, 'row_grads', elements / columns, columns, 'grad_weights', 'partial', caps);
  return { dispatches: sum.dispatches, scratch: { row_grads: spec([elements]), ...sum.scratch } };
}

const inputs: readonly Port[] = [
  { name: 'q', dtype: 'f32', shape: '[B, L, D] or [B, L, S·D]' },
  { name: 'k', dtype: 'f32', shape: '[B, L, D] or [B, L, S·D]' },
  { name: 'v', dtype: 'f32', shape: '[B, L, D] or [B, L, S·D]' },
  { name: 'weights', dtype: 'f32', shape: '[S], [H, S] or [B, L, H, S]', optional: true },
  { name: 'lengths', dtype: 'i32', shape: '[B]', host: true },
];
const params = [
  { name: 'heads', doc: 'number of heads; divides D' },
  { name: 'scales', doc: 'segment lengths in tokens, distinct' },
  {
    name: 'projections',
    doc: 'shared: one q, k, v and weighted scales; per-scale: q, k, v and out of each scale side by side',
    default: 'shared',
  },
];

/**
 * Shared projections: out [B,L,D] = Σ_s weights_s · O_s, O_s = softmax(q (P_s k)ᵀ/√dh over valid segments) (P_s v) by
 * head, P_s the means of scales[s] tokens (SPEC section 1); per-scale: q, k, v, out [B,L,S·D], out the O_s side by side.
 * A row shorter than a scale has O_s = 0; padded rows of out and of every gradient are 0, whatever padding holds.
 */
export const segmentAttention: Kernel = {
  name: 'segment-attention',
  doc: 'out = Σ_s weights_s · softmax(q · (P_s k)ᵀ / √dh) · (P_s v) by head, P_s the means of segments of scales[s] tokens',
  inputs,
  outputs: [{ name: 'out', dtype: 'f32', shape: '[B, L, D] or [B, L, S·D]' }],
  params,
  plan: (request) => planSegmentAttention(request),
  backward: {
    name: 'segment-attention-backward',
    doc: 'grad_v = Cᵀ G, grad_k = dSᵀ q/√dh, grad_q = dS k/√dh, grad_weights_s = Σ G∘O_s',
    inputs: [...inputs, { name: 'grad_out', dtype: 'f32', shape: '[B, L, D] or [B, L, S·D]' }],
    outputs: [
      { name: 'grad_q', dtype: 'f32', shape: '[B, L, D] or [B, L, S·D]' },
      { name: 'grad_k', dtype: 'f32', shape: '[B, L, D] or [B, L, S·D]' },
      { name: 'grad_v', dtype: 'f32', shape: '[B, L, D] or [B, L, S·D]' },
      { name: 'grad_weights', dtype: 'f32', shape: '[S], [H, S] or [B, L, H, S]', optional: true },
    ],
    params,
    plan: (request) => planSegmentAttentionBackward(request),
  },
};
