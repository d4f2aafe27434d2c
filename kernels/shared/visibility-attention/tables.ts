/**
 * The host tables of `visibility-attention`: who sees whom, in O(B·L) integers. Tokens of one kind in one row of the
 * batch are cut into blocks of four, a row's blocks ordered by kind; what a kind sees is then a few ranges of blocks,
 * wherever its tokens stand, and a tile of scores is one block of queries by one block of keys.
 */
import { ceilDiv } from '../../plan.ts';

/** Tokens of a block: the four queries of a tile are the components of a vec4. */
export const BLOCK = 4;
/** Kinds are 0 to 15; the blocks of padding come after them and see nothing. */
const KINDS = 16;
const PADDING = KINDS;
/** Integers of a block's record (shaders/common/visibility.wgsl names them). */
const RECORD = 21;

/** A row of the batch: its blocks, padding included. */
export interface RowBlocks {
  first: number;
  end: number;
}

export interface VisibilityTables {
  /** Records of all blocks, then the lists that they point into. */
  table: Int32Array;
  rows: readonly RowBlocks[];
  /** Tiles of all blocks of queries before each block; one more at the end: all tiles. */
  tilesBefore: Float64Array;
  /** By block of queries: (query, key) pairs that see each other by kind, and those that do by group alone. */
  kindPairs: Float64Array;
  groupPairs: Float64Array;
}

/** The blocks of one kind in one row. */
interface Run extends RowBlocks {
  kind: number;
  tokens: readonly number[];
}

/** Where a list begins and ends in the table. */
type Place = readonly [begin: number, end: number];

/** The last tables of an array of kinds, with copies of all that they were made of. */
const made = new WeakMap<Int32Array, { given: readonly Int32Array[]; tables: VisibilityTables }>();

const equal = (a: Int32Array, b: Int32Array): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i]);

/**
 * The tables of a batch; the same object where `kinds` comes again and nothing has changed, as in every layer of an
 * encoder, forward and backward: then they are also uploaded once.
 * @param sees for each kind the bits of those it sees
 * @param kinds with a mask in `sees` within the lengths, anything in padding, as `groups`
 */
export function visibilityTables(
  lengths: Int32Array,
  tokens: number,
  sees: readonly number[],
  kinds: Int32Array,
  groups: Int32Array,
): VisibilityTables {
  const given = [lengths, Int32Array.of(tokens), Int32Array.from(sees), kinds, groups];
  const last = made.get(kinds);
  if (last && given.every((values, i) => equal(values, last.given[i]))) return last.tables;
  const tables = makeTables(lengths, tokens, sees, kinds, groups);
  made.set(kinds, { given: given.map((values) => values.slice()), tables });
  return tables;
}

function makeTables(
  lengths: Int32Array,
  tokens: number,
  sees: readonly number[],
  kinds: Int32Array,
  groups: Int32Array,
): VisibilityTables {
  const seenBy = (kind: number): number => sees[kind] ?? 0;
  const rows: (RowBlocks & { runs: Run[] })[] = [];
  let blocks = 0;
  lengths.forEach((length, b) => {
    const byKind = Array.from({ length: KINDS + 1 }, (): number[] => []);
    for (let at = b * tokens; at < (b + 1) * tokens; at++)
      byKind[at < b * tokens + length ? kinds[at] : PADDING].push(at);
    const first = blocks;
    const runs = byKind.flatMap((of, kind): Run[] => {
      if (of.length === 0) return [];
      const run = { kind, tokens: of, first: blocks, end: blocks + ceilDiv(of.length, BLOCK) };
      blocks = run.end;
      return [run];
    });
    rows.push({ first, end: blocks, runs });
  });

  const lists: number[] = [];
  const put = (list: readonly number[]): Place => {
    const begin = blocks * RECORD + lists.length;
    for (const value of list) lists.push(value);
    return [begin, begin + list.length];
  };
  const members = memberLists(lengths, tokens, seenBy, kinds, groups, put);
  const table = new Int32Array(blocks * RECORD);
  const tilesBefore = new Float64Array(blocks + 1);
  const kindPairs = new Float64Array(blocks);
  const groupPairs = new Float64Array(blocks);
  let tiles = 0;
  for (const { runs } of rows) {
    const readers = new Map(runs.map(({ kind }) => [kind, [] as number[]]));
    for (const run of runs) {
      const seen = runs.filter(
        ({ kind }) => kind < KINDS && run.kind < KINDS && canSee(seenBy(run.kind), kind),
      );
      const perBlock = seen.reduce((n, { first, end }) => n + end - first, 0);
      const keys = seen.reduce((n, { tokens: of }) => n + of.length, 0);
      let slot = 0;
      for (const { kind, first, end } of seen) {
        readers.get(kind)?.push(run.first, run.end, tiles + slot - first, perBlock);
        slot += end - first;
      }
      const ranges = put(joined(seen));
      for (let block = run.first; block < run.end; block++, tiles += perBlock) {
        const at = (block - run.first) * BLOCK;
        const of = run.tokens.slice(at, at + BLOCK);
        const four = Array.from({ length: BLOCK }, (_, r) => of[Math.min(r, of.length - 1)]);
        const own = run.kind < KINDS ? 1 << run.kind : 0;
        const head = [...four, of.length, ...ranges, tiles, perBlock, own, seenBy(run.kind)];
        table.set(
          [...head, 0, 0, ...four.flatMap((token) => members.places.get(token) ?? [0, 0])],
          block * RECORD,
        );
        tilesBefore[block] = tiles;
        kindPairs[block] = of.length * keys;
        groupPairs[block] = of.reduce((n, token) => n + members.pairs[token], 0);
      }
    }
    for (const run of runs) {
      const place = put(readers.get(run.kind) ?? []);
      for (let block = run.first; block < run.end; block++) table.set(place, block * RECORD + 11);
    }
  }
  tilesBefore[blocks] = tiles;
  const whole = new Int32Array(table.length + lists.length);
  whole.set(table);
  whole.set(lists, table.length);
  return { table: whole, rows, tilesBefore, kindPairs, groupPairs };
}

const canSee = (mask: number, kind: number): boolean => ((mask >> kind) & 1) === 1;

/** [first, end, …] of the blocks of some runs, neighbours made one. */
function joined(runs: readonly RowBlocks[]): number[] {
  const ranges: number[] = [];
  for (const { first, end } of runs)
    if (ranges.at(-1) === first) ranges[ranges.length - 1] = end;
    else ranges.push(first, end);
  return ranges;
}

/**
 * The members of every group of every row in which someone sees someone by the group alone: token, bit of its kind and
 * what that kind sees, one after another. `pairs` counts for each token whom it sees so.
 */
function memberLists(
  lengths: Int32Array,
  tokens: number,
  seenBy: (kind: number) => number,
  kinds: Int32Array,
  groups: Int32Array,
  put: (list: readonly number[]) => Place,
): { places: Map<number, Place>; pairs: Int32Array } {
  const places = new Map<number, Place>();
  const pairs = new Int32Array(lengths.length * tokens);
  lengths.forEach((length, b) => {
    const byGroup = new Map<number, number[]>();
    for (let at = b * tokens; at < b * tokens + length; at++) {
      if (groups[at] < 0) continue;
      const of = byGroup.get(groups[at]);
      if (of) of.push(at);
      else byGroup.set(groups[at], [at]);
    }
    for (const of of byGroup.values()) {
      const counts = new Int32Array(KINDS);
      for (const token of of) counts[kinds[token]]++;
      let all = 0;
      for (const token of of) {
        const mask = seenBy(kinds[token]);
        pairs[token] = counts.reduce((n, count, kind) => n + (canSee(mask, kind) ? 0 : count), 0);
        all += pairs[token];
      }
      if (all === 0) continue;
      const place = put(of.flatMap((token) => [token, 1 << kinds[token], seenBy(kinds[token])]));
      for (const token of of) places.set(token, place);
    }
  });
  return { places, pairs };
}
