// grad_x[b, i, :] = sum over r of SCALES, descending, and m < r of grad_out_r[b, i-m, :] / r, windows within lengths[b].
// Grid: one invocation per `lanes` of TILE neighbouring rows, 64 a workgroup, (b, tile, column) linear, folded.
// The forward transposed: m falls from the largest scale on, and from m = r-1 on the window at i-m adds its part of r, so
// that one walk serves all scales. Output: grad_x [B, L, d]; ADD adds to what an earlier pass wrote.
struct Params { size: u32, width: u32, length: u32, tiles: u32 } // size, width in lanes
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> lengths: array<i32>; // [B]
#for i in 0..COUNT
@group(0) @binding($(1 + i)) var<storage, read> grad_out_$(SCALES[i]): array<lanes>; // [B, L-r+1, d]
#endfor
@group(0) @binding($(1 + COUNT)) var<storage, read_write> grad_x: array<lanes>; // [B, L, d]
@group(0) @binding($(2 + COUNT)) var<uniform> params: Params;

#for r in SCALES
// What every row of the window of r from `row` on gets; 0 for one before the first row or not within `valid`. Unsigned:
// rows before the first are large.
fn load_$r(b: u32, row: u32, column: u32, valid: u32) -> lanes {
  if (row >= valid || valid - row < $(r)u) { return lanes(); }
  return grad_out_$r[(b * (params.length - $(r - 1)u) + row) * params.width + column] / $(r).0;
}
#endfor

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let column = i % params.width;
  let b = i / params.width / params.tiles;
  let first = i / params.width % params.tiles * $(TILE)u;
  let valid = u32(lengths[b]);
  let at = (b * params.length + first) * params.width + column;
#for t in 0..TILE
  var part_$t = lanes(); // of the windows from row first + t - m on
  var sum_$t = lanes();
#if ADD
  if (first + $(t)u < params.length) { sum_$t = grad_x[at + $(t)u * params.width]; }
#endif
#endfor
  var m = $(SCALES[0])u;
#for i in 0..COUNT
  // The part of this scale, for one step to come. Row first - m would be shifted out at once.
#for t in 1..TILE
  part_$t += load_$(SCALES[i])(b, first + $(t)u - m, column, valid);
#endfor
  for (; m > $(NEXT[i])u; m -= 1u) {
#for t in 1..TILE
    part_$(t - 1) = part_$t;
#endfor
    let row = first + $(TILE)u - m;
    part_$(TILE - 1) = load_$(SCALES[0])(b, row, column, valid);
#for j in 1..i+1
    part_$(TILE - 1) += load_$(SCALES[j])(b, row, column, valid);
#endfor
#for t in 0..TILE
    sum_$t += part_$t;
#endfor
  }
#endfor
#for t in 0..TILE
  if (first + $(t)u < params.length) { grad_x[at + $(t)u * params.width] = sum_$t; }
#endfor
}
