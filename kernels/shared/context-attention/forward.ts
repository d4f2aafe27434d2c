/** A strip of the forward: scores, states of prefixes and suffixes, and their merge for every span. */
import { spec, type Dispatch } from '../../plan.ts';
import type { ScoreStrip } from '../attention-strips.ts';
import type { ContextProblem } from './problem.ts';
import { ContextStrip, reads, writes, type Scratch } from './strip.ts';
import type { ForwardTables } from './tables.ts';
import contextAttentionWgsl from '../../../shaders/context-attention.wgsl';
import contextAttentionScanWgsl from '../../../shaders/context-attention-scan.wgsl';

/** Floats of scratch for a query of a head: its scores, and a state with its lse for every slot. */
export const forwardElements = ({ keys, headSize }: ContextProblem, slots: number): number =>
  keys + slots * (headSize + 1);

export class ForwardStrip extends ContextStrip {
  readonly #tables: ForwardTables;

  /** @param tables those of the strip's batch rows */
  constructor(tables: ForwardTables, ...of: ConstructorParameters<typeof ScoreStrip<ContextProblem>>) {
    super(...of);
    this.#tables = tables;
  }

  /** States: of every slot and head, one for each of the strip's queries and the last for mask_query. */
  get #states(): number {
    return this.#tables.slots * this.strip.heads * (this.strip.queries + 1);
  }

  scratch(): Scratch {
    return {
      scores: spec([this.scoreElements]),
      states: spec([this.#states * this.sizes.headSize]),
      state_lse: spec([this.#states]),
    };
  }

  dispatches(): Dispatch[] {
    return this.spans.length === 0 ? [] : [...this.allScores(), this.#scan(), this.#merge()];
  }

  /** By key and query: subtract, exp, multiply, add, max; multiply by column. By state: division, log, add. */
  #scan(): Dispatch {
    const { batches, heads, query, queries } = this.strip;
    const { keys, headSize } = this.sizes;
    const { chains, ranges, slots, scanned } = this.#tables;
    const visited = scanned.reduce((sum, count, b) => sum + heads * count * (this.queriesIn(b) + 1), 0);
    const values = heads * headSize * scanned.reduce((sum, count) => sum + count, 0);
    const lanes = 2 * batches * heads * (queries + 1) * this.columns.GROUP;
    const macs = visited * headSize;
    return this.scan({
      shader: contextAttentionScanWgsl,
      bindings: [
        ...this.bind({ chains, ranges }),
        this.lengthsTable(),
        reads('scores'),
        reads('v'),
        writes('states'),
        writes('state_lse'),
      ],
      uniforms: [
        ...[lanes, queries + 1, heads, batches, query, keys, this.keyStride],
        ...[this.firstColumn, this.rowColumns],
      ],
      lanes,
      macs,
      flops: 2 * macs + visited * (headSize + 5) + this.#states * (headSize + 3),
      bytesRead: 4 * (visited + values + batches + 2 * slots),
      bytesWritten: 4 * this.#states * (headSize + 1),
    });
  }

  /** By row: subtract, exp, add, division, multiply, max, log, add; by column two products and a sum. */
  #merge(): Dispatch {
    const { head, heads, query, queries } = this.strip;
    const { headSize, heads: allHeads, queries: tokens } = this.sizes;
    const { spans } = this.#tables;
    const { outside, inside, padded } = this.pairs();
    const rows = heads * (outside + inside);
    const lanes = this.spans.length * queries * heads * this.columns.GROUP;
    return this.scan({
      shader: contextAttentionWgsl,
      bindings: [...this.bind({ spans }), reads('states'), reads('state_lse'), writes('out'), writes('lse')],
      uniforms: [lanes, queries, heads, tokens, allHeads, query, head, this.rowColumns],
      lanes,
      macs: rows * headSize,
      flops: rows * (3 * headSize + 8),
      bytesRead: 4 * (2 * rows * (headSize + 1) + spans.length),
      bytesWritten: 4 * heads * (outside + inside + padded) * (headSize + 1),
    });
  }
}
