/**
 * The matrix products of attention, strip by strip. The scores of a strip of rows [batch, head, query] are stored
 * transposed, [batch-head][key][query]: what happens to them between the products is then a scan over keys with one
 * lane per query, without barriers or reductions, and scratch is bounded whatever the length. The kernels
 * `attention` and `segment-attention` are such scans between these products.
 */
import { matmul, type Matrix, type MatmulSpec } from '../matmul.ts';
import { ceilDiv, spec, type Caps, type Dispatch, type Plan } from '../plan.ts';

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

/** The sizes of an attention: q [B, Lq, D], k and v [B, Lk, D], D = heads · headSize. */
export interface AttentionSizes {
  batches: number;
  heads: number;
  queries: number;
  keys: number;
  hidden: number;
  headSize: number;
  /** Valid keys of every batch row; all where absent. */
  lengths?: Int32Array;
  /** The queries end at the lengths too: sums over queries leave the padded ones out, whatever they hold. */
  paddedQueries?: boolean;
}

/** 1/√dh; a head of no elements has scores of 0 whatever the factor. */
export const scoreScale = ({ headSize }: AttentionSizes): number => 1 / Math.sqrt(Math.max(1, headSize));

/** One strip: its matrices, its part of the host tables, and its products. */
export class ScoreStrip<Sizes extends AttentionSizes = AttentionSizes> {
  readonly rows: number;
  /** Elements of scores from one key to the next. */
  readonly keyStride: number;
  /** Sum over the strip's batches of the keys within length. */
  readonly validKeys: number;
  /** Name of the table of the strip's lengths, if there are any. */
  readonly lengths: string | undefined;
  readonly #queryLimit: MatmulSpec['limit'];

  /** Adds the strip's tables to `data`; a strip that takes a whole table shares the caller's array. */
  constructor(
    readonly label: string,
    readonly sizes: Sizes,
    readonly strip: AttentionStrip,
    readonly caps: Caps,
    readonly data: Record<string, Int32Array>,
  ) {
    const { batch, batches, heads, query, queries } = strip;
    const { lengths } = sizes;
    this.rows = batches * heads * queries;
    this.keyStride = padded(queries);
    this.validKeys = 0;
    for (let b = 0; b < batches; b++) this.validKeys += this.lengthOf(b);
    if (!lengths) return;
    this.lengths = this.table('lengths', lengths, batch, batches);
    const queryLengths = lengths
      .subarray(batch, batch + batches)
      .map((length) => Math.min(queries, Math.max(0, length - query)));
    if (!sizes.paddedQueries || queryLengths.every((length) => length === queries)) return;
    const tensor = `query_lengths.${batch}.${query}`;
    data[tensor] ??= queryLengths;
    this.#queryLimit = { tensor, total: queryLengths.reduce((sum, length) => sum + length, 0) };
  }

  /** Elements of scratch that one score tensor of the strip takes. */
  get scoreElements(): number {
    return this.strip.batches * this.strip.heads * this.sizes.keys * this.keyStride;
  }

  /** Valid keys of the strip's batch `b`. */
  lengthOf(b: number): number {
    return this.sizes.lengths?.[this.strip.batch + b] ?? this.sizes.keys;
  }

  /** The name under which `values[start .. start + count]` is bound. */
  table(name: string, values: Int32Array, start: number, count: number): string {
    const whole = count === values.length;
    const key = whole ? name : `${name}.${start}`;
    this.data[key] ??= whole ? values : values.subarray(start, start + count);
    return key;
  }

  /** The strip's heads of a [B, Lq, D] tensor: one matrix [queries, dh] per batch and head. */
  queriesOf(tensor: string): Matrix {
    return this.#headsOf(tensor, this.sizes.queries, this.strip.query);
  }

  /** The strip's heads of a [B, Lk, D] tensor: one matrix [Lk, dh] per batch and head. */
  keysOf(tensor: string): Matrix {
    return this.#headsOf(tensor, this.sizes.keys, 0);
  }

  #headsOf(tensor: string, rows: number, first: number): Matrix {
    const { hidden, headSize } = this.sizes;
    const offset = (this.strip.batch * rows + first) * hidden + this.strip.head * headSize;
    return { tensor, row: hidden, offset, outer: rows * hidden, inner: headSize };
  }

  /** A scratch tensor: one matrix [Lk, queries] per batch and head. */
  #scoresOf(tensor: string): Matrix {
    const inner = this.sizes.keys * this.keyStride;
    return { tensor, row: this.keyStride, outer: this.strip.heads * inner, inner };
  }

  #matmul(product: Omit<MatmulSpec, 'label' | 'outer' | 'inner'>): Dispatch {
    const { batches, heads } = this.strip;
    return matmul({ label: this.label, outer: batches, inner: heads, ...product }, this.caps);
  }

  /** scores [Lk, queries] = alpha · byKey [Lk, dh] · byQuery [queries, dh]ᵀ. */
  scores(byKey: string, byQuery: string, scores: string, alpha?: number): Dispatch {
    return this.#matmul({
      ...{ m: this.sizes.keys, n: this.strip.queries, k: this.sizes.headSize },
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
      ...{ m: this.strip.queries, n: this.sizes.headSize, k: this.sizes.keys },
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
      ...{ m: this.sizes.keys, n: this.sizes.headSize, k: this.strip.queries },
      a: this.#scoresOf(scores),
      b: this.queriesOf(byQuery),
      c: this.keysOf(to),
      alpha,
      accumulate: this.strip.query > 0,
      limit: this.#queryLimit,
    });
  }
}

/**
 * Plans every strip of at most `scratchBytes` of scores (and never more than one binding may hold) with
 * `dispatchesOf`; `scratch` names the score tensors that it uses.
 */
export function planStrips<Sizes extends AttentionSizes, Strip extends ScoreStrip<Sizes>>(
  StripOf: new (...of: ConstructorParameters<typeof ScoreStrip<Sizes>>) => Strip,
  label: string,
  sizes: Sizes,
  caps: Caps,
  scratchBytes: number,
  scratch: readonly string[],
  dispatchesOf: (strip: Strip) => Dispatch[],
): Omit<Plan, 'outputs'> {
  const maxBytes = Math.min(scratchBytes, caps.maxStorageBufferBindingSize);
  const data: Record<string, Int32Array> = {};
  const strips = attentionStrips(sizes, Math.floor(maxBytes / 4)).map(
    (strip) => new StripOf(label, sizes, strip, caps, data),
  );
  const elements = strips.reduce((most, strip) => Math.max(most, strip.scoreElements), 0);
  return {
    dispatches: strips.flatMap(dispatchesOf).filter((dispatch) => !dispatch.workgroups.includes(0)),
    scratch: Object.fromEntries(scratch.map((name) => [name, spec([elements])])),
    data,
  };
}
