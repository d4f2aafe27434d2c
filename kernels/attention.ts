/**
 * `attention`: masked multi-head attention. Scores are stored transposed, [batch-head][key][query]: the softmax is
 * then a scan over keys with one lane per query, without reductions, and all products are the library's one matmul.
 * Scratch is bounded: the scores are computed strip by strip. Between forward and backward only `out` and the
 * log-sum-exp of every row are kept; the backward computes the scores again.
 */
import { InputError } from './errors.ts';
import { matmul, type Matrix, type MatmulSpec } from './matmul.ts';
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
  type Caps,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
} from './plan.ts';

/** Bytes of one scratch tensor at most: about what a GPU's or a CPU's last-level cache keeps. */
const SCRATCH_BYTES = 16 * 2 ** 20;
const LANES = 64;

/** Scores per key are padded to whole vec4s, so that every product reads them four at a time. */
const padded = (queries: number): number => 4 * ceilDiv(queries, 4);

/** A part of the rows [B, H, Lq] of an attention, contiguous in that order: whole batches, heads, or queries. */
export interface AttentionStrip {
  batch: number;
  batches: number;
  head: number;
  heads: number;
  query: number;
  queries: number;
}

/** [start, count] of the fewest parts of 0..total−1 of at most `most`, even, in multiples of `step`. */
function partition(total: number, most: number, step = 1): [start: number, count: number][] {
  const size = step * ceilDiv(ceilDiv(total, Math.max(1, ceilDiv(total, most))), step);
  const parts: [number, number][] = [];
  for (let start = 0; start < total; start += size) parts.push([start, Math.min(size, total - start)]);
  return parts;
}

/**
 * Cuts the scores of an attention into strips of at most `maxElements`: between batches if a batch fits, else between
 * heads, else between queries (in fours; four queries are the least). Pure; a batch of 0 has no strips, any other at
 * least one, so that empty queries or keys still write their zeros.
 */
export function attentionStrips(
  shape: { batches: number; heads: number; queries: number; keys: number },
  maxElements: number,
): AttentionStrip[] {
  const { batches, heads, queries, keys } = shape;
  const headsThatFit = maxElements / (keys * padded(queries)); // Infinity where there are no scores
  const batchParts = partition(batches, Math.max(1, Math.floor(headsThatFit / heads)));
  const headParts = partition(heads, Math.max(1, Math.floor(headsThatFit)));
  const queryParts: [number, number][] =
    headsThatFit >= 1
      ? [[0, queries]]
      : partition(queries, 4 * Math.max(1, Math.floor(maxElements / keys / 4)), 4);
  return batchParts.flatMap(([batch, b]) =>
    headParts.flatMap(([head, h]) =>
      queryParts.map(([query, q]) => ({ batch, batches: b, head, heads: h, query, queries: q })),
    ),
  );
}

/** Shapes and host values of a request, checked. */
interface Problem {
  batches: number;
  heads: number;
  queries: number;
  keys: number;
  hidden: number;
  headSize: number;
  lengths?: Int32Array;
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
  if (request.shapes.lengths) {
    expectShape(kernel, 'lengths', request.shapes.lengths, [batches]);
    problem.lengths = hostOf(kernel, request, 'lengths');
    problem.lengths.forEach((length, row) => {
      if (length < 0 || length > keys)
        throw new InputError(`${kernel}: lengths row ${row} is ${length}, not in 0..${keys}`);
    });
  }
  return problem;
}

/** One strip of a problem: its matrices, its part of the host tables, and how many pairs it computes. */
class StripPlan {
  readonly rows: number;
  /** Elements of scores from one key to the next. */
  readonly keyStride: number;
  /** Sum over the strip's batches of the keys within length. */
  readonly validKeys: number;
  /** (row, key) pairs within length; of those, the ones that the mask lets through. */
  readonly visited: number;
  readonly attended: number;
  readonly lengths: string | undefined;
  readonly mask: string | undefined;

  /** Adds the strip's tables to `data`; a strip that takes a whole table shares the caller's array. */
  constructor(
    readonly label: string,
    readonly problem: Problem,
    readonly strip: AttentionStrip,
    readonly caps: Caps,
    data: Record<string, Int32Array>,
  ) {
    const { batch, batches, heads, query, queries } = strip;
    const { keys, lengths, mask } = problem;
    this.rows = batches * heads * queries;
    this.keyStride = padded(queries);
    const table = (name: string, values: Int32Array, start: number, count: number): string => {
      const whole = count === values.length;
      const key = whole ? name : `${name}.${start}`;
      data[key] ??= whole ? values : values.subarray(start, start + count);
      return key;
    };
    const lengthOf = (b: number): number => lengths?.[batch + b] ?? keys;
    this.validKeys = 0;
    for (let b = 0; b < batches; b++) this.validKeys += lengthOf(b);
    this.visited = heads * queries * this.validKeys;
    this.attended = this.visited;
    if (lengths) this.lengths = table('lengths', lengths, batch, batches);
    if (mask) {
      const start = (batch * problem.queries + query) * keys;
      this.mask = table('mask', mask, start, batches * queries * keys);
      let pairs = 0;
      for (let i = 0; i < batches * queries; i++) {
        const from = start + i * keys;
        const to = from + lengthOf(Math.floor(i / queries));
        for (let at = from; at < to; at++) if (mask[at] !== 0) pairs++;
      }
      this.attended = heads * pairs;
    }
  }

  /** The strip's heads of a [B, Lq, D] tensor: one matrix [queries, dh] per batch and head. */
  queriesOf(tensor: string): Matrix {
    return this.#headsOf(tensor, this.problem.queries, this.strip.query);
  }

  /** The strip's heads of a [B, Lk, D] tensor: one matrix [Lk, dh] per batch and head. */
  keysOf(tensor: string): Matrix {
    return this.#headsOf(tensor, this.problem.keys, 0);
  }

  #headsOf(tensor: string, rows: number, first: number): Matrix {
    const { hidden, headSize } = this.problem;
    const offset = (this.strip.batch * rows + first) * hidden + this.strip.head * headSize;
    return { tensor, row: hidden, offset, outer: rows * hidden, inner: headSize };
  }

  /** A scratch tensor: one matrix [Lk, queries] per batch and head. */
  #scoresOf(tensor: string): Matrix {
    const inner = this.problem.keys * this.keyStride;
    return { tensor, row: this.keyStride, outer: this.strip.heads * inner, inner };
  }

  #matmul(product: Omit<MatmulSpec, 'label' | 'outer' | 'inner'>): Dispatch {
    const { batches, heads } = this.strip;
    return matmul({ label: this.label, outer: batches, inner: heads, ...product }, this.caps);
  }

  /** scores [Lk, queries] = alpha · byKey [Lk, dh] · byQuery [queries, dh]ᵀ. */
  scores(byKey: string, byQuery: string, scores: string, alpha?: number): Dispatch {
    return this.#matmul({
      ...{ m: this.problem.keys, n: this.strip.queries, k: this.problem.headSize },
      a: this.keysOf(byKey),
      b: this.queriesOf(byQuery),
      c: this.#scoresOf(scores),
      transB: true,
      alpha,
    });
  }

  /** to [queries, dh] = alpha · scoresᵀ · byKey [Lk, dh], over the keys within length. */
  overKeys(scores: string, byKey: string, to: string, alpha?: number): Dispatch {
    return this.#matmul({
      ...{ m: this.strip.queries, n: this.problem.headSize, k: this.problem.keys },
      a: this.#scoresOf(scores),
      b: this.keysOf(byKey),
      c: this.queriesOf(to),
      transA: true,
      alpha,
      ...(this.lengths ? { limit: { tensor: this.lengths, total: this.validKeys } } : {}),
    });
  }

  /** to [Lk, dh] = alpha · scores · byQuery [queries, dh], added to the earlier queries' part where a head is cut. */
  overQueries(scores: string, byQuery: string, to: string, alpha?: number): Dispatch {
    return this.#matmul({
      ...{ m: this.problem.keys, n: this.problem.headSize, k: this.strip.queries },
      a: this.#scoresOf(scores),
      b: this.queriesOf(byQuery),
      c: this.keysOf(to),
      alpha,
      accumulate: this.strip.query > 0,
    });
  }

  /** A scan shader's dispatch without its cost: bindings in order, then lengths and mask where present. */
  scan(
    shader: string,
    bindings: readonly Binding[],
    uniforms: readonly number[],
  ): Omit<Dispatch, 'macs' | 'flops' | 'bytesRead' | 'bytesWritten'> {
    const { strip, problem } = this;
    const tables = [
      ['lengths', this.lengths],
      ['mask', this.mask],
    ].flatMap(([name, tensor]): Binding[] => (name && tensor ? [{ name, access: 'read', tensor }] : []));
    const firstRow = (strip.batch * problem.heads + strip.head) * problem.queries + strip.query;
    return {
      label: this.label,
      shader,
      entryPoint: 'main',
      constants: { LENGTHS: Number(this.lengths !== undefined), MASK: Number(this.mask !== undefined) },
      bindings: [...bindings, ...tables],
      uniforms: [this.rows, strip.queries, problem.keys, this.keyStride, strip.heads, firstRow, ...uniforms],
      workgroups: foldGrid(ceilDiv(this.rows, LANES), this.caps),
    };
  }

  /** S → P in place, and lse. Two passes over the pairs: subtract, exp, multiply, add, max; subtract, exp, multiply. */
  softmax(): Dispatch {
    const { rows, visited, attended, strip } = this;
    return {
      ...this.scan(
        'attention',
        [
          { name: 'scores', access: 'read_write', tensor: 'scores' },
          { name: 'lse', access: 'read_write', tensor: 'lse' },
        ],
        [],
      ),
      macs: 0,
      flops: 8 * attended + 4 * rows, // by row: max, division, log, add
      bytesRead: 4 * (2 * attended + (this.mask ? 2 * visited : 0) + (this.lengths ? strip.batches : 0)),
      bytesWritten: 4 * (visited + rows),
    };
  }

  /** S → P and Z → dS in place. One pass over the pairs: subtract, exp; subtract, multiply; dh terms of delta a row. */
  softmaxBackward(): Dispatch {
    const { rows, visited, attended, strip, problem } = this;
    const macs = rows * problem.headSize;
    return {
      ...this.scan(
        'attention-backward',
        [
          { name: 'scores', access: 'read_write', tensor: 'scores' },
          { name: 'grads', access: 'read_write', tensor: 'grad_scores' },
          { name: 'lse', access: 'read', tensor: 'lse' },
          { name: 'out', access: 'read', tensor: 'out' },
          { name: 'grad_out', access: 'read', tensor: 'grad_out' },
        ],
        [this.queriesOf('out').offset ?? 0, problem.hidden, problem.headSize],
      ),
      macs,
      flops: 2 * macs + 4 * attended,
      bytesRead:
        4 * (2 * attended + 2 * macs + rows + (this.mask ? visited : 0) + (this.lengths ? strip.batches : 0)),
      bytesWritten: 8 * rows * problem.keys,
    };
  }
}

/** Plans every strip with `dispatchesOf`; `scratch` names the score tensors that it uses. */
function planStrips(
  label: string,
  problem: Problem,
  caps: Caps,
  scratchBytes: number,
  scratch: readonly string[],
  dispatchesOf: (strip: StripPlan) => Dispatch[],
): Omit<Plan, 'outputs'> {
  const maxBytes = Math.min(scratchBytes, caps.maxStorageBufferBindingSize);
  const data: Record<string, Int32Array> = {};
  const strips = attentionStrips(problem, Math.floor(maxBytes / 4)).map(
    (strip) => new StripPlan(label, problem, strip, caps, data),
  );
  const elements = strips.reduce(
    (most, { strip, keyStride }) => Math.max(most, strip.batches * strip.heads * problem.keys * keyStride),
    0,
  );
  return {
    dispatches: strips.flatMap(dispatchesOf).filter((dispatch) => !dispatch.workgroups.includes(0)),
    scratch: Object.fromEntries(scratch.map((name) => [name, spec([elements])])),
    data,
  };
}

/** 1/√dh; a head of no elements has scores of 0 whatever the factor. */
const scaleOf = (problem: Problem): number => 1 / Math.sqrt(Math.max(1, problem.headSize));

/**
 * The forward plan with at most `scratchBytes` of scores at a time (and never more than one binding may hold): for
 * each strip Sᵀ = K Qᵀ/√dh, P = softmax over keys, O = P V. Errors: InputError on shapes, heads, lengths.
 */
export function planAttention(request: PlanRequest, scratchBytes: number): Plan {
  const problem = problemOf('attention', request);
  const { batches, heads, queries, hidden } = problem;
  const planned = planStrips('attention', problem, request.caps, scratchBytes, ['scores'], (strip) => [
    strip.scores('k', 'q', 'scores', scaleOf(problem)),
    strip.softmax(),
    strip.overKeys('scores', 'v', 'out'),
  ]);
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
  const scale = scaleOf(problem);
  const wanted = (input: string): boolean => isWanted(request, `grad_${input}`);
  const planned = planStrips(
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
 * out [B,Lq,D] = softmax(q kᵀ/√dh over the keys that may be attended) v, by head (SPEC section 1). `mask` 1 = may
 * attend; `lengths` = valid keys; a query that may attend to nothing gives 0 and takes no part in any gradient.
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
