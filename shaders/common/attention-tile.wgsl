// What the fused forms of attention share: 256 lanes own OWN rows of one side and stream over the other's, STREAM =
// 1024 / OWN rows a tile. Lane (ty, tx) has the scores of own rows 4 ty .. 4 ty + 3 with the tile's row tx, and in the
// sums over a tile a vec4 of columns, tx % dim_lanes, for the same own rows; the lanes beyond dim_lanes share the tile's
// rows. PRODUCTS: own_p and stream_p give a vec4 (or, LANES 1, an element) of what product p multiplies. SUMS: value_k.
struct Params {
  groups: u32, blocks: u32, heads: u32, own_rows: u32, stream_rows: u32,
  hidden: u32, head_size: u32, width: u32, // of a head, in vec4s
  dim_lanes: u32, mask_at: u32, block_rows: u32, scale: f32,
#if SEGMENTS
  factor: f32, rows: u32, lse_at: u32, set_heads: u32, lengths_at: u32,
  weight_batch: u32, weight_query: u32, weight_head: u32,
#endif
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/nan.wgsl"

const STREAM = $(STREAM)u;
const OWN = $(OWN)u;
const QUADS = $(OWN / 4)u; // own rows go in fours
const SLICE = $(SLICE)u; // vec4s of a row that are in workgroup memory at a time
const PADDED = $(SLICE + 1)u; // from one row to the next: neighbours in other banks
var<workgroup> stream_slice: array<vec4f, $(STREAM * (SLICE + 1))>;
var<workgroup> own_slice: array<vec4f, $(OWN * SLICE)>;
// Tiles are [stream row][own row]: of vec4s, or of elements where lanes write single ones (ELEMENTS).
#for t in 0..TILES
#if ELEMENTS
var<workgroup> tile_$t: array<f32, 1024>;
fn get_$t(i: u32) -> vec4f {
  return vec4f(tile_$t[4u * i], tile_$t[4u * i + 1u], tile_$t[4u * i + 2u], tile_$t[4u * i + 3u]);
}
fn put_$t(i: u32, x: vec4f) {
#for a in 0..4
  tile_$t[4u * i + $(a)u] = x[$a];
#endfor
}
#else
var<workgroup> tile_$t: array<vec4f, 256>;
fn get_$t(i: u32) -> vec4f { return tile_$t[i]; }
fn put_$t(i: u32, x: vec4f) { tile_$t[i] = x; }
#endif
#endfor

// One (batch, head) and a block of own rows.
struct Block {
  batch: u32,
  head: u32,
  first: u32, // own row
  own: u32, // where own row 0 of the batch begins, in elements
  own_rows: u32, // rows from here on count as 0, whatever they hold
  stream: u32,
  stream_rows: u32,
}

// A vec4 of the row that begins at element `at`; 0 past the head.
#for p in PRODUCTS
fn own_vec_$p(at: u32, column: u32) -> vec4f {
#if LANES == 4
  return own_$p(at / 4u + column);
#else
  var x = vec4f();
#for i in 0..4
  if (4u * column + $(i)u < params.head_size) { x[$i] = own_$p(at + 4u * column + $(i)u); }
#endfor
  return x;
#endif
}
fn stream_vec_$p(at: u32, column: u32) -> vec4f {
#if LANES == 4
  return stream_$p(at / 4u + column);
#else
  var x = vec4f();
#for i in 0..4
  if (4u * column + $(i)u < params.head_size) { x[$i] = stream_$p(at + 4u * column + $(i)u); }
#endfor
  return x;
#endif
}
#endfor
#for k in SUMS
fn value_vec_$k(at: u32, column: u32) -> vec4f {
#if LANES == 4
  return value_$k(at / 4u + column);
#else
  var x = vec4f();
#for i in 0..4
  if (4u * column + $(i)u < params.head_size) { x[$i] = value_$k(at + 4u * column + $(i)u); }
#endfor
  return x;
#endif
}
#endfor

fn total_of(x: vec4f) -> f32 { return (x.x + x.y) + (x.z + x.w); }

// Products of own rows 4 ty .. 4 ty + 3 with stream row first + tx: slices of both go through workgroup memory.
#for p in PRODUCTS
fn product_$p(block: Block, first: u32, lane: u32) -> vec4f {
  // Taken modulo what they cannot reach, so that the compiler sees that no access needs a check.
  let mine = lane % STREAM * PADDED;
  let owned = lane / STREAM % QUADS * 4u * SLICE;
#for a in 0..4
  var score_$a = vec4f(); // by column of four: they are added up at the end
#endfor
  for (var slice = 0u; slice < params.width; slice += SLICE) {
    workgroupBarrier(); // the slices before are used up
    for (var i = lane; i < STREAM * SLICE; i += 256u) {
      let row = first + i / SLICE;
      let column = slice + i % SLICE;
      var x = vec4f();
      if (row < block.stream_rows && column < params.width) {
        x = stream_vec_$p(block.stream + row * params.hidden, column);
      }
      stream_slice[i / SLICE * PADDED + i % SLICE] = x;
    }
    if (lane < OWN * SLICE) {
      let row = block.first + lane / SLICE;
      let column = slice + lane % SLICE;
      var x = vec4f();
      if (row < block.own_rows && column < params.width) {
        x = own_vec_$p(block.own + row * params.hidden, column);
      }
      own_slice[lane] = x;
    }
    workgroupBarrier();
    for (var c = 0u; c < SLICE; c += 1u) {
      let y = stream_slice[mine + c];
#for a in 0..4
      score_$a = fma(own_slice[owned + $(a)u * SLICE + c], y, score_$a);
#endfor
    }
  }
  return vec4f(total_of(score_0), total_of(score_1), total_of(score_2), total_of(score_3));
}
#endfor
