/** The scans of `segment-attention` between its products: scores to combined weights, and their gradients. */
import { ceilDiv, foldGrid, type Binding, type Dispatch } from '../plan.ts';
import { ScoreStrip } from '../shared/attention-strips.ts';
import { rowStrides, type SegmentProblem, type WeightStrides } from './problem.ts';

const WORKGROUP = 64;

/** How `segment-attention` runs. */
export interface SegmentForm {
  /** Scales up to this keep past scores and pending sums in registers; with a wider one scores are read again. */
  registers: number;
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

/** What a part's scan executes, and its flops by scanned row, which differ forward and backward. */
interface ScanCost {
  /** Additions for each token that a mean sums, for both sweeps. */
  token: number;
  /** Additions to a pending sum. */
  pending: number;
  /** All other operations on a segment, for both sweeps. */
  segment: number;
  /** Operations by row and scale. */
  scale: number;
  /** Score tensors read and written. */
  tensors: number;
}

/**
 * Two sweeps of sums. By segment first mean, subtract, exp, multiply, add, max, then mean, subtract, exp, multiply
 * (and in registers the addition to the carry); by row and scale max, multiply, divide.
 */
const FORWARD: ScanCost = { token: 2, pending: 1, segment: 10, scale: 3, tensors: 1 };
/**
 * The same, and by segment multiply, multiply, add of the mean gradient, mean, subtract, multiply of the gradient; by
 * row and scale one more product, and where there are weights another.
 */
const BACKWARD: ScanCost = { token: 4, pending: 2, segment: 16, scale: 4, tensors: 2 };

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

  /** Uniforms that find the strip's rows in a tensor of weights. */
  #weightUniforms({ batch, query, head }: WeightStrides): number[] {
    const { strip } = this;
    return [strip.batch * batch + strip.query * query + strip.head * head, batch, query, head];
  }

  /** FLOPs, score elements read, and rows of one part. */
  #work(
    { scales, heads }: Part,
    wide: boolean,
    cost: ScanCost,
  ): { flops: number; read: number; rows: number } {
    const { batches, query, queries } = this.strip;
    const ascending = [...scales].sort((a, b) => a - b);
    const widest = ascending[ascending.length - 1];
    const rows = batches * heads * queries;
    let flops = rows * scales.length * cost.scale;
    let read = 0;
    for (let b = 0; b < batches; b++) {
      const length = this.lengthOf(b);
      const live = heads * Math.min(queries, Math.max(0, length - query));
      if (wide) {
        ascending.forEach((r, i) => {
          const segments = live * Math.max(0, length - r + 1);
          const tokens = segments * (r - (ascending[i - 1] ?? 0));
          flops += cost.token * tokens + segments * (cost.segment + cost.pending * r);
          read += 2 * tokens;
        });
      } else {
        const carried = scales.length * (cost.segment + cost.pending);
        flops += live * length * (cost.token * (widest - 1) + cost.pending * widest + carried);
        read += 2 * live * length;
      }
    }
    return { flops, read: cost.tensors * read, rows };
  }

  /** The scan of one part; `rowGrads` as in `combineBackward`. */
  #scan(form: SegmentForm, part: Part, backward: boolean, rowGrads?: string): Dispatch {
    const { strip, sizes, caps } = this;
    const { weights } = sizes;
    const S = part.scales.length;
    const wide = Math.max(...part.scales) > form.registers;
    const cost = backward ? BACKWARD : FORWARD;
    const { flops, read, rows } = this.#work(part, wide, cost);
    const bindings: Binding[] = [
      { name: 'scores', access: 'read_write', tensor: 'scores' },
      { name: 'lengths', access: 'read', tensor: 'lengths' },
    ];
    if (this.lengths !== undefined) bindings[1].tensor = this.lengths;
    if (weights) bindings.push({ name: 'weights', access: 'read', tensor: 'weights' });
    if (backward) bindings.push({ name: 'grads', access: 'read_write', tensor: 'grad_scores' });
    if (rowGrads !== undefined) bindings.push({ name: 'row_grads', access: 'read_write', tensor: rowGrads });
    return {
      label: this.label,
      shader: `segment-attention${wide ? '-wide' : ''}${backward ? '-backward' : ''}`,
      entryPoint: 'main',
      constants: {
        SCALES: part.scales,
        ...(wide ? { ASCENDING: [...part.scales].sort((a, b) => a - b) } : {}),
        WINDOW: Math.max(...part.scales),
        WEIGHTS: Number(weights !== undefined),
        GRAD_WEIGHTS: Number(rowGrads !== undefined),
      },
      bindings,
      uniforms: [
        ...[rows, strip.queries, sizes.keys, this.keyStride],
        ...[part.heads, strip.heads, part.first, strip.query],
        ...this.#weightUniforms(weights?.strides ?? { batch: 0, query: 0, head: 0 }),
        ...(backward ? this.#weightUniforms(rowStrides(sizes.keys, sizes.headsPerSet, S)) : []),
      ],
      workgroups: foldGrid(ceilDiv(rows, WORKGROUP), caps),
      macs: 0,
      flops: flops + (backward && weights ? S * rows : 0),
      bytesRead: 4 * (read + (weights ? S * rows : 0) + strip.batches),
      bytesWritten: 4 * (cost.tensors * rows * sizes.keys + (rowGrads !== undefined ? S * rows : 0)),
    };
  }

  /** S → C in place. */
  combine(form: SegmentForm): Dispatch[] {
    return this.#parts().map((part) => this.#scan(form, part, false));
  }

  /** S → C and Z → dS in place, and with `rowGrads` the gradient of every row's weights there, [B,L,H,S]. */
  combineBackward(form: SegmentForm, rowGrads: string | undefined): Dispatch[] {
    return this.#parts().map((part) => this.#scan(form, part, true, rowGrads));
  }
}
