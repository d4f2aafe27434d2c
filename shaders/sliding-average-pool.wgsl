// out_r[b, j, :] = mean of x[b, j .. j+r-1, :] for every r of SCALES, ascending; 0 where j + r > lengths[b].
// Grid: one invocation per `lanes` of TILE neighbouring rows, 64 a workgroup, (b, tile, column) linear, folded.
// TILE sums grow together, by a row each at a time, and pass every scale: TILE + r - 1 loads for all windows and scales.
// Outputs: out_r [B, max(0, L-r+1), d] of every scale.
struct Params { size: u32, width: u32, length: u32, tiles: u32 } // size, width in lanes
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> lengths: array<i32>; // [B]
@group(0) @binding(1) var<storage, read> x: array<lanes>; // [B, L, d]
#for i in 0..COUNT
@group(0) @binding($(2 + i)) var<storage, read_write> out_$(SCALES[i]): array<lanes>; // [B, L-r+1, d]
#endfor
@group(0) @binding($(2 + COUNT)) var<uniform> params: Params;

// A row of the invocation's column; 0 for padding.
fn load(b: u32, row: u32, column: u32, valid: u32) -> lanes {
  if (row >= valid) { return lanes(); }
  return x[(b * params.length + row) * params.width + column];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let column = i % params.width;
  let b = i / params.width / params.tiles;
  let first = i / params.width % params.tiles * $(TILE)u;
  let valid = u32(lengths[b]);
#for t in 0..TILE
  var row_$t = load(b, first + $(t)u, column, valid); // row first + t + terms - 1
  var sum_$t = row_$t;
#endfor
  var terms = 1u;
#for r in SCALES
  for (; terms < $(r)u; terms += 1u) {
#for t in 1..TILE
    row_$(t - 1) = row_$t;
#endfor
    row_$(TILE - 1) = load(b, first + $(TILE - 1)u + terms, column, valid);
#for t in 0..TILE
    sum_$t += row_$t;
#endfor
  }
  {
    let rows = params.length - $(r - 1)u;
    let at = (b * rows + first) * params.width + column;
#for t in 0..TILE
    if (first + $(t)u < rows) {
      out_$r[at + $(t)u * params.width] = select(lanes(), sum_$t / $(r).0, first + $(t + r)u <= valid);
    }
#endfor
  }
#endfor
}
