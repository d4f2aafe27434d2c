/**
 * `segment-attention`: token-to-segment attention (Segment Information Attention, docs/spec.md#segment-attention).
 * Averaging keys over segments commutes with both products: the scores of the segments of r tokens are sliding means of
 * one score matrix, and Σ_r w_r A_r (P_r V) = (Σ_r w_r A_r P_r) V. So whatever the scales there are two matrix products
 * forward and five backward, those of self-attention, and one scan between them; no pooled keys, no scores by scale.
 * Scores are computed again in the backward: nothing is kept for it.
 */
import { columnSum } from './column-sum.ts';
import { InputError } from './errors.ts';
import {
  expectShape,
  isWanted,
  shapeOf,
  sizeOf,
  spec,
  type Caps,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
  type Shape,
} from './plan.ts';
import { planStrips, scoreScale } from './shared/attention-strips.ts';
import { fusesSegments, segmentsBackwardFused, segmentsFused } from './shared/segment-attention/fused.ts';
import { segmentProblem, type SegmentProblem } from './shared/segment-attention/problem.ts';
import { SegmentScan, windowOf, type SegmentForm, type Sweeps } from './shared/segment-attention/scan.ts';
import { stripTables } from './shared/table-rules.ts';

/** Scores are kept times log2(e): exp2 is what devices have. */
const LOG2_E = Math.LOG2E;

/** The widest scale that a scan keeps in registers, 4 numbers for each of its tokens backward: 2.1 to 2.5 times faster. */
const REGISTER_TOKENS = 32;
/**
 * Bytes of one score tensor at most. A CPU gains nothing from more than its last-level cache holds; a GPU wants some
 * 16,000 rows at once, each a lane of the scan.
 */
const SCRATCH_BYTES = { software: 16 * 2 ** 20, gpu: 64 * 2 ** 20 };
/** From this many tokens on scratch is held to what grows with L alone: under 2 MiB at L = 4096, backward too. */
const LONG_TOKENS = 2048;
const LONG_SCRATCH_BYTES = 2 ** 19;
/** Keys of a flash tile: with scales up to 6 it computes (64 + 10) / 64 of the scores twice. */
const TILE_KEYS = 64;

/**
 * Picks the form: pure, testable without a device. On a GPU scores never leave a workgroup, but where a scale is too wide
 * for that or the device's limits too small; what is left goes by sweeps over stored scores.
 */
export function chooseSegmentAttention(
  sizes: { tokens: number; scales: readonly number[]; headSize: number },
  caps: Caps,
): SegmentForm | 'fused' {
  const { tokens, scales, headSize } = sizes;
  const present = scales.map((r) => (r > tokens ? 0 : r));
  return fusesSegments(present, headSize, caps) ? 'fused' : chooseSegmentForm(sizes, caps);
}

/**
 * Picks the form of sweeps over stored scores (pure). Long inputs take strips of few queries on a CPU, which computes the
 * scores once; on a GPU that would leave too few lanes, so the flash form takes tiles of keys of many queries, but where
 * a scale is too wide for registers. A scale longer than the input counts for nothing.
 */
export function chooseSegmentForm(
  { tokens, scales }: { tokens: number; scales: readonly number[] },
  { software }: Pick<Caps, 'software'>,
): SegmentForm {
  const registers = REGISTER_TOKENS;
  const long = tokens >= LONG_TOKENS;
  if (long && software) return { registers, scratchBytes: LONG_SCRATCH_BYTES };
  if (long && scales.every((r) => r <= registers || r > tokens))
    return { registers, scratchBytes: LONG_SCRATCH_BYTES, tileKeys: TILE_KEYS };
  return { registers, scratchBytes: software ? SCRATCH_BYTES.software : SCRATCH_BYTES.gpu };
}

/**
 * Plans the sweeps of every strip, each between the products that make its scores and those that use its weights.
 * Errors: InputError where a form with tiles meets a scale too wide for registers.
 */
function planSweeps(
  label: string,
  problem: SegmentProblem,
  caps: Caps,
  form: SegmentForm,
  backward: boolean,
  dispatchesOf: (scan: SegmentScan, sweeps: Sweeps) => Dispatch[],
): Omit<Plan, 'outputs'> {
  const { keys, scales } = problem;
  const widest = windowOf(scales);
  if (form.tileKeys !== undefined && widest > form.registers)
    throw new InputError(`${label}: scale ${widest} is too wide for the flash form`);
  const between: Record<string, number> = {};
  const planned = planStrips(
    SegmentScan,
    label,
    problem,
    caps,
    form.scratchBytes,
    backward ? ['scores', 'grad_scores'] : ['scores'],
    (strip) => {
      for (const [name, elements] of strip.scratchElements(form, backward))
        between[name] = Math.max(between[name] ?? 0, elements);
      return strip.passes(form.tileKeys).flatMap(({ scan, sweeps }) => dispatchesOf(scan, sweeps));
    },
    form.tileKeys === undefined ? keys : Math.min(keys, form.tileKeys + 2 * (widest - 1)),
  );
  const more = Object.entries(between).map(([name, elements]) => [name, spec([elements])]);
  return { ...planned, scratch: { ...planned.scratch, ...Object.fromEntries(more) } };
}

/**
 * The forward plan: for each strip Sᵀ = K Qᵀ/√dh, C from S by one scan, out = C V. `form` is the choice unless given.
 * Errors: InputError on shapes, heads, scales, projections, lengths, weights.
 */
export function planSegmentAttention(request: PlanRequest, form?: SegmentForm | 'fused'): Plan {
  const name = 'segment-attention';
  const problem = segmentProblem(name, request);
  const chosen = form ?? formOf(problem, request.caps);
  const outputs = { out: spec(request.shapes.q) };
  if (chosen === 'fused') return { ...segmentsFused(name, problem, request.caps), outputs };
  const planned = planSweeps(name, problem, request.caps, chosen, false, (scan, sweeps) => [
    scan.scores('k', 'q', 'scores', LOG2_E * scoreScale(problem)),
    ...scan.forward(chosen, sweeps),
    ...(sweeps === 'stats' ? [] : [scan.overKeys('scores', 'v', 'out')]),
  ]);
  return { ...planned, outputs };
}

const formOf = ({ keys, scales, headSize }: SegmentProblem, caps: Caps): SegmentForm | 'fused' =>
  chooseSegmentAttention({ tokens: keys, scales, headSize }, caps);

/**
 * The backward plan, with two score tensors: for each strip Sᵀ again, Zᵀ = V Gᵀ, C and dS from them by one scan, then
 * grad_v = Cᵀ G, grad_k = dSᵀ Q/√dh, grad_q = dS K/√dh; the gradient of weights is a sum of the scan's rows in a fixed
 * order. Errors as the forward's.
 */
export function planSegmentAttentionBackward(request: PlanRequest, form?: SegmentForm | 'fused'): Plan {
  const name = 'segment-attention-backward';
  const { caps } = request;
  const problem = segmentProblem(name, request);
  const chosen = form ?? formOf(problem, caps);
  expectShape(name, 'grad_out', shapeOf(name, request, 'grad_out'), request.shapes.q);
  const scale = scoreScale(problem);
  const wanted = (input: string): boolean => isWanted(request, `grad_${input}`);
  const weights = problem.weights && wanted('weights') ? problem.weights.shape : undefined;
  const byRow = weights?.length === 4 ? 'grad_weights' : undefined;
  const rowGrads = weights && (byRow ?? 'row_grads');
  const planned =
    chosen === 'fused'
      ? segmentsBackwardFused(name, problem, request, byRow)
      : planSweeps(name, problem, caps, chosen, true, (scan, sweeps) => [
          scan.scores('k', 'q', 'scores', LOG2_E * scale),
          scan.scores('v', 'grad_out', 'grad_scores'),
          ...scan.backward(chosen, sweeps, rowGrads),
          ...(sweeps === 'stats'
            ? []
            : [
                ...(wanted('v') ? [scan.overQueries('scores', 'grad_out', 'grad_v')] : []),
                ...(wanted('k') ? [scan.overQueries('grad_scores', 'q', 'grad_k', scale)] : []),
                ...(wanted('q') ? [scan.overKeys('grad_scores', 'k', 'grad_q', scale)] : []),
              ]),
        ]);
  const reduced = reduceWeightGradients(
    name,
    problem,
    weights,
    caps,
    chosen === 'fused' ? 'stats' : 'row_grads',
  );
  const gradients = ['q', 'k', 'v', ...(weights ? ['weights'] : [])].filter(wanted);
  return {
    ...planned,
    dispatches: [...planned.dispatches, ...reduced.dispatches],
    scratch: { ...planned.scratch, ...reduced.scratch },
    outputs: Object.fromEntries(gradients.map((input) => [`grad_${input}`, spec(request.shapes[input])])),
  };
}

/** grad_weights [S] or [H,S] from `source`, [B,L,H,S] and more; weights of every row have theirs already. */
function reduceWeightGradients(
  label: string,
  { batches, queries, headsPerSet, scales }: SegmentProblem,
  shape: Shape | undefined,
  caps: Caps,
  source: string,
): Pick<Plan, 'dispatches' | 'scratch'> {
  if (!shape || shape.length === 4) return { dispatches: [], scratch: {} };
  const elements = batches * queries * headsPerSet * scales.length;
  const columns = sizeOf(shape);
  const sum = columnSum(label, source, elements / columns, columns, 'grad_weights', 'partial', caps);
  return {
    dispatches: sum.dispatches,
    scratch: { ...(source === 'row_grads' && { row_grads: spec([elements]) }), ...sum.scratch },
  };
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
 * head, P_s the means of scales[s] tokens (docs/spec.md#segment-attention); per-scale: q, k, v, out [B,L,S·D], out the
 * O_s side by side. A row shorter than a scale has O_s = 0; padded rows of out and of every gradient are 0, whatever
 * padding holds.
 */
export const segmentAttention: Kernel = {
  name: 'segment-attention',
  doc: 'out = Σ_s weights_s · softmax(q · (P_s k)ᵀ / √dh) · (P_s v) by head, P_s the means of segments of scales[s] tokens',
  inputs,
  outputs: [{ name: 'out', dtype: 'f32', shape: '[B, L, D] or [B, L, S·D]' }],
  params,
  tables: stripTables,
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
    tables: stripTables,
    plan: (request) => planSegmentAttentionBackward(request),
  },
};
