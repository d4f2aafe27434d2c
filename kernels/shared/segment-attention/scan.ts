/** The scans of `segment-attention` between its products: scores to combined weights, and their gradients. */
import { ceilDiv, foldGrid, type Binding, type Dispatch } from '../../plan.ts';
import { KEY_STEPS, ScoreStrip } from '../attention-strips.ts';
import { rowStrides, type SegmentProblem, type WeightStrides } from './problem.ts';
import segmentAttentionWgsl from '../../../shaders/segment-attention.wgsl';
import segmentAttentionBackwardWgsl from '../../../shaders/segment-attention-backward.wgsl';
import segmentAttentionWideWgsl from '../../../shaders/segment-attention-wide.wgsl';
import segmentAttentionWideBackwardWgsl from '../../../shaders/segment-attention-wide-backward.wgsl';

const wgsl = {
  narrow: { forward: segmentAttentionWgsl, backward: segmentAttentionBackwardWgsl },
  wide: { forward: segmentAttentionWideWgsl, backward: segmentAttentionWideBackwardWgsl },
};

const WORKGROUP = 64;

/** How `segment-attention` runs. */
export interface SegmentForm {
  /** Scales up to this keep past scores and pending sums in registers; with a wider one scores are read again. */
  registers: number;
  /** Bytes of one score tensor at most; longer inputs are cut into strips. */
  scratchBytes: number;
  /** Keys of a tile in the flash form, which computes scores twice; absent where all keys go at once. */
  tileKeys?: number;
}

/** Consecutive heads of a strip that have the same scales. */
interface Part {
  /** Those that have a segment, in the order of the weights. */
  scales: readonly number[];
  /** One for each weight, 0 where that scale has no segment. */
  slots: readonly number[];
  /** First head, counted in the strip. */
  first: number;
  heads: number;
}

/** The sweeps that a dispatch makes: over all keys both, over a tile of keys one. */
export type Sweeps = 'both' | 'stats' | 'combine';

/** Operations by segment of the two sweeps, sums of tokens and pending sums left out. */
interface ScanCost {
  /** Score tensors: each has its sums. */
  tensors: 1 | 2;
  stats: number;
  combine: number;
}

/** First sweep: mean, subtract, exp, multiply, add, max; second: mean, subtract, exp, multiply. */
const FORWARD: ScanCost = { tensors: 1, stats: 6, combine: 4 };
/** Also multiply, multiply, add of the mean gradient, and mean, subtract, multiply of the gradient. */
const BACKWARD: ScanCost = { tensors: 2, stats: 9, combine: 7 };

/** The tokens of the widest segment, at least 1. */
export const windowOf = (scales: readonly number[]): number => Math.max(1, ...scales);

const isWide = ({ scales }: Part, form: SegmentForm): boolean => windowOf(scales) > form.registers;

/** One strip's scans. */
export class SegmentScan extends ScoreStrip<SegmentProblem> {
  /** With shared projections one, with each scale's own one for each scale that the strip has heads of. */
  #parts(): Part[] {
    const { head, heads } = this.strip;
    const { scales, headsPerSet, weights } = this.sizes;
    const present = (slots: readonly number[]) => ({ slots, scales: slots.filter((r) => r > 0) });
    if (weights) return [{ ...present(scales), first: 0, heads }];
    return scales
      .map((r, s) => {
        const from = Math.max(head, s * headsPerSet);
        const to = Math.min(head + heads, (s + 1) * headsPerSet);
        return { ...present([r]), first: from - head, heads: to - from };
      })
      .filter((part) => part.heads > 0);
  }

  /** Uniforms that find the strip's rows in a tensor of weights. */
  #weightUniforms({ batch, query, head }: WeightStrides): number[] {
    const { strip } = this;
    return [strip.batch * batch + strip.query * query + strip.head * head, batch, query, head];
  }

  /** FLOPs, and elements of scores and pending sums moved, by the sweeps of one part, but for what is done by row. */
  #work(
    { scales, heads }: Part,
    wide: boolean,
    sweeps: Sweeps,
    cost: ScanCost,
  ): { flops: number; read: number; pending: number } {
    const { batches, query, queries } = this.strip;
    const { first, count, ownFirst } = this.tile;
    const { tensors } = cost;
    const ascending = [...scales].sort((a, b) => a - b);
    const widest = windowOf(scales);
    const stats = Number(sweeps !== 'combine');
    const combine = Number(sweeps !== 'stats');
    let flops = 0;
    let read = 0;
    let pending = 0;
    for (let b = 0; b < batches; b++) {
      const length = this.lengthOf(b);
      const live = heads * Math.min(queries, Math.max(0, length - query));
      if (wide) {
        pending += tensors * live * length; // begun and done; each segment adds to those of its tokens
        ascending.forEach((r, i) => {
          const segments = live * Math.max(0, length - r + 1);
          const tokens = tensors * segments * (r - (ascending[i - 1] ?? 0));
          flops += 2 * tokens + segments * (cost.stats + cost.combine + tensors * r);
          read += 2 * tokens;
          pending += tensors * segments * r;
        });
        continue;
      }
      const end = Math.min(length, first + count);
      const pairs = live * Math.max(0, end - first);
      const own = live * Math.max(0, end - ownFirst);
      const sums = tensors * pairs * (widest - 1);
      flops += stats * (sums + own * scales.length * cost.stats);
      flops += combine * (sums + pairs * (tensors * widest + scales.length * (cost.combine + tensors)));
      read += (stats + combine) * tensors * pairs;
    }
    return { flops, read, pending };
  }

  /** Name and elements of the tensor that carries a part's running statistics from tile to tile. */
  #stats(part: Part, cost: ScanCost): { tensor: string; elements: number } {
    const { batches, queries } = this.strip;
    const fields = cost.tensors + 1;
    return {
      tensor: `stats${part.first}`,
      elements: batches * part.heads * queries * part.scales.length * fields,
    };
  }

  /** Name and elements of a tensor that holds the sums so far of a part's last keys: what registers have no room for. */
  #pending({ scales, heads }: Part): { tensor: string; elements: number } {
    const { batches, queries } = this.strip;
    return { tensor: 'pending', elements: batches * heads * queries * windowOf(scales) };
  }

  /** The scan of one part; `rowGrads` as in `backward`. */
  #scan(form: SegmentForm, part: Part, sweeps: Sweeps, cost: ScanCost, rowGrads?: string): Dispatch {
    const { strip, sizes, caps, tile } = this;
    const { weights } = sizes;
    const backward = cost === BACKWARD;
    const S = part.scales.length;
    const rows = strip.batches * part.heads * strip.queries;
    const wide = isWide(part, form);
    const tiled = sweeps !== 'both' && S > 0;
    const combine = sweeps !== 'stats';
    const resume = sweeps === 'combine' || tile.ownFirst > 0;
    const { flops, read, pending } = this.#work(part, wide, sweeps, cost);
    const stats = this.#stats(part, cost);
    const bindings: Binding[] = [
      { name: 'scores', access: 'read_write', tensor: 'scores' },
      { name: 'lengths', access: 'read', tensor: this.lengths ?? 'lengths' },
    ];
    if (weights) bindings.push({ name: 'weights', access: 'read', tensor: 'weights' });
    if (backward) bindings.push({ name: 'grads', access: 'read_write', tensor: 'grad_scores' });
    if (rowGrads !== undefined) bindings.push({ name: 'row_grads', access: 'read_write', tensor: rowGrads });
    if (tiled) bindings.push({ name: 'stats', access: 'read_write', tensor: stats.tensor });
    if (wide) {
      const { tensor } = this.#pending(part);
      bindings.push({ name: 'pending', access: 'read_write', tensor });
      if (backward) bindings.push({ name: 'pending_grad', access: 'read_write', tensor: `${tensor}_grad` });
    }
    // By row and scale: max, multiply, divide; backward the mean gradient's product, and the weight's where there is one.
    const byRow = S * rows * (3 + (backward ? 1 + Number(weights !== undefined) : 0));
    const owned = rows * (tile.ownEnd - tile.ownFirst);
    const gradients = rowGrads === undefined ? 0 : part.slots.length * rows;
    return {
      label: this.label,
      shader: wgsl[wide ? 'wide' : 'narrow'][backward ? 'backward' : 'forward'],
      entryPoint: 'main',
      constants: {
        SCALES: part.scales,
        SLOTS: part.slots,
        WINDOW: windowOf(part.scales),
        WEIGHTS: Number(weights !== undefined),
        BACKWARD: Number(backward),
        GRAD_WEIGHTS: Number(rowGrads !== undefined),
        TILED: Number(tiled),
        ...(wide
          ? { WIDE: 1, ASCENDING: [...part.scales].sort((a, b) => a - b) }
          : {
              ...{ WIDE: 0, STATS: Number(sweeps !== 'combine'), COMBINE: Number(combine) },
              STEPS: KEY_STEPS,
            }),
      },
      bindings,
      uniforms: [
        ...[rows, strip.queries, tile.count, this.keyStride],
        ...[part.heads, strip.heads, part.first, strip.query],
        ...[tile.first, tile.ownFirst, tile.ownEnd, Number(resume)],
        ...this.#weightUniforms(weights?.strides ?? { batch: 0, query: 0, head: 0 }),
        ...(backward
          ? this.#weightUniforms(rowStrides(sizes.keys, sizes.headsPerSet, part.slots.length))
          : []),
      ],
      workgroups: foldGrid(ceilDiv(rows, WORKGROUP), caps),
      macs: 0,
      flops: flops + (combine ? byRow : 0),
      bytesRead:
        4 *
        (read +
          pending +
          strip.batches +
          (combine && weights ? S * rows : 0) +
          (tiled && resume ? stats.elements : 0)),
      bytesWritten: 4 * (combine ? cost.tensors * owned + pending + gradients : stats.elements),
    };
  }

  /**
   * The strip's scans in order. All keys at once: one. In tiles of `tileKeys`: first the statistics of every tile, which
   * needs the keys before it that its segments reach back to, then the weights, which need those after it too.
   */
  passes(tileKeys: number | undefined): { scan: SegmentScan; sweeps: Sweeps }[] {
    const { scales, keys } = this.sizes;
    if (tileKeys === undefined) return [{ scan: this, sweeps: 'both' }];
    const reach = windowOf(scales) - 1;
    const sweep = (sweeps: Sweeps, after: number) =>
      Array.from({ length: ceilDiv(keys, tileKeys) }, (_, i) => {
        const ownFirst = i * tileKeys;
        const ownEnd = Math.min(keys, ownFirst + tileKeys);
        const first = Math.max(0, ownFirst - reach);
        const tile = { first, count: Math.min(keys, ownEnd + after) - first, ownFirst, ownEnd };
        const scan = new SegmentScan(this.label, this.sizes, this.strip, this.caps, this.data, tile);
        return { scan, sweeps };
      });
    return [...sweep('stats', 0), ...sweep('combine', reach)];
  }

  /** Elements by name of the tensors that carry statistics from tile to tile, or hold the sums of wide scales. */
  scratchElements(form: SegmentForm, backward: boolean): [tensor: string, elements: number][] {
    const cost = backward ? BACKWARD : FORWARD;
    return this.#parts().flatMap((part): [string, number][] => {
      const stats = this.#stats(part, cost);
      if (form.tileKeys !== undefined) return part.scales.length > 0 ? [[stats.tensor, stats.elements]] : [];
      if (!isWide(part, form)) return [];
      const { tensor, elements } = this.#pending(part);
      return [[tensor, elements], ...(backward ? [[`${tensor}_grad`, elements] as [string, number]] : [])];
    });
  }

  /** The parts that a sweep concerns: without a segment there are no statistics, only weights that are 0. */
  #swept(sweeps: Sweeps): Part[] {
    return this.#parts().filter(({ scales }) => sweeps !== 'stats' || scales.length > 0);
  }

  /** S → C in place. */
  forward(form: SegmentForm, sweeps: Sweeps): Dispatch[] {
    return this.#swept(sweeps).map((part) => this.#scan(form, part, sweeps, FORWARD));
  }

  /** S → C and Z → dS in place, and with `rowGrads` the gradient of every row's weights there, [B,L,H,S]. */
  backward(form: SegmentForm, sweeps: Sweeps, rowGrads: string | undefined): Dispatch[] {
    const first = sweeps !== 'stats' && this.tile.ownFirst === 0;
    return this.#swept(sweeps).map((part) =>
      this.#scan(form, part, sweeps, BACKWARD, first ? rowGrads : undefined),
    );
  }
}
