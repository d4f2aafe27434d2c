/** The passes of `visibility-attention` over strips of blocks: dispatches with their costs. */
import { ceilDiv, f32, foldGrid, type Binding, type Caps, type Dispatch, type Shader } from '../../plan.ts';
import { lanesFor } from '../lanes.ts';
import type { VisibilityProblem } from './problem.ts';
import { BLOCK } from './tables.ts';
import visibilityAttentionStatsWgsl from '../../../shaders/visibility-attention-stats.wgsl';
import visibilityAttentionWgsl from '../../../shaders/visibility-attention.wgsl';
import visibilityAttentionKeysWgsl from '../../../shaders/visibility-attention-keys.wgsl';
import visibilityAttentionMembersWgsl from '../../../shaders/visibility-attention-members.wgsl';
import visibilityAttentionQueriesWgsl from '../../../shaders/visibility-attention-queries.wgsl';

const workgroup = (caps: Caps): number => (caps.software ? 8 : 64);

/** Blocks of queries whose tiles are in scratch at a time: those of whole rows of the batch, or a part of one row's. */
export interface Strip {
  first: number;
  end: number;
  /** The blocks of those rows. */
  rowsFirst: number;
  rowsEnd: number;
}

/** Cuts the blocks of queries into strips of at most `maxTiles` tiles, at least one row or block each. Pure. */
export function visibilityStrips(
  { rows, tilesBefore }: Pick<VisibilityProblem, 'rows' | 'tilesBefore'>,
  maxTiles: number,
): Strip[] {
  const strips: Strip[] = [];
  const fit = (first: number, end: number): boolean => tilesBefore[end] - tilesBefore[first] <= maxTiles;
  for (const { first, end } of rows) {
    const last = strips.at(-1);
    if (last && fit(last.rowsFirst, end)) {
      // Then all earlier rows of the last strip are whole: parts of a row do not fit together.
      last.end = end;
      last.rowsEnd = end;
      continue;
    }
    for (let from = first; from < end;) {
      let to = from + 1;
      while (to < end && fit(from, to + 1)) to++;
      strips.push({ first: from, end: to, rowsFirst: first, rowsEnd: end });
      from = to;
    }
  }
  return strips;
}

/** The passes of one request: dispatches with their costs. */
export class VisibilityPasses {
  readonly #lanes: 1 | 4;
  readonly #chunk: number;
  readonly #groups: boolean;

  constructor(
    readonly label: string,
    readonly problem: VisibilityProblem,
    readonly caps: Caps,
  ) {
    const { headSize, groupPairs } = problem;
    this.#lanes = lanesFor(headSize);
    this.#chunk = [4, 3, 2].find((n) => (headSize / this.#lanes) % n === 0) ?? 1;
    this.#groups = groupPairs.some((pairs) => pairs > 0);
  }

  get hasGroups(): boolean {
    return this.#groups;
  }

  /**
   * A pass over the blocks first..end by head.
   * @param constants those that not every pass has
   */
  #pass(
    shader: Shader,
    [first, end]: readonly [number, number],
    strip: Strip,
    bindings: readonly Binding[],
    constants: Readonly<Record<string, number>>,
    cost: { macs: number; others: number; read: number; written: number },
    accumulate = 0,
    alpha = 1 / Math.sqrt(this.problem.headSize),
  ): Dispatch {
    const { heads, hidden, headSize, tilesBefore, table } = this.problem;
    const wg = workgroup(this.caps);
    const lanes = (end - first) * heads;
    return {
      label: this.label,
      shader,
      entryPoint: 'main',
      constants: { LANES: this.#lanes, WG: wg, ...constants },
      bindings,
      uniforms: [
        ...[lanes, first, heads, hidden / this.#lanes, headSize / this.#lanes],
        ...[tilesBefore[strip.first] % 2 ** 32, strip.first, strip.end, accumulate],
        f32(alpha),
      ],
      workgroups: foldGrid(ceilDiv(lanes, wg), this.caps),
      macs: cost.macs,
      flops: 2 * cost.macs + cost.others,
      bytesRead: 4 * (cost.read + table.length),
      bytesWritten: 4 * cost.written,
    };
  }

  /** Pairs seen by kind and by group alone, and rows, of the queries of some blocks, all times heads; their tiles' elements. */
  #count(first: number, end: number) {
    const { heads, kindPairs, groupPairs, tilesBefore } = this.problem;
    const sum = (of: Float64Array): number => of.subarray(first, end).reduce((a, b) => a + b, 0);
    return {
      byKind: heads * sum(kindPairs),
      byGroup: heads * sum(groupPairs),
      rows: heads * BLOCK * (end - first),
      scores: BLOCK * BLOCK * heads * (tilesBefore[end] - tilesBefore[first]),
    };
  }

  /** S, its softmax, out and lse of a strip's queries. */
  forward(strip: Strip): Dispatch {
    const { headSize } = this.problem;
    const { byKind, byGroup, rows, scores } = this.#count(strip.first, strip.end);
    return this.#pass(
      visibilityAttentionWgsl,
      [strip.first, strip.end],
      strip,
      [...read('q', 'k', 'v', 'tables'), ...write('weights', 'out', 'lse')],
      { CHUNK: this.#chunk, GROUPS: Number(this.#groups) },
      {
        macs: 2 * headSize * (byKind + byGroup),
        // By pair: scale, max, subtract, exp, add; a member's also two multiply-adds of sums. By row: 1/x, log, add.
        others: 5 * byKind + (6 + headSize) * byGroup + (3 + headSize) * rows,
        read: headSize * (rows + (2 * scores) / BLOCK + 2 * byGroup) + 2 * scores,
        written: headSize * (rows + byGroup) + rows + 2 * scores,
      },
    );
  }

  /** stats: lse and Σ grad_out ∘ out of every row. */
  stats(): Dispatch {
    const { batches, tokens, hidden, heads, headSize } = this.problem;
    const rows = batches * tokens * heads;
    const elements = batches * tokens * hidden;
    return {
      label: this.label,
      shader: visibilityAttentionStatsWgsl,
      entryPoint: 'main',
      constants: { LANES: this.#lanes },
      bindings: [...read('lse', 'out', 'grad_out'), ...write('stats')],
      uniforms: [rows, headSize / this.#lanes],
      workgroups: foldGrid(ceilDiv(rows, 64), this.caps),
      macs: elements,
      flops: 2 * elements,
      bytesRead: 4 * (2 * elements + rows),
      bytesWritten: 8 * rows,
    };
  }

  /** P and dS of a strip's queries, and their grad_q where it is wanted. */
  queries(strip: Strip, gradQ: boolean): Dispatch {
    const { headSize } = this.problem;
    const { byKind, byGroup, rows, scores } = this.#count(strip.first, strip.end);
    const members = gradQ ? byGroup : 0;
    return this.#pass(
      visibilityAttentionQueriesWgsl,
      [strip.first, strip.end],
      strip,
      [
        ...read('q', 'k', 'v', 'grad_out', 'stats', 'tables'),
        ...write('weights', ...(gradQ ? ['grad_q'] : [])),
      ],
      { GRAD_Q: Number(gradQ), ...(gradQ ? { CHUNK: this.#chunk, GROUPS: Number(this.#groups) } : {}) },
      {
        macs: headSize * ((gradQ ? 3 : 2) * byKind + 3 * members),
        // By pair: scale, subtract, exp, subtract, multiply.
        others: 5 * byKind + 6 * members + (gradQ ? headSize * rows : 0),
        read: headSize * (2 * rows + (2 * scores) / BLOCK + 3 * members) + 2 * rows + (gradQ ? scores : 0),
        written: (gradQ ? headSize * (rows + members) : 0) + 2 * scores,
      },
    );
  }

  /** grad_k = dSᵀ q/√dh or grad_v = Pᵀ grad_out of the keys that a strip's queries may see, added to earlier strips'. */
  keys(strip: Strip, gradient: 'grad_k' | 'grad_v'): Dispatch {
    const { headSize } = this.problem;
    const { byKind, scores } = this.#count(strip.first, strip.end);
    const { rows } = this.#count(strip.rowsFirst, strip.rowsEnd);
    const later = strip.first > strip.rowsFirst;
    const isK = gradient === 'grad_k';
    return this.#pass(
      visibilityAttentionKeysWgsl,
      [strip.rowsFirst, strip.rowsEnd],
      strip,
      [
        { name: 'rows', access: 'read', tensor: isK ? 'q' : 'grad_out' },
        ...read('tables', 'weights'),
        { name: 'sums', access: 'read_write', tensor: gradient },
      ],
      { CHUNK: this.#chunk, PART: isK ? BLOCK : 0 },
      {
        macs: headSize * byKind,
        others: 2 * headSize * rows,
        read: headSize * ((later ? rows : 0) + scores / BLOCK) + scores,
        written: headSize * rows,
      },
      Number(later),
      isK ? undefined : 1,
    );
  }

  /** Adds to grad_k and grad_v what comes from queries that see a key by its group alone. */
  members(gradK: boolean, gradV: boolean): Dispatch {
    const { headSize, tilesBefore } = this.problem;
    const blocks = tilesBefore.length - 1;
    const { byGroup } = this.#count(0, blocks);
    const wanted = Number(gradK) + Number(gradV);
    return this.#pass(
      visibilityAttentionMembersWgsl,
      [0, blocks],
      { first: 0, end: blocks, rowsFirst: 0, rowsEnd: blocks },
      [
        ...read('q', 'k', 'v', 'grad_out', 'stats', 'tables'),
        ...write(...(gradK ? ['grad_k'] : []), ...(gradV ? ['grad_v'] : [])),
      ],
      { GRAD_K: Number(gradK), GRAD_V: Number(gradV) },
      {
        macs: headSize * byGroup * (1 + (gradK ? 1 : 0) + wanted),
        others: (gradK ? 6 : 3) * byGroup,
        read: byGroup * (headSize * (2 + 2 * wanted) + 2),
        written: byGroup * headSize * wanted,
      },
    );
  }
}

const bind = (access: Binding['access'], names: readonly string[]): Binding[] =>
  names.map((name) => ({ name, access, tensor: name }));
const read = (...names: string[]): Binding[] => bind('read', names);
const write = (...names: string[]): Binding[] => bind('read_write', names);
