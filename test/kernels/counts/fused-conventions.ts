/**
 * What fused forms of attention execute: workgroups of 256 lanes that have four own rows each with a row of a tile, of which
 * the formulas count the pairs that count.
 */
import type { Dispatch } from '../../../kernels/plan.ts';
import { beyondOf, constant, list, uniform, type Beyond } from './beyond.ts';

/**
 * Fused forms of attention: workgroups of 256 lanes, each with four own rows and a row of the tile. By lane and tile the
 * sums over a vec4f of its products are added up; what lanes share of a row is added up, and computed, by each of them.
 */
function fused(products: number, more: (lanes: number, tiles: number, d: Dispatch) => Beyond) {
  return (d: Dispatch): Beyond => {
    const lanes = 256 * uniform(d, 0);
    const tiles = Math.ceil(uniform(d, 4) / constant(d, 'STREAM'));
    const { others = 0, ...beyond } = more(lanes, tiles, d);
    return { ...beyond, others: others + lanes * tiles * 4 * 3 * products };
  };
}

/** The forward's maxima and sums over STREAM lanes: 8 of these add up the others, then every lane what the 8 have. */
function fusedForward(lanes: number, tiles: number, d: Dispatch): Beyond {
  const stream = constant(d, 'STREAM');
  const pairs = 4 * lanes * tiles;
  const reduced = 4 * lanes * (1 - 8 / stream + 7);
  const rows = 4 * lanes;
  return {
    // The running sum is a multiply-add, counted as two operations.
    macs: pairs,
    // By row the maximum, the division, the logarithm and a sum, by all lanes in place of one.
    others: -2 * pairs + (tiles + 1) * reduced + 4 * (rows - rows / stream),
  };
}

/** The tiles of a form of segment-attention, `step` rows apart. */
function tilesOf(d: Dispatch, step: number) {
  const [groups, streamRows, headSize, width, dimLanes] = [0, 4, 6, 7, 8].map((i) => uniform(d, i));
  const [stream, own, slice] = ['STREAM', 'OWN', 'SLICE'].map((name) => constant(d, name));
  const products = list(d, 'PRODUCTS').length;
  const tiles = Math.ceil(streamRows / step);
  const scales = list(d, 'SCALES').length;
  const shared = { groups, streamRows, headSize, stream, own, tiles, scales, splits: stream / dimLanes };
  const lanes = 256 * groups;
  return {
    ...shared,
    lanes,
    window: constant(d, 'WINDOW'),
    backward: constant(d, 'BACKWARD'),
    // Of four own rows by lane: products, the additions of their vec4fs, and the scale.
    macs: lanes * tiles * products * 16 * slice * Math.ceil(width / slice),
    others: lanes * tiles * (12 * products + 4),
  };
}

/** Segments end at every key of a tile but those that it has in common with the one before. */
function segmentStats(d: Dispatch): Beyond {
  const halo = constant(d, 'HALO');
  const of = tilesOf(d, constant(d, 'STREAM') - halo);
  const { lanes, scales, backward: B } = of;
  const ends = of.groups * of.tiles * of.own * (of.stream - halo);
  // What the lanes of a row have is added up, or its maximum taken, by each: one of the two is chosen.
  const reduced = 2 * (256 / of.own - 1);
  const rows = uniform(d, 3) * (of.groups / uniform(d, 1));
  return beyondOf(d, {
    macs: of.macs + ends * scales * (1 + B),
    others:
      of.others +
      ends * (2 * halo + scales * (4 + B)) +
      lanes * scales * ((2 + B) * reduced + 4 + 3 * B) +
      2 * scales * rows,
  });
}

/** What the segments that end at a lane's four keys give to their tokens, and what reaches over to the fours before. */
function combined(of: ReturnType<typeof tilesOf>, d: Dispatch, chunks: number, tensors: number) {
  const { lanes, tiles, scales, window, backward: B } = of;
  const reach = Array.from({ length: constant(d, 'PREV') + 1 }, (_, n) => (chunks - n) / chunks);
  return {
    macs: 4 * lanes * tiles * scales * B,
    others:
      4 * lanes * tiles * (2 * (window - 1) + scales * (5 + 2 * B) + 2 * window) +
      4 * lanes * tiles * tensors * reach.reduce((a, b) => a + b),
  };
}

/** All rows have the same weights, which are counted for each. */
const weightsRead = (d: Dispatch, rows: number): number => -4 * list(d, 'SCALES').length * (rows - 1);

function segmentQueries(d: Dispatch): Beyond {
  const of = tilesOf(d, constant(d, 'STREAM') - 2 * constant(d, 'HALO'));
  const { lanes, scales, headSize, streamRows } = of;
  const given = combined(of, d, 256 / of.own, 1);
  const rows = uniform(d, 3) * (of.groups / uniform(d, 1));
  const all = {
    macs: of.macs + given.macs + rows * streamRows * headSize,
    others: of.others + given.others + lanes * scales + rows * of.splits * headSize,
  };
  return { ...beyondOf(d, all), bytesRead: weightsRead(d, rows) };
}

/** Own rows are those of a block and HALO more at both ends, whose sums nobody stores. */
function segmentKeys(d: Dispatch): Beyond {
  const of = tilesOf(d, constant(d, 'STREAM'));
  const { lanes, tiles, scales, headSize, streamRows } = of;
  const sums = list(d, 'SUMS').length;
  const given = combined(of, d, of.own / 4, sums);
  const elements = of.groups * of.own * headSize;
  const rows = streamRows * (of.groups / uniform(d, 1));
  const all = {
    macs: of.macs + given.macs + sums * elements * streamRows,
    others:
      of.others +
      given.others +
      lanes * tiles * scales +
      sums * elements * (of.splits - 1) +
      d.bytesWritten / 4, // each that is stored times its factor
  };
  return { ...beyondOf(d, all), bytesRead: weightsRead(d, rows) };
}

export const fusedConventions: Readonly<Record<string, (d: Dispatch) => Beyond>> = {
  'attention-fused': fused(1, fusedForward),
  // A gradient of v is multiplied with 1.
  'attention-fused-keys': fused(2, (_lanes, _tiles, d) => ({ others: d.bytesWritten / 8 })),
  'attention-fused-queries': fused(2, () => ({})),
  'segment-attention-stats': segmentStats,
  'segment-attention-fused-queries': segmentQueries,
  'segment-attention-fused-keys': segmentKeys,
};
