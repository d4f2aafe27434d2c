/**
 * `attention`: masked multi-head attention. Scores are stored transposed, [batch-head][key][query]: the softmax is
 * then a scan over keys with one lane per query, without reductions, and all products are the library's one matmul.
 * Scratch is bounded: the scores are computed strip by strip. Between forward and backward only `out` and the
 * log-sum-exp of every row are kept; the backward computes the scores again.
 */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  hostOf,
  integerParam,
  isWanted,
  shapeOf,
  spec,
  type Binding,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
} from './plan.ts';
import {
  KEY_STEPS,
  planStrips,
  scoreScale,
  ScoreStrip,
  type AttentionSizes,
} from './shared/attention-strips.ts';
import { lengthsOf } from './shared/lengths.ts';

/** Bytes of one scratch tensor at most: about what a GPU's or a CPU's last-level cache keeps. */
const SCRATCH_BYTES = 16 * 2 ** 20;
const LANES = 64;

/** Shapes and host values of a request, checked. */
interface Problem extends AttentionSizes {
  mask?: Int32Array;
}

function problemOf(kernel: string, request: PlanRequest): Problem {
  const [batches, queries, hidden] = shapeOf(kernel, request, 'q', 3);
  const keys = shapeOf(kernel, request, 'k', 3)[1];
  expectShape(kernel, 'k', shapeOf(kernel, request, 'k'), [batches, keys, hidden]);
  expectShape(kernel, 'v', shapeOf(kernel, request, 'v'), [batches, keys, hidden]);
  const heads = integerParam(kernel, request.params, 'heads', undefined, 1);
  if (hidden % heads !== 0)
    throw new InputError(`${kernel}: D = ${hidden} is not a multiple of heads = ${heads}`);
  const problem: Problem = { batches, heads, queries, keys, hidden, headSize: hidden / heads };
  if (request.shapes.mask) {
    expectShape(kernel, 'mask', request.shapes.mask, [batches, queries, keys]);
    problem.mask = hostOf(kernel, request, 'mask');
  }
  if (request.shapes.lengths) problem.lengths = lengthsOf(kernel, request, batches, keys);
  return problem;
}

/** The scans of one strip. */
class AttentionScan extends ScoreStrip<Problem> {
  /** Name of the strip's part of the mask, if there is one. */
  readonly #mask: string | undefined;
  /** (row, key) pairs within length; of those, the ones that the mask lets through. */
  readonly #visited: number;
  readonly #attended: number;

  constructor(...of: ConstructorParameters<typeof ScoreStrip<Problem>>) {
    super(...of);
    const { batch, batches, heads, query, queries } = this.strip;
    const { keys, mask } = this.sizes;
    this.#visited = heads * queries * this.validKeys;
    this.#attended = this.#visited;
    if (!mask) return;
    const start = (batch * this.sizes.queries + query) * keys;
    this.#mask = this.table('mask', mask, start, batches * queries * keys);
    let pairs = 0;
    for (let i = 0; i < batches * queries; i++) {
      const from = start + i * keys;
      const to = from + this.lengthOf(Math.floor(i / queries));
      for (let at = from; at < to; at++) if (mask[at] !== 0) pairs++;
    }
    this.#attended = heads * pairs;
  }

  /** A scan shader's dispatch without its cost: bindings in order, then lengths and mask where present. */
  #scan(
    shader: string,
    bindings: readonly Binding[],
    uniforms: readonly number[],
  ): Omit<Dispatch, 'macs' | 'flops' | 'bytesRead' | 'bytesWritten'> {
    const { strip, sizes } = this;
    const tables = [
      ['lengths', this.lengths],
      ['mask', this.#mask],
    ].flatMap(([name, tensor]): Binding[] => (name && tensor ? [{ name, access: 'read', tensor }] : []));
    const firstRow = (strip.batch * sizes.heads + strip.head) * sizes.queries + strip.query;
    return {
      label: this.label,
      shader,
      entryPoint: 'main',
      constants: {
        LENGTHS: Number(this.lengths !== undefined),
        MASK: Number(this.#mask !== undefined),
        STEPS: KEY_STEPS,
      },
      bindings: [...bindings, ...tables],
      uniforms: [this.rows, strip.queries, sizes.keys, this.keyStride, strip.heads, firstRow, ...uniforms],
      workgroups: foldGrid(ceilDiv(this.rows, LANES), this.caps),
    };
  }

  /** S → P in place, and lse. Two passes over the pairs: subtract, exp, multiply, add, max; subtract, exp, multiply. */
  softmax(): Dispatch {
    const { rows, strip } = this;
    const [visited, attended] = [this.#visited, this.#attended];
    return {
      ...this.#scan(
        'attention',
        [
          { name: 'scores', access: 'read_write', tensor: 'scores' },
          { name: 'lse', access: 'read_write', tensor: 'lse' },
        ],
        [],
      ),
      macs: 0,
      flops: 8 * attended + 4 * rows, // by row: max, division, log, add
      bytesRead: 4 * (2 * attended + (this.#mask ? 2 * visited : 0) + (this.lengths ? strip.batches : 0)),
      bytesWritten: 4 * (visited + rows),
    };
  }

  /** S → P and Z → dS in place. One pass over the pairs: subtract, exp; subtract, multiply; dh terms of delta a row. */
  softmaxBackward(): Dispatch {
    const { rows, strip, sizes } = this;
    const [visited, attended] = [this.#visited, this.#attended];
    const macs = rows * sizes.headSize;
    return {
      ...this.#scan(
        'attention-backward',
        [
          { name: 'scores', access: 'read_write', tensor: 'scores' },
          { name: 'grads', access: 'read_write', tensor: 'grad_scores' },
          { name: 'lse', access: 'read', tensor: 'lse' },
          { name: 'out', access: 'read', tensor: 'out' },
          { name: 'grad_out', access: 'read', tensor: 'grad_out' },
        ],
        [this.queriesOf('out').offset ?? 0, sizes.hidden, sizes.headSize],
      ),
      macs,
      flops: 2 * macs + 4 * attended,
      bytesRead:
        4 *
        (2 * attended + 2 * macs + rows + (this.#mask ? visited : 0) + (this.lengths ? strip.batches : 0)),
      bytesWritten: 8 * rows * sizes.keys,
    };
  }
}

/**
 * The forward plan with at most `scratchBytes` of scores at a time (and never more than one binding may hold): for
 * each strip Sᵀ = K Qᵀ/√dh, P = softmax over keys, O = P V. Errors: InputError on shapes, heads, lengths.
 */
export function planAttention(request: PlanRequest, scratchBytes: number): Plan {
  const problem = problemOf('attention', request);
  const { batches, heads, queries, hidden } = problem;
  const planned = planStrips(
    AttentionScan,
    'attention',
    problem,
    request.caps,
    scratchBytes,
    ['scores'],
    (strip) => [
      strip.scores('k', 'q', 'scores', scoreScale(problem)),
      strip.softmax(),
      strip.overKeys('scores', 'v', 'out'),
    ],
  );
  return {
    ...planned,
    outputs: { out: spec([batches, queries, hidden]), lse: spec([batches, heads, queries]) },
  };
}

/**
 * The backward plan, with two score tensors of at most `scratchBytes`: for each strip Sᵀ again, Zᵀ = V Gᵀ,
 * P and dS = P ∘ (Z − Σ G∘O), then grad_v = Pᵀ G, grad_k = dSᵀ Q/√dh, grad_q = dS K/√dh. Errors as the forward's.
 */
export function planAttentionBackward(request: PlanRequest, scratchBytes: number): Plan {
  const name = 'attention-backward';
  const problem = problemOf(name, request);
  const { batches, heads, queries, hidden } = problem;
  const shape = [batches, queries, hidden];
  expectShape(name, 'out', shapeOf(name, request, 'out'), shape);
  expectShape(name, 'grad_out', shapeOf(name, request, 'grad_out'), shape);
  expectShape(name, 'lse', shapeOf(name, request, 'lse'), [batches, heads, queries]);
  const scale = scoreScale(problem);
  const wanted = (input: string): boolean => isWanted(request, `grad_${input}`);
  const planned = planStrips(
    AttentionScan,
    name,
    problem,
    request.caps,
    scratchBytes,
    ['scores', 'grad_scores'],
    (strip) => [
      strip.scores('k', 'q', 'scores', scale),
      strip.scores('v', 'grad_out', 'grad_scores'),
      strip.softmaxBackward(),
      ...(wanted('v') ? [strip.overQueries('scores', 'grad_out', 'grad_v')] : []),
      ...(wanted('k') ? [strip.overQueries('grad_scores', 'q', 'grad_k', scale)] : []),
      ...(wanted('q') ? [strip.overKeys('grad_scores', 'k', 'grad_q', scale)] : []),
    ],
  );
  const gradients = ['q', 'k', 'v'].filter(wanted);
  return {
    ...planned,
    outputs: Object.fromEntries(gradients.map((input) => [`grad_${input}`, spec(request.shapes[input])])),
  };
}

const inputs: readonly Port[] = [
  { name: 'q', dtype: 'f32', shape: '[B, Lq, D]' },
  { name: 'k', dtype: 'f32', shape: '[B, Lk, D]' },
  { name: 'v', dtype: 'f32', shape: '[B, Lk, D]' },
  { name: 'mask', dtype: 'i32', shape: '[B, Lq, Lk]', optional: true, host: true },
  { name: 'lengths', dtype: 'i32', shape: '[B]', optional: true, host: true },
];
const params = [{ name: 'heads', doc: 'number of heads; divides D' }];

/**
 * out [B,Lq,D] = softmax(q kᵀ/√dh over the keys that may be attended) v, by head (docs/spec.md#attention). `mask` 1 =
 * may attend; `lengths` = valid keys; a query that may attend to nothing gives 0 and takes no part in any gradient.
 * Saved for the backward: `lse` [B,H,Lq], the log-sum-exp of each row of scores (−1e30 where nothing is attended).
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
  plan: (request) => planAttention(request, SCRATCH_BYTES),
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
    plan: (request) => planAttentionBackward(request, SCRATCH_BYTES),
  },
};
