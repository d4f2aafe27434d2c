// out[row, :] = [x0[row, :], x1[row, :], ...]; BACKWARD runs it the other way: grad_out's columns go to the grad_x of PARTS.
// Grid: one invocation per `lanes` of out, 64 a workgroup, folded.
// All parts in one dispatch: a dispatch per part would cost more than the copy for the small matrices that are joined.
// Outputs: out [rows, total]; BACKWARD: grad_x of each part, dense, with ADD added to.
struct Params {
  size: u32, total: u32, // in lanes, as all that follows
#for p in PARTS
  start_$p: u32, width_$p: u32,
#endfor
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#if BACKWARD
@group(0) @binding(0) var<storage, read> grad_out: array<lanes>; // [rows, total]
#for p in PARTS
@group(0) @binding($(1 + p)) var<storage, read_write> grad_x$p: array<lanes>; // [rows, width]
#endfor
@group(0) @binding($(1 + COUNT)) var<uniform> params: Params;
#else
#for p in PARTS
@group(0) @binding($p) var<storage, read> x$p: array<lanes>; // [rows, width]
#endfor
@group(0) @binding($COUNT) var<storage, read_write> out: array<lanes>; // [rows, total]
@group(0) @binding($(COUNT + 1)) var<uniform> params: Params;
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let row = i / params.total;
  let col = i % params.total;
  // Unsigned: a column left of a part wraps to a large number and fails the test too.
#for p in PARTS
  if (col - params.start_$p < params.width_$p) {
#if BACKWARD && ADD[p]
    grad_x$p[row * params.width_$p + col - params.start_$p] += grad_out[i];
#elif BACKWARD
    grad_x$p[row * params.width_$p + col - params.start_$p] = grad_out[i];
#else
    out[i] = x$p[row * params.width_$p + col - params.start_$p];
#endif
  }
#endfor
}
