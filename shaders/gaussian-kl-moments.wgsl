// moments = by dimension the mean of mu and exp of the mean of log sigma over the valid nodes of an instance.
// Grid: one invocation per vector of dimensions of an instance, 64 a workgroup, folded. It walks the nodes in order.
// The divergence depends on differences of mu and ratios of sigma alone: what all nodes share is taken out first.
// Output: moments [2, B, D]; an instance without nodes has 0 and 1.
struct Params { size: u32, nodes: u32, width: u32 } // width counts vectors
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> mu: array<lanes>; // [B, N, D]
@group(0) @binding(1) var<storage, read> sigma: array<lanes>; // [B, N, D]
@group(0) @binding(2) var<storage, read> lengths: array<i32>; // [B]
@group(0) @binding(3) var<storage, read_write> moments: array<lanes>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let batch = i / params.width;
  let nodes = u32(lengths[batch]);
  var at = batch * params.nodes * params.width + i % params.width;
  var sum = lanes(0.0);
  var log_sum = lanes(0.0);
  for (var node = 0u; node < nodes; node += 1u) {
    sum += mu[at];
    log_sum += log(sigma[at]);
    at += params.width;
  }
  let share = 1.0 / f32(max(nodes, 1u));
  moments[i] = sum * share;
  moments[params.size + i] = exp(log_sum * share);
}
