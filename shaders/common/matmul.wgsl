// What both forms of the matrix product share: parameters, bindings, where a tile lies, and the store of one element.
struct Params {
  m: u32, n: u32, k: u32,
  row_tiles: u32, col_tiles: u32, groups: u32,
  a_offset: u32, a_row: u32, a_outer: u32, a_inner: u32,
  b_offset: u32, b_row: u32, b_outer: u32, b_inner: u32,
  c_offset: u32, c_row: u32, c_outer: u32, c_inner: u32,
  inner: u32, alpha: f32,
}
#include "common/grid.wgsl"
#include "common/activation.wgsl"
#if F16_A || F16_C
#include "common/f16.wgsl"
#endif

#if F16_A && VEC_A
@group(0) @binding(0) var<storage, read> a: array<vec2u>; // f16, two a word
#elif F16_A
@group(0) @binding(0) var<storage, read> a: array<u32>; // f16, two a word
#elif VEC_A
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
#else
@group(0) @binding(0) var<storage, read> a: array<f32>;
#endif
#if F16_B && VEC_B
@group(0) @binding(1) var<storage, read> b: array<vec2u>; // f16, two a word
#elif F16_B
@group(0) @binding(1) var<storage, read> b: array<u32>; // f16, two a word
#elif VEC_B
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
#else
@group(0) @binding(1) var<storage, read> b: array<f32>;
#endif
#if F16_C
@group(0) @binding(2) var<storage, read_write> c: array<vec2u>; // f16, two a word, and VEC_C
#elif VEC_C
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
#else
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
#endif
#if BIAS
@group(0) @binding($(3)) var<storage, read> bias: array<f32>; // [n]
#endif
#if SAVE_PRE && F16_C
@group(0) @binding($(3 + BIAS)) var<storage, read_write> pre: array<vec2u>; // laid out as c
#elif SAVE_PRE && VEC_C
@group(0) @binding($(3 + BIAS)) var<storage, read_write> pre: array<vec4f>; // laid out as c
#elif SAVE_PRE
@group(0) @binding($(3 + BIAS)) var<storage, read_write> pre: array<f32>; // laid out as c
#endif
#if RAGGED
@group(0) @binding($(3 + BIAS + SAVE_PRE)) var<storage, read> limits: array<vec4i>; // [tiles, 2] (matmul.ts)
#elif LIMIT
@group(0) @binding($(3 + BIAS + SAVE_PRE)) var<storage, read> limits: array<i32>; // [outer]: k stops here
#endif
#if SUMS
@group(0) @binding($(3 + BIAS + SAVE_PRE + LIMIT)) var<storage, read_write> sums: array<f32>; // [outer, m]: over k, of A
#endif
@group(0) @binding($(3 + BIAS + SAVE_PRE + LIMIT + SUMS)) var<uniform> params: Params;

// Four elements side by side, the first at 4 i, or element i.
#if F16_A && VEC_A
fn read_a(i: u32) -> vec4f { return widened(a[i]); }
#elif F16_A
fn read_a(i: u32) -> f32 { return unpack2x16float(a[i >> 1u])[i & 1u]; }
#endif
#if F16_B && VEC_B
fn b_at(i: u32) -> vec4f { let words = b[i]; return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }
#elif F16_B
fn b_at(i: u32) -> f32 { return unpack2x16float(b[i >> 1u])[i & 1u]; }
#elif VEC_B
fn b_at(i: u32) -> vec4f { return b[i]; }
#else
fn b_at(i: u32) -> f32 { return b[i]; }
#endif

// A workgroup's tile of C by linear index: its place in units of tiles, the operands' first elements and that of its row
// sums, and its batch's ends of m and k: of C nothing is stored from row m_end on.
struct Tile { row: u32, col: u32, a: u32, b: u32, c: u32, sums: u32, m_end: u32, k_end: u32 }

fn tile_at(linear: u32) -> Tile {
  var tile: Tile;
#if RAGGED
  let at = linear / params.inner;
  let inner = linear % params.inner;
  let place = vec4u(limits[2u * at]);
  let ends = vec4u(limits[2u * at + 1u]);
  let outer = place.x;
  tile.row = place.y;
  tile.col = place.z;
  tile.m_end = ends.x;
  tile.k_end = ends.y;
#else
  let batch = linear / (params.col_tiles * params.row_tiles);
  let outer = batch / params.inner;
  let inner = batch % params.inner;
  tile.row = (linear / params.col_tiles) % params.row_tiles;
  tile.col = linear % params.col_tiles;
  tile.m_end = params.m;
#if LIMIT
  tile.k_end = min(params.k, u32(limits[outer]));
#else
  tile.k_end = params.k;
#endif
#endif
  tile.a = params.a_offset + outer * params.a_outer + inner * params.a_inner;
  tile.b = params.b_offset + outer * params.b_outer + inner * params.b_inner;
  tile.c = params.c_offset + outer * params.c_outer + inner * params.c_inner;
#if RAGGED
  tile.a += $(PACKED_A)u * place.w * params.a_row;
  tile.b += $(PACKED_B)u * place.w * params.b_row;
  tile.c += $(PACKED_C)u * place.w * params.c_row;
#endif
  tile.sums = outer * params.m;
  return tile;
}

#if VEC_C
// Four elements of a row at once.
fn store(at: u32, col: u32, sums: vec4f) {
  var values = params.alpha * sums;
#if ACCUMULATE && F16_C
  values += widened(c[at >> 2u]);
#elif ACCUMULATE
  values += c[at >> 2u];
#endif
#if BIAS
  values += vec4f(bias[col], bias[col + 1u], bias[col + 2u], bias[col + 3u]);
#endif
#if SAVE_PRE && F16_C
  pre[at >> 2u] = narrowed(values);
#elif SAVE_PRE
  pre[at >> 2u] = values;
#endif
#if F16_C
  c[at >> 2u] = narrowed(vec4f(activate(values.x), activate(values.y), activate(values.z), activate(values.w)));
#else
  c[at >> 2u] = vec4f(activate(values.x), activate(values.y), activate(values.z), activate(values.w));
#endif
}
#else
fn store(at: u32, col: u32, sum: f32) {
  var value = params.alpha * sum;
#if ACCUMULATE
  value += c[at];
#endif
#if BIAS
  value += bias[col];
#endif
#if SAVE_PRE
  pre[at] = value;
#endif
  c[at] = activate(value);
}
#endif
