/**
 * `segment-attention` fused: scores never leave a workgroup. One dispatch makes the statistics of every query and scale,
 * one what the combined weights give, backward one by queries and one by keys. What a tile of keys gives depends on the
 * scores of W − 1 keys at both of its ends, W the widest scale: these are made again by the tile beside it.
 */
import {
  ceilDiv,
  f32,
  isWanted,
  spec,
  type Binding,
  type Caps,
  type Dispatch,
  type Plan,
  type PlanRequest,
  type Shader,
} from '../../plan.ts';
import { scoreScale } from '../attention-strips.ts';
import { canFuse, fusedDispatch, reads, rowsShare, writes, type FusedPass } from '../fused-attention.ts';
import type { SegmentProblem } from './problem.ts';
import { windowOf } from './scan.ts';
import segmentAttentionFusedKeysWgsl from '../../../shaders/segment-attention-fused-keys.wgsl';
import segmentAttentionFusedQueriesWgsl from '../../../shaders/segment-attention-fused-queries.wgsl';
import segmentAttentionStatsWgsl from '../../../shaders/segment-attention-stats.wgsl';

/** The widest scale that is fused: half of the scores that a block of keys makes are then its neighbours'. */
const FUSED_TOKENS = 9;
/** Keys whose scores a block of keys makes. */
const KEY_ROWS = 32;
/** A GPU wants so many lanes at once: blocks of keys are smaller where there would be fewer, down to half. */
const BUSY_LANES = 30000;
const WORKGROUP = 256;
/** Where a row's statistics meet. */
const PARTS_BYTES = 4 * WORKGROUP;

const statsPass = (backward: boolean): FusedPass => ({
  ...{ keysOwn: false, products: backward ? 2 : 1, sums: 0, tiles: backward ? 2 : 1 },
  ...{ elements: true, moreBytes: PARTS_BYTES },
});
const queriesPass = (halo: number, backward: boolean): FusedPass => ({
  ...{ keysOwn: false, products: backward ? 2 : 1, sums: 1, tiles: backward ? 2 : 1 },
  ...{ elements: true, skip: halo },
});
const keysPass = (halo: number, gradients: 1 | 2, grad: boolean, blockRows?: number): FusedPass => ({
  ...{ keysOwn: true, products: grad ? 2 : 1, sums: gradients, tiles: grad ? 2 : 1 },
  ...{ own: KEY_ROWS, ownSkip: halo, blockRows },
});

/** Whether forward and backward can run fused (pure): scales that are no wider than a tile of keys can pay for. */
export function fusesSegments(scales: readonly number[], headSize: number, caps: Caps): boolean {
  const window = windowOf(scales);
  if (window > FUSED_TOKENS || scales.every((r) => r === 0)) return false;
  const halo = window - 1;
  const passes = [statsPass(true), queriesPass(halo, true), keysPass(halo, 2, true)];
  return passes.every((pass) => canFuse(pass, headSize, caps));
}

/** The passes over one problem. */
class FusedSegments {
  readonly #scales: readonly number[];
  readonly #halo: number;
  /** Rows of all heads; scales that a row has statistics of. */
  readonly #rows: number;
  readonly #stats: number;
  readonly scratch: Plan['scratch'];

  constructor(
    readonly label: string,
    readonly problem: SegmentProblem,
    readonly caps: Caps,
    readonly backward: boolean,
  ) {
    const { batches, heads, queries, scales, weights } = problem;
    this.#scales = scales.filter((r) => r > 0);
    this.#halo = windowOf(scales) - 1;
    this.#rows = batches * heads * queries;
    this.#stats = weights ? scales.length : 1;
    this.scratch = { stats: spec([(backward ? 2 : 1) * this.#stats * this.#rows + batches]) };
  }

  /** A pass without its cost. */
  #pass(
    pass: FusedPass,
    shader: Shader,
    bindings: readonly Binding[],
    factor: number,
    constants: Record<string, number>,
  ): Omit<Dispatch, 'macs' | 'flops' | 'bytesRead' | 'bytesWritten'> {
    const { scales, weights, headsPerSet } = this.problem;
    const found = this.#stats * this.#rows;
    const strides = weights?.strides ?? { batch: 0, query: 0, head: 0 };
    return fusedDispatch(pass, this.problem, this.caps, {
      ...{ label: this.label, shader, bindings, scoreFactor: Math.LOG2E },
      constants: {
        SEGMENTS: 1,
        SCALES: this.#scales,
        SLOTS: scales,
        STATS: this.#stats,
        WINDOW: this.#halo + 1,
        HALO: this.#halo,
        PREV: ceilDiv(this.#halo, 4),
        PER_SCALE: Number(weights === undefined),
        ...constants,
      },
      uniforms: [
        f32(factor),
        ...[this.#rows, this.backward ? found : 0, headsPerSet, (this.backward ? 2 : 1) * found],
        ...[strides.batch, strides.query, strides.head],
      ],
    });
  }

  /** (query, key) pairs of all heads whose scores tiles of `step` keys make that reach `halo` keys back, and `after` on. */
  #pairs(step: number, halo: number, after: number): number {
    let pairs = 0;
    for (const length of this.problem.lengths)
      for (let key = 0; key < length; key += step)
        pairs += length * (Math.min(length, key + step + after) - Math.max(0, key - halo));
    return this.problem.heads * pairs;
  }

  /** Tokens within length of all heads. */
  get #valid(): number {
    return this.problem.heads * this.problem.lengths.reduce((sum, length) => sum + length, 0);
  }

  /** Scales that a pair has segments of: with projections of their own, the mean over the sets of heads. */
  get #segmentsByPair(): number {
    return this.problem.weights ? this.#scales.length : this.#scales.length / this.problem.scales.length;
  }

  get #weightReads(): number {
    return this.problem.weights ? this.#scales.length * this.#valid : 0;
  }

  statistics(rowGrads: string | undefined): Dispatch {
    const { headSize, batches } = this.problem;
    const B = Number(this.backward);
    const pairs = this.#pairs(rowsShare(16).stream - this.#halo, this.#halo, 0);
    const macs = (1 + B) * pairs * headSize;
    const found = this.#rows * this.#stats;
    return {
      ...this.#pass(
        statsPass(this.backward),
        segmentAttentionStatsWgsl,
        [
          ...reads('q', 'k', 'lengths'),
          ...(B ? reads('v', 'grad_out') : []),
          ...writes('stats'),
          ...(rowGrads === undefined
            ? []
            : [{ name: 'row_grads', access: 'read_write', tensor: rowGrads } as const]),
        ],
        1,
        { BACKWARD: B, GRAD_WEIGHTS: Number(rowGrads !== undefined) },
      ),
      macs,
      // By pair: scaling, sums of tokens; by segment as the scan's first sweep; by row and scale: max, log, add and divide.
      flops:
        2 * macs +
        Math.round(pairs * (1 + (1 + B) * this.#halo + this.#segmentsByPair * (6 + 3 * B))) +
        found * (3 + 2 * B),
      bytesRead: 4 * ((1 + B) * 2 * this.#valid * headSize + batches),
      bytesWritten: 4 * (found * (1 + B + Number(rowGrads !== undefined)) + batches),
    };
  }

  /** Operations of the scan by pair: scaling, sums of tokens, segments, what they give to their tokens. */
  #scanned(pairs: number, grad: boolean): number {
    const tensors = grad ? 2 : 1;
    const window = this.#halo + 1;
    return Math.round(
      pairs * (1 + tensors * (this.#halo + window) + this.#segmentsByPair * ((grad ? 7 : 4) + tensors)),
    );
  }

  /** out, or backward grad_q. */
  byQueries(to: string): Dispatch {
    const { headSize, batches, weights } = this.problem;
    const B = Number(this.backward);
    const step = rowsShare(16).stream - 2 * this.#halo;
    const pairs = this.#pairs(step, this.#halo, this.#halo);
    const given = this.#pairs(step, 0, 0);
    const macs = ((1 + B) * pairs + given) * headSize;
    const { splits } = rowsShare(16, headSize);
    return {
      ...this.#pass(
        queriesPass(this.#halo, this.backward),
        segmentAttentionFusedQueriesWgsl,
        [
          ...reads('q', 'k', 'v', 'stats'),
          ...(B ? reads('grad_out') : []),
          ...(weights ? reads('weights') : []),
          { name: 'out', access: 'read_write', tensor: to },
        ],
        B ? scoreScale(this.problem) : 1,
        { BACKWARD: B, GIVES_C: 1 - B, GIVES_D: B },
      ),
      macs,
      flops: 2 * macs + this.#scanned(pairs, this.backward) + this.#rows * headSize * splits,
      bytesRead:
        4 *
        ((B ? 4 : 3) * this.#valid * headSize +
          (1 + B) * this.#stats * this.#valid +
          this.#weightReads +
          batches),
      bytesWritten: 4 * this.#rows * headSize,
    };
  }

  /** grad_v and grad_k, as far as they are wanted. */
  byKeys(V: 0 | 1, K: 0 | 1): Dispatch {
    const { headSize, batches, heads, keys, weights } = this.problem;
    const most = KEY_ROWS - 2 * this.#halo;
    const busy = ceilDiv(BUSY_LANES, WORKGROUP * batches * heads);
    const blocks = Math.max(1, ceilDiv(keys, most), Math.min(ceilDiv(2 * keys, most), busy));
    const blockRows = Math.max(1, ceilDiv(keys, blocks));
    const pairs = this.#pairs(blockRows, this.#halo, this.#halo);
    const given = this.#pairs(blockRows, 0, 0);
    const macs = ((1 + K) * pairs + (V + K) * given) * headSize;
    const { splits } = rowsShare(KEY_ROWS, headSize);
    const stored = batches * heads * keys * headSize;
    return {
      ...this.#pass(
        keysPass(this.#halo, (V + K) as 1 | 2, K === 1, blockRows),
        segmentAttentionFusedKeysWgsl,
        [
          ...reads('q', 'k', 'v', 'stats', 'grad_out'),
          ...(weights ? reads('weights') : []),
          ...(V ? writes('grad_v') : []),
          ...(K ? writes('grad_k') : []),
        ],
        scoreScale(this.problem),
        { BACKWARD: K, GIVES_C: V, GIVES_D: K, GRAD_V: V, GRAD_K: K },
      ),
      macs,
      flops: 2 * macs + this.#scanned(pairs, K === 1) + stored * ((V + K) * (splits - 1) + K),
      bytesRead:
        4 *
        ((3 + K) * this.#valid * headSize +
          (1 + K) * this.#stats * this.#valid +
          this.#weightReads +
          batches),
      bytesWritten: 4 * (V + K) * stored,
    };
  }
}

/** Leaves out what has nothing to do. */
const planOf = (fused: FusedSegments, dispatches: Dispatch[]): Omit<Plan, 'outputs'> => ({
  dispatches: dispatches.filter(({ workgroups }) => !workgroups.includes(0)),
  scratch: fused.scratch,
  data: { lengths: fused.problem.lengths },
});

/** The forward's two dispatches. */
export function segmentsFused(label: string, problem: SegmentProblem, caps: Caps): Omit<Plan, 'outputs'> {
  const fused = new FusedSegments(label, problem, caps, false);
  return planOf(fused, [fused.statistics(undefined), fused.byQueries('out')]);
}

/** The backward's, three at most; `rowGrads` names the tensor that gets the gradient of every row's weights. */
export function segmentsBackwardFused(
  label: string,
  problem: SegmentProblem,
  request: PlanRequest,
  rowGrads: string | undefined,
): Omit<Plan, 'outputs'> {
  const fused = new FusedSegments(label, problem, request.caps, true);
  const [Q, V, K] = ['q', 'v', 'k'].map((input) => (isWanted(request, `grad_${input}`) ? 1 : 0) as 0 | 1);
  return planOf(fused, [
    fused.statistics(rowGrads),
    ...(Q ? [fused.byQueries('grad_q')] : []),
    ...(V || K ? [fused.byKeys(V, K)] : []),
  ]);
}
