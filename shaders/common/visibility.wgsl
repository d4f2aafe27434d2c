// What the passes of visibility-attention share: parameters, and the tables of kernels/visibility-attention/tables.ts.
struct Params {
  lanes: u32, first_block: u32, heads: u32,
  row: u32, head: u32, // elements of a token and of a head of it, in lanes
  origin: u32, first_query: u32, end_query: u32, // the strip: tiles before it, its blocks of queries
  accumulate: u32, scale: f32,
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/nan.wgsl"

// A block's record: four tokens (the last repeated where there are fewer), how many they are; the ranges of blocks that
// they see; tiles before the block's own, and how many those are; the bit of its kind and the bits of those it sees; the
// list of those who see it: (first, end) blocks of queries, tile of block 0 by block 0, tiles a block of queries; by
// token the members of its group: (token, bit of its kind, bits that it sees).
const RECORD = 21u;
const COUNT = 4u;
const RANGES = 5u;
const TILE = 7u;
const TILES = 8u;
const KIND = 9u;
const SEES = 10u;
const READERS = 11u;
const MEMBERS = 13u;

// Below every score; also the log-sum-exp of a query that sees nothing.
const NOTHING = -1e30;

#if LANES == 4
fn inner(a: vec4f, b: vec4f) -> f32 { return dot(a, b); }
#else
fn inner(a: f32, b: f32) -> f32 { return a * b; }
#endif
