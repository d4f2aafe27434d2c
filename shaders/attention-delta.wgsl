// stats = (lse, delta) of every row of an attention, delta = sum of grad_out out over the head: what both fused passes
// of the backward need of a query.
// Grid: 16 lanes a (batch, head, query), 16 of these a workgroup, folded; a lane has every 16th vec4 or element of it.
// Output: stats [B, H, Lq].
struct Params { rows: u32, queries: u32, heads: u32, hidden: u32, head_size: u32 }
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> out: array<lanes>; // [B, Lq, D]
@group(0) @binding(1) var<storage, read> grad_out: array<lanes>; // [B, Lq, D]
@group(0) @binding(2) var<storage, read> lse: array<f32>; // [B, H, Lq]
@group(0) @binding(3) var<storage, read_write> stats: array<vec2f>; // [B, H, Lq]
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> parts: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = group_index(group, grid) * 16u + lane / 16u;
  var part = lanes();
  if (row < params.rows) {
    let batch_head = row / params.queries;
    let token = batch_head / params.heads * params.queries + row % params.queries;
    let at = (token * params.hidden + batch_head % params.heads * params.head_size) / $(LANES)u;
    for (var i = lane % 16u; i < params.head_size / $(LANES)u; i += 16u) {
      part = fma(grad_out[at + i], out[at + i], part);
    }
  }
#if LANES == 4
  parts[lane] = (part.x + part.y) + (part.z + part.w);
#else
  parts[lane] = part;
#endif
  workgroupBarrier();
  if (lane % 16u == 0u && row < params.rows) {
    var delta = parts[lane];
    for (var i = 1u; i < 16u; i += 1u) { delta += parts[lane + i]; }
    stats[row] = vec2f(lse[row], delta);
  }
}
