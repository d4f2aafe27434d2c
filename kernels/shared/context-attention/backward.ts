/**
 * A strip of the backward. The gradients of a key are sums over the spans that leave it in, behind it and before it, of
 * grad_out/sum and its product with out: made once for all spans, after which one pass over [L, L] a head is left.
 */
import { spec, type Dispatch, type Shader } from '../../plan.ts';
import { scoreScale, type ScoreStrip } from '../attention-strips.ts';
import type { ContextProblem } from './problem.ts';
import { ContextStrip, reads, writes, type Scratch } from './strip.ts';
import type { BackwardTables } from './tables.ts';
import contextAttentionDeltaWgsl from '../../../shaders/context-attention-delta.wgsl';
import contextAttentionInsideWgsl from '../../../shaders/context-attention-inside.wgsl';
import contextAttentionSumsWgsl from '../../../shaders/context-attention-sums.wgsl';
import contextAttentionBackwardWgsl from '../../../shaders/context-attention-backward.wgsl';
import contextAttentionValuesWgsl from '../../../shaders/context-attention-values.wgsl';

/** Floats of scratch for a query of a head: its scores, delta for every span, and sums with two numbers for every slot. */
export const backwardElements = ({ keys, headSize }: ContextProblem, slots: number, spans: number): number =>
  keys + spans + slots * (headSize + 2);

/** Scratch [B, D] of the gradients of mask_query by batch row, where there are several. */
export const MASK_PARTIAL = 'mask_partial';

export class BackwardStrip extends ContextStrip {
  readonly #tables: BackwardTables;

  /** @param tables those of the strip's batch rows */
  constructor(tables: BackwardTables, ...of: ConstructorParameters<typeof ScoreStrip<ContextProblem>>) {
    super(...of);
    this.#tables = tables;
  }

  /** The last strip of a head has mask_query as its last row. */
  readonly #mask = this.strip.query + this.strip.queries === this.sizes.queries;
  readonly #rows = this.strip.queries + Number(this.#mask);

  get #states(): number {
    return this.#tables.slots * this.strip.heads * this.#rows;
  }

  get #deltas(): number {
    return this.spans.length * this.strip.heads * this.#rows;
  }

  scratch(): Scratch {
    const { headSize } = this.sizes;
    const inside = this.spans.length * this.strip.heads * headSize;
    return {
      scores: spec([this.scoreElements]),
      delta: spec([Math.max(1, this.#deltas)]),
      sums: spec([Math.max(1, this.#states * headSize)]),
      stats: spec([Math.max(2, this.#states * 2)]),
      ...(this.#mask ? { inside: spec([Math.max(1, inside)]) } : {}),
    };
  }

  /** @param wanted whether a gradient, such as `grad_q`, is to be made */
  dispatches(wanted: (gradient: string) => boolean): Dispatch[] {
    const scores = ['grad_q', 'grad_k', 'grad_mask_query'].some(wanted);
    return [
      ...this.allScores(this.#mask),
      ...(this.#mask ? [this.#insideSums()] : []),
      this.#delta(),
      this.#sums(),
      ...(wanted('grad_v') ? [this.#gradValues()] : []),
      ...(scores ? [this.#gradScores()] : []),
      ...(wanted('grad_k') ? this.#gradKeys() : []),
      ...(wanted('grad_q') ? [this.overKeys('scores', 'k', 'grad_q', scoreScale(this.sizes))] : []),
      ...(wanted('grad_mask_query') && this.#mask ? [this.#gradMaskQuery()] : []),
    ];
  }

  #insideSums(): Dispatch {
    const { heads, head } = this.strip;
    const { headSize, queries: tokens } = this.sizes;
    const { spans } = this.#tables;
    let rows = 0;
    for (const s of this.spans) rows += this.sizes.spans[3 * s + 2] - this.sizes.spans[3 * s + 1];
    const column = (head * headSize) / this.columns.LANES;
    const lanes = this.spans.length * heads * this.columns.GROUP;
    return this.scan({
      shader: contextAttentionInsideWgsl,
      bindings: [...this.bind({ spans }), reads('grad_out'), writes('inside')],
      uniforms: [lanes, heads, tokens, this.rowColumns, column],
      lanes,
      macs: 0,
      flops: rows * heads * headSize,
      bytesRead: 4 * (rows * heads * headSize + spans.length),
      bytesWritten: 4 * this.spans.length * heads * headSize,
    });
  }

  /** Rows whose grad_out counts by itself, and one for mask_query of every span. */
  #deltaRows(): number {
    return this.strip.heads * (this.pairs().outside + Number(this.#mask) * this.spans.length);
  }

  #delta(): Dispatch {
    const { heads, head, query } = this.strip;
    const { headSize, queries: tokens } = this.sizes;
    const { spans } = this.#tables;
    const column = (head * headSize) / this.columns.LANES;
    const rows = this.#deltaRows();
    const macs = rows * headSize;
    return this.scan({
      shader: contextAttentionDeltaWgsl,
      constants: { MASK: Number(this.#mask) },
      bindings: [
        ...this.bind({ spans }),
        reads('grad_out'),
        reads('out'),
        writes('delta'),
        ...(this.#mask ? [reads('inside')] : []),
      ],
      uniforms: [this.#deltas, this.#rows, heads, tokens, query, this.rowColumns, column],
      lanes: this.#deltas,
      macs,
      flops: 2 * macs,
      bytesRead: 4 * (2 * macs + spans.length),
      bytesWritten: 4 * rows,
    });
  }

  /** By row and span, in both directions: negate, subtract, exp, max, multiply, multiply, add; multiply by column. */
  #sums(): Dispatch {
    const { batches, heads, head, query } = this.strip;
    const { headSize, heads: allHeads, queries: tokens } = this.sizes;
    const { starts, items } = this.#tables;
    const rows = 2 * this.#deltaRows();
    const lanes = 2 * batches * heads * this.#rows * this.columns.GROUP;
    return this.scan({
      shader: contextAttentionSumsWgsl,
      constants: { MASK: Number(this.#mask) },
      bindings: [
        ...this.bind({ chains: starts, items }),
        reads('grad_out'),
        reads('lse'),
        reads('delta'),
        writes('sums'),
        writes('stats'),
        ...(this.#mask ? [reads('inside')] : []),
      ],
      uniforms: [lanes, this.#rows, heads, batches, query, tokens, allHeads, head, this.rowColumns],
      lanes,
      macs: rows * headSize,
      flops: rows * (3 * headSize + 7),
      bytesRead: 4 * (rows * (headSize + 2) + items.length + starts.length),
      bytesWritten: 4 * this.#states * (headSize + 2),
    });
  }

  /** Queries and keys within length whose spans, behind the key or before it, are some: with their sums. */
  #visited(): number {
    const { keys } = this.sizes;
    const { keySlots } = this.#tables;
    let visited = 0;
    for (let b = 0; b < this.strip.batches; b++) {
      const slots = keySlots
        .subarray(2 * b * keys, 2 * (b + 1) * keys)
        .reduce((n, slot) => n + Number(slot >= 0), 0);
      visited += slots * (this.queriesIn(b) + Number(this.#mask));
    }
    return this.strip.heads * visited;
  }

  #pass(
    shader: Shader,
    inputs: readonly string[],
    output: string,
    lanes: number,
    constants: Dispatch['constants'],
  ): Dispatch {
    const { heads, query, queries } = this.strip;
    const { keys, headSize } = this.sizes;
    const { keySlots } = this.#tables;
    const visited = this.#visited();
    const macs = visited * headSize;
    const written = output === 'scores' ? lanes : this.strip.batches * heads * keys * headSize;
    const again = constants.ACCUMULATE === 1 ? written : 0;
    return this.scan({
      shader,
      constants,
      bindings: [
        this.lengthsTable(),
        ...this.bind({ key_slots: keySlots }),
        ...inputs.map((name) => reads(name)),
        writes(output),
      ],
      uniforms: [
        ...[lanes, this.#rows, queries, heads, keys, this.keyStride, query],
        ...[this.firstColumn, this.rowColumns],
      ],
      lanes,
      macs,
      flops: 2 * macs + 4 * visited + again,
      bytesRead: 4 * (macs + 3 * visited + keySlots.length + again),
      bytesWritten: 4 * written,
    });
  }

  /** grad_v; by pair: add, exp. */
  #gradValues(): Dispatch {
    const { batches, heads, query } = this.strip;
    const lanes = batches * heads * this.sizes.keys * this.columns.GROUP;
    const constants = { ACCUMULATE: Number(query > 0) };
    return this.#pass(contextAttentionValuesWgsl, ['scores', 'sums', 'stats'], 'grad_v', lanes, constants);
  }

  /** S → dS in place; by pair: add, exp, subtract, multiply and add. */
  #gradScores(): Dispatch {
    const { batches, heads } = this.strip;
    const lanes = batches * heads * this.sizes.keys * this.#rows;
    return this.#pass(contextAttentionBackwardWgsl, ['sums', 'stats', 'v'], 'scores', lanes, {});
  }

  /** dS Q/√dh, then mask_query's part. */
  #gradKeys(): Dispatch[] {
    const alpha = scoreScale(this.sizes);
    const own = this.overQueries('scores', 'q', 'grad_k', alpha);
    if (!this.#mask) return [own];
    const { keys, headSize } = this.sizes;
    const [a, b, c] = [this.maskScores(), this.maskOf('mask_query'), this.keysOf('grad_k', 0)];
    return [own, this.matmul({ m: keys, n: headSize, k: 1, a, b, c, alpha, accumulate: true })];
  }

  /** dSᵀ K/√dh of mask_query, a row for each batch row. */
  #gradMaskQuery(): Dispatch {
    const { batches, hidden, keys, headSize } = this.sizes;
    const { batch, head } = this.strip;
    const tensor = batches > 1 ? MASK_PARTIAL : 'grad_mask_query';
    const c = {
      tensor,
      row: hidden,
      offset: batch * hidden + head * headSize,
      outer: hidden,
      inner: headSize,
    };
    const [a, b, alpha] = [this.maskScores(), this.keysOf('k', 0), scoreScale(this.sizes)];
    return this.matmul({ m: 1, n: headSize, k: keys, a, b, c, transA: true, alpha, limit: this.keyLimit });
  }
}
