/**
 * What visibility-attention reads where all tokens of a kind see each other, once: the formulas count the keys of every tile
 * and the scores that an invocation reads back, and the table of blocks whole (shaders/common/visibility.wgsl).
 */
import type { Dispatch, Plan } from '../../../kernels/plan.ts';
import { constant, uniform, type Beyond } from './beyond.ts';

const RECORD = 21;
/** Places in a block's record. */
const TOKENS = [0, 1, 2, 3];
const [COUNT, RANGES, TILE, TILES, KIND, SEES, READERS, MEMBERS] = [4, 5, 7, 8, 9, 10, 11, 13];

/** The table of a plan, of which all blocks are in one strip. */
class Blocks {
  readonly #table: Int32Array;
  readonly #read = new Set<number>();
  readonly #blocks: number[];
  constructor({ bindings, uniforms }: Dispatch, data: Plan['data']) {
    this.#table = data[bindings.find(({ name }) => name === 'tables')?.tensor ?? ''];
    const count = Number(uniforms[0]) / Number(uniforms[2]);
    this.#blocks = Array.from({ length: count }, (_, i) => i * RECORD);
  }
  get tiles(): number {
    return this.#blocks.reduce((sum, block) => sum + this.#table[block + TILES], 0);
  }
  /** Words of every record. */
  fields(...places: number[]): this {
    for (const block of this.#blocks) for (const place of places) this.#read.add(block + place);
    return this;
  }
  /** Of the lists that two words of every record bound: the words at `offsets` of every `step`. */
  lists(place: number, step: number, ...offsets: number[]): this {
    for (const block of this.#blocks)
      for (let at = this.#table[block + place]; at < this.#table[block + place + 1]; at += step)
        for (const offset of offsets) this.#read.add(at + offset);
    return this;
  }
  /** The lists of members of the tokens of every block: a token and the bits that tell whether it counts. */
  members(bits: number): this {
    for (const r of TOKENS) {
      this.fields(MEMBERS + 2 * r, MEMBERS + 2 * r + 1);
      this.lists(MEMBERS + 2 * r, 3, 0, bits);
    }
    return this;
  }
  get words(): number {
    return this.#read.size;
  }
}

const sizes = (d: Dispatch) => {
  const rows = 4 * uniform(d, 0);
  return { rows, elements: rows * uniform(d, 4) * constant(d, 'LANES') };
};

function blocksOfQueries(d: Dispatch, data: Plan['data']): Blocks {
  const blocks = new Blocks(d, data).fields(...TOKENS, COUNT, RANGES, RANGES + 1, TILE).lists(RANGES, 1, 0);
  return constant(d, 'GROUPS') ? blocks.fields(SEES).members(1) : blocks;
}

type Convention = (d: Dispatch, data: Plan['data']) => Beyond;

const reads = (of: (d: Dispatch, data: Plan['data']) => number): Convention => {
  return (d, data) => ({ bytesRead: 4 * of(d, data) - d.bytesRead });
};

export const visibilityConventions: Readonly<Record<string, Convention>> = {
  'visibility-attention': (d, data) => {
    const { rows, elements } = sizes(d);
    // A member's running sum is a multiply-add; by row what there is of members goes over to the maximum of all.
    const members = constant(d, 'GROUPS') * rows;
    const read = 3 * elements + blocksOfQueries(d, data).words;
    return { macs: members, others: members, bytesRead: 4 * read - d.bytesRead };
  },
  'visibility-attention-queries': reads((d, data) => {
    const { rows, elements } = sizes(d);
    return 4 * elements + 2 * rows + blocksOfQueries(d, data).words;
  }),
  // What is added to is read even where nothing is; the scale is a multiply-add, counted as two operations.
  'visibility-attention-keys': (d, data) => {
    const blocks = new Blocks(d, data).fields(...TOKENS, COUNT, READERS, READERS + 1);
    blocks.lists(READERS, 4, 0, 1, 2, 3);
    const { elements } = sizes(d);
    const read = 2 * elements + 16 * blocks.tiles + blocks.words;
    return { macs: elements, others: -2 * elements, bytesRead: 4 * read - d.bytesRead };
  },
  'visibility-attention-members': reads((d, data) => {
    const { rows, elements } = sizes(d);
    const added = constant(d, 'GRAD_K') + constant(d, 'GRAD_V');
    return (
      (4 + added) * elements + 2 * rows + new Blocks(d, data).fields(...TOKENS, COUNT, KIND).members(2).words
    );
  }),
  'visibility-attention-stats': (d) => ({ others: uniform(d, 0) * (constant(d, 'LANES') - 1) }),
};
