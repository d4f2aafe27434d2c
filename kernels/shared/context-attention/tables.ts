/**
 * The host tables of `context-attention`. A scan goes along a chain, one in each direction for each batch row, and
 * leaves a state at every cut that some span needs: the cuts are the chain's slots, numbered in the order of the scan.
 */
import type { ContextProblem } from './problem.ts';

/** Ints of a span in `spans` (shaders/common/context-span.wgsl). */
const SPAN_INTS = 8;

/** The spans of the batch rows `batch` .. `batch + batches`, those of a row together. */
export function spansIn({ spansOf }: ContextProblem, batch: number, batches: number): Int32Array {
  return spansOf.items.subarray(spansOf.starts[batch], spansOf.starts[batch + batches]);
}

/** The distinct values, ascending. */
const distinct = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);

/**
 * Chains of the slots that `cutsOf` gives for each direction and batch row. `chains` [2 · batches + 1] has the first slot of
 * each, those of the first direction first.
 */
function chainsOf<Cut>(
  batches: number,
  cutsOf: (direction: 0 | 1, b: number) => Cut[],
): { chains: Int32Array; slots: number; cuts: Cut[][] } {
  const cuts = ([0, 1] as const).flatMap((direction) =>
    Array.from({ length: batches }, (_, b) => cutsOf(direction, b)),
  );
  const chains = new Int32Array(cuts.length + 1);
  cuts.forEach((own, chain) => (chains[chain + 1] = chains[chain] + own.length));
  return { chains, slots: chains[cuts.length], cuts };
}

export interface ForwardTables {
  /** [2 · batches + 1]: first slot of each chain. */
  chains: Int32Array;
  slots: number;
  /** [slots, 2]: the keys from .. to (exclusive) that are added on the way to the slot. */
  ranges: Int32Array;
  /** Keys that the two chains of each batch row add. */
  scanned: readonly number[];
  spans: Int32Array;
}

/** Direction 0: prefixes [0, t), t each start; direction 1: suffixes [t, length), t each end, the shortest first. */
export function forwardTables(problem: ContextProblem, batch: number, batches: number): ForwardTables {
  const ends = ([0, 1] as const).map((direction) =>
    Array.from({ length: batches }, (_, b) =>
      distinct([...spansIn(problem, batch + b, 1)].map((s) => problem.spans[3 * s + 1 + direction])),
    ),
  );
  const { chains, slots, cuts } = chainsOf(batches, (direction, b) =>
    direction === 0 ? ends[0][b] : ends[1][b].slice().reverse(),
  );
  const ranges = new Int32Array(2 * slots);
  const scanned = Array<number>(batches).fill(0);
  cuts.forEach((own, chain) => {
    const forwards = chain < batches;
    let from = forwards ? 0 : problem.lengths[batch + chain - batches];
    own.forEach((cut, i) => {
      const range = forwards ? [from, cut] : [cut, from];
      ranges.set(range, 2 * (chains[chain] + i));
      scanned[chain % batches] += range[1] - range[0];
      from = cut;
    });
  });
  const slotOf = cuts.map((own, chain) => new Map(own.map((cut, i) => [cut, chains[chain] + i])));
  const spans = spanRows(problem, batch, batches, (b, start, end) => [
    slotOf[b].get(start) ?? 0,
    slotOf[batches + b].get(end) ?? 0,
  ]);
  return { chains, slots, ranges, scanned, spans };
}

export interface BackwardTables {
  slots: number;
  /** [2 · batches + 1 + slots + 1]: `chains`, then the first item of each slot. */
  starts: Int32Array;
  /** [items, 4]: the span's place among the strip's, its number, start, end. */
  items: Int32Array;
  /** [batches, L, 2]: the slots whose sums are over the spans behind the key, and over those before it; −1 for none. */
  keySlots: Int32Array;
  spans: Int32Array;
}

/**
 * Direction 0: spans that start at t or later, t each start from the last down; direction 1: spans that end at t or
 * before, t each end. A span that starts its row is behind no key and one that ends it before none.
 */
export function backwardTables(problem: ContextProblem, batch: number, batches: number): BackwardTables {
  const { spans, lengths, keys } = problem;
  const own = spansIn(problem, batch, batches);
  const first = problem.spansOf.starts[batch];
  const places = (b: number): number[] =>
    Array.from(spansIn(problem, batch + b, 1), (_, i) => problem.spansOf.starts[batch + b] - first + i);
  const { chains, slots, cuts } = chainsOf(batches, (direction, b) => {
    const byCut = new Map<number, number[]>();
    for (const place of places(b)) {
      const cut = spans[3 * own[place] + 1 + direction];
      if (cut === [0, lengths[batch + b]][direction]) continue;
      const there = byCut.get(cut);
      if (there) there.push(place);
      else byCut.set(cut, [place]);
    }
    const sorted = [...byCut].sort(([a], [c]) => a - c);
    return direction === 0 ? sorted.reverse() : sorted;
  });
  const starts = new Int32Array(chains.length + slots + 1);
  starts.set(chains);
  const items: number[] = [];
  const keySlots = new Int32Array(batches * keys * 2).fill(-1);
  cuts.forEach((chain, c) => {
    const direction = c < batches ? 0 : 1;
    const b = c % batches;
    chain.forEach(([cut, there], i) => {
      const slot = chains[c] + i;
      for (const place of there)
        items.push(place, own[place], spans[3 * own[place] + 1], spans[3 * own[place] + 2]);
      starts[chains.length + slot + 1] = items.length / 4;
      // The last slot of the chain that a key is outside of has all its spans: it overwrites those before.
      const [from, to] = direction === 0 ? [0, cut] : [cut, lengths[batch + b]];
      for (let j = from; j < to; j++) keySlots[(b * keys + j) * 2 + direction] = slot;
    });
  });
  return {
    ...{ slots, starts, keySlots },
    items: Int32Array.from(items),
    spans: spanRows(problem, batch, batches, () => [0, 0]),
  };
}

/** [spans of the strip, SPAN_INTS]; `slotsOf` gives those of the states before a span and behind it. */
function spanRows(
  problem: ContextProblem,
  batch: number,
  batches: number,
  slotsOf: (b: number, start: number, end: number) => readonly [number, number],
): Int32Array {
  const { spans, lengths } = problem;
  const own = spansIn(problem, batch, batches);
  const rows = new Int32Array(own.length * SPAN_INTS);
  for (let place = 0; place < own.length; place++) {
    const s = own[place];
    const [b, start, end] = [spans[3 * s] - batch, spans[3 * s + 1], spans[3 * s + 2]];
    const [before, behind] = slotsOf(b, start, end);
    rows.set([s, b, start, end, before, behind, lengths[batch + b], 0], place * SPAN_INTS);
  }
  return rows;
}

/** Tables by range of batch rows, each made once: strips of heads and queries share them. */
export function byRange<T>(
  make: (batch: number, batches: number) => T,
): (batch: number, batches: number) => T {
  const made = new Map<string, T>();
  return (batch, batches) => {
    const key = `${batch}.${batches}`;
    const tables = made.get(key) ?? make(batch, batches);
    made.set(key, tables);
    return tables;
  };
}
