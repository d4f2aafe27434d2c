// out[part, n] = sum over the part's rows m of x[m, n]: SLABS slabs of `slab` rows; a further dispatch adds several parts.
// Grid: (part, block of COLS columns) linear, folded; one lane per column of a slab, rows in order.
// Slabs keep many lanes busy and the order of additions fixed; up to 16 are added here, by the first lane of their column.
// Output: out [parts, N].
struct Params { m: u32, n: u32, blocks: u32, groups: u32, slab: u32, offset: u32 }
#include "common/grid.wgsl"
#if F16
@group(0) @binding(0) var<storage, read> x: array<u32>; // [M, N], f16, two a word
#else
@group(0) @binding(0) var<storage, read> x: array<f32>; // [M, N]
#endif
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const COLS = $(COLS)u;
const SLABS = $(SLABS)u;
#if SLABS > 1
var<workgroup> sums: array<f32, $(COLS * SLABS)>; // [SLABS, COLS]
#endif

@compute @workgroup_size($(COLS * SLABS))
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let part = linear / params.blocks;
  let col = (linear % params.blocks) * COLS + lane % COLS;
  let first = (part * SLABS + lane / COLS) * params.slab;
  let last = select(0u, min(first + params.slab, params.m), col < params.n);
  var sum = 0.0;
#if F16
  for (var row = first; row < last; row += 1u) {
    let at = params.offset + row * params.n + col;
    sum += unpack2x16float(x[at >> 1u])[at & 1u];
  }
#else
  for (var row = first; row < last; row += 1u) { sum += x[params.offset + row * params.n + col]; }
#endif
#if SLABS > 1
  sums[lane] = sum;
  workgroupBarrier();
  if (lane >= COLS || col >= params.n) { return; }
  for (var slab = 1u; slab < SLABS; slab += 1u) { sum += sums[slab * COLS + lane]; }
#else
  if (col >= params.n) { return; }
#endif
  out[part * params.n + col] = sum;
}
