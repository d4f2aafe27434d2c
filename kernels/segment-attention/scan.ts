/** The scans of `segment-attention` between its products: scores to combined weights, and their gradients. */
import { ceilDiv, foldGrid, type Binding, type Dispatch } from '../plan.ts';
import { ScoreStrip } from '../shared/attention-strips.ts';
import { rowStrides, type SegmentProblem, type WeightStrides } from './problem.ts';

const WORKGROUP = 64;

/** How the scans run. */
export interface SegmentForm {
  /** Queries of one invocation. */
  lanes: 1 | 4;
  /** Past scores and pending sums in registers; otherwise scores are read again, for scales too wide for that. */
  window: boolean;
  /** Bytes of one score tensor at most; longer inputs are cut into strips. */
  scratchBytes: number;
}

/** Consecutive heads of a strip that have the same scales. */
interface Part {
  scales: readonly number[];
  /** First head, counted in the strip. */
  first: number;
  heads: number;
}

/** One strip's scans. */
export class SegmentScan extends ScoreStrip<SegmentProblem> {
  /** With shared projections one, with each scale's own one for each scale that the strip has heads of. */
  #parts(): Part[] {
    const { head, heads } = this.strip;
    const { scales, headsPerSet, weights } = this.sizes;
    if (weights) return [{ scales, first: 0, heads }];
    return scales
      .map((r, s) => {
        const from = Math.max(head, s * headsPerSet);
        const to = Math.min(head + heads, (s + 1) * headsPerSet);
        return { scales: [r], first: from - head, heads: to - from };
      })
      .filter((part) => part.heads > 0);
  }

  /** Uniforms that find a strip's rows in a tensor of weights. */
  #weightUniforms({ batch, query, head }: WeightStrides): number[] {
    const { strip } = this;
    return [strip.batch * batch + strip.query * query + strip.head * head, batch, query, head];
  }

  /** The scan `shader` of one part, without its cost. */
  #scan(
    shader: string,
    form: SegmentForm,
    part: Part,
    bindings: readonly Binding[],
    more: { constants?: Dispatch['constants']; uniforms?: readonly number[] } = {},
  ): Omit<Dispatch, 'macs' | 'flops' | 'bytesRead' | 'bytesWritten'> {
    const { strip, sizes, keyStride, caps } = this;
    const { weights } = sizes;
    const blocks = ceilDiv(strip.queries, form.lanes);
    const rows = strip.batches * part.heads * blocks;
    return {
      label: this.label,
      shader,
      entryPoint: 'main',
      constants: {
        LANES: form.lanes,
        SCALES: part.scales,
        WINDOW: Math.max(...part.scales),
        WEIGHTS: Number(weights !== undefined),
        GRAD_WEIGHTS: 0,
        ...more.constants,
      },
      bindings: [
        { name: 'scores', access: 'read_write', tensor: 'scores' },
        { name: 'lengths', access: 'read', tensor: this.lengths ?? '' },
        ...(weights ? [{ name: 'weights', access: 'read', tensor: 'weights' } as const] : []),
        ...bindings,
      ],
      uniforms: [
        ...[rows, blocks, strip.queries, sizes.keys, keyStride / form.lanes],
        ...[part.heads, strip.heads, part.first, strip.query],
        ...this.#weightUniforms(weights?.strides ?? { batch: 0, query: 0, head: 0 }),
        ...(more.uniforms ?? []),
      ],
      workgroups: foldGrid(ceilDiv(rows, WORKGROUP), caps),
    };
  }

  /** What a part's scan passes over: blocks of queries that are not all padding, times the keys within length. */
  #work({ lanes }: SegmentForm, { heads }: Part): { rows: number; pairs: number; elements: number } {
    const { batches, query, queries } = this.strip;
    let pairs = 0;
    for (let b = 0; b < batches; b++) {
      const length = this.lengthOf(b);
      const live = Math.min(queries, Math.max(0, length - query));
      pairs += heads * lanes * ceilDiv(live, lanes) * length;
    }
    const rows = batches * heads * lanes * ceilDiv(queries, lanes);
    return { rows, pairs, elements: rows * this.sizes.keys };
  }

  /**
   * S → C in place. First sweep by pair: WINDOW − 1 additions, and by scale mean, subtract, exp, multiply, add, max;
   * second: WINDOW − 1 and WINDOW additions, and by scale mean, subtract, exp, multiply, add. By row and scale a max,
   * a multiplication and a division.
   */
  combine(form: SegmentForm): Dispatch[] {
    return this.#parts().map((part) => {
      const { rows, pairs, elements } = this.#work(form, part);
      const S = part.scales.length;
      const window = Math.max(...part.scales);
      return {
        ...this.#scan('segment-attention', form, part, []),
        macs: 0,
        flops: pairs * (3 * window - 2 + 11 * S) + 3 * S * rows,
        bytesRead: 4 * (2 * pairs + (this.sizes.weights ? S * rows : 0) + this.strip.batches),
        bytesWritten: 4 * elements,
      };
    });
  }

  /**
   * S → C and Z → dS in place, and with `rowGrads` the gradient of every row's weights there, [B,L,H,S]. First sweep by
   * pair: 2 (WINDOW − 1) additions, and by scale mean, subtract, exp, max, and multiply-adds of sum and mean gradient
   * with a product; second: 2 (WINDOW − 1) and 2 WINDOW additions, and by scale mean, subtract, exp, multiply, add, and
   * mean, subtract, multiply, add of the gradient. By row and scale a max, a division and four multiplications.
   */
  combineBackward(form: SegmentForm, rowGrads: string | undefined): Dispatch[] {
    const { scales, headsPerSet, keys } = this.sizes;
    const strides = rowStrides(keys, headsPerSet, scales.length);
    return this.#parts().map((part) => {
      const { rows, pairs, elements } = this.#work(form, part);
      const S = part.scales.length;
      const window = Math.max(...part.scales);
      const bindings: Binding[] = [{ name: 'grads', access: 'read_write', tensor: 'grad_scores' }];
      if (rowGrads !== undefined)
        bindings.push({ name: 'row_grads', access: 'read_write', tensor: rowGrads });
      return {
        ...this.#scan('segment-attention-backward', form, part, bindings, {
          constants: { GRAD_WEIGHTS: Number(rowGrads !== undefined) },
          uniforms: this.#weightUniforms(strides),
        }),
        macs: 0,
        flops: pairs * (6 * window - 4 + 18 * S) + 6 * S * rows,
        bytesRead: 4 * (4 * pairs + (this.sizes.weights ? S * rows : 0) + this.strip.batches),
        bytesWritten: 4 * (2 * elements + (rowGrads !== undefined ? S * this.rows : 0)),
      };
    });
  }
}
