/**
 * `attention` strip by strip: scores are stored transposed, [batch-head][key][query], so that the softmax is a scan over
 * keys with one lane per query, without reductions, and all products are the library's one matmul. Scratch is bounded.
 */
import {
  ceilDiv,
  foldGrid,
  isWanted,
  type Binding,
  type Dispatch,
  type Plan,
  type PlanRequest,
  type Shader,
} from '../../plan.ts';
import { KEY_STEPS, planStrips, scoreScale, ScoreStrip } from '../attention-strips.ts';
import type { AttentionProblem } from './problem.ts';
import attentionWgsl from '../../../shaders/attention.wgsl';
import attentionBackwardWgsl from '../../../shaders/attention-backward.wgsl';

const LANES = 64;

/** The scans of one strip. */
class AttentionScan extends ScoreStrip<AttentionProblem> {
  /** Name of the strip's part of the mask, if there is one. */
  readonly #mask: string | undefined;
  /** (row, key) pairs within length; of those, the ones that the mask lets through. */
  readonly #visited: number;
  readonly #attended: number;
  /** Rows of scores that are rows of q too. */
  readonly #queries: number;

  constructor(...of: ConstructorParameters<typeof ScoreStrip<AttentionProblem>>) {
    super(...of);
    const { batch, batches, heads, query, queries } = this.strip;
    const { keys, mask } = this.sizes;
    const packed = this.ragged?.rows;
    const pairs = packed?.reduce((sum, [, own, asked]) => sum + own * asked, 0) ?? queries * this.validKeys;
    this.#visited = heads * pairs;
    this.#attended = this.#visited;
    this.#queries = heads * (packed?.reduce((sum, [, , asked]) => sum + asked, 0) ?? batches * queries);
    if (!mask) return;
    const start = (batch * this.sizes.queries + query) * keys;
    this.#mask = this.table('mask', mask, start, batches * queries * keys);
    let open = 0;
    for (let i = 0; i < batches * queries; i++) {
      const from = start + i * keys;
      const to = from + this.lengthOf(Math.floor(i / queries));
      for (let at = from; at < to; at++) if (mask[at] !== 0) open++;
    }
    this.#attended = heads * open;
  }

  /** A scan shader's dispatch without its cost: bindings in order, then lengths and mask where present. */
  #scan(
    shader: Shader,
    bindings: readonly Binding[],
    uniforms: readonly number[],
  ): Omit<Dispatch, 'macs' | 'flops' | 'bytesRead' | 'bytesWritten'> {
    const { strip, sizes } = this;
    const tables = [
      ['rows', this.ragged?.tensor],
      ['lengths', this.lengths],
      ['mask', this.#mask],
    ].flatMap(([name, tensor]): Binding[] => (name && tensor ? [{ name, access: 'read', tensor }] : []));
    const firstRow = (strip.batch * sizes.heads + strip.head) * sizes.queries + strip.query;
    return {
      label: this.label,
      shader,
      entryPoint: 'main',
      constants: {
        PACKED: Number(this.ragged !== undefined),
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
    const { strip } = this;
    const [visited, attended, rows] = [this.#visited, this.#attended, this.#queries];
    return {
      ...this.#scan(
        attentionWgsl,
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
    const { strip, sizes } = this;
    const [visited, attended, rows] = [this.#visited, this.#attended, this.#queries];
    const macs = rows * sizes.headSize;
    return {
      ...this.#scan(
        attentionBackwardWgsl,
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
      bytesWritten: 8 * (this.ragged ? visited : rows * sizes.keys),
    };
  }
}

/**
 * The forward's dispatches with at most `scratchBytes` of scores at a time (and never more than one binding may hold): for
 * each strip Sᵀ = K Qᵀ/√dh, P = softmax over keys, O = P V.
 */
export const attentionInStrips = (
  problem: AttentionProblem,
  { caps }: PlanRequest,
  scratchBytes: number,
): Omit<Plan, 'outputs'> =>
  planStrips(AttentionScan, 'attention', problem, caps, scratchBytes, ['scores'], (strip) => [
    strip.scores('k', 'q', 'scores', scoreScale(problem)),
    strip.softmax(),
    strip.overKeys('scores', 'v', 'out'),
  ]);

/**
 * The backward's, with two score tensors of at most `scratchBytes`: for each strip Sᵀ again, Zᵀ = V Gᵀ, P and
 * dS = P ∘ (Z − Σ G∘O), then grad_v = Pᵀ G, grad_k = dSᵀ Q/√dh, grad_q = dS K/√dh.
 */
export function attentionBackwardInStrips(
  problem: AttentionProblem,
  request: PlanRequest,
  scratchBytes: number,
): Omit<Plan, 'outputs'> {
  const scale = scoreScale(problem);
  const wanted = (input: string): boolean => isWanted(request, `grad_${input}`);
  return planStrips(
    AttentionScan,
    'attention-backward',
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
}
