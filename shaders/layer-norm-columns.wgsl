// grad_weight, grad_bias as layer-norm-parameters.wgsl computes them, to the bit, a lane a column (with VEC four) from the
// first row to the last: for CPUs, where barriers cost more than they save. Grid: WG columns a workgroup, linear, folded.
// A workgroup is one vector of lanes, so that 64 columns keep four cores busy; rows are added in slabs, slabs in parts.
// Outputs: grad_weight, grad_bias [n].
struct Params { rows: u32, n: u32 } // n counts Columns
#include "common/grid.wgsl"
#if VEC
alias Columns = vec4f;
#else
alias Columns = f32;
#endif
#include "common/layer-norm-parameters.wgsl"

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let col = group_index(group, grid) * $(WG)u + lane;
  if (col >= params.n) { return; }
  var sum_weight = Columns();
  var sum_bias = Columns();
  var row = 0u;
  while (row < params.rows) {
    let part_end = min(row + $(SLABS * SLAB)u, params.rows);
    var part_weight = Columns();
    var part_bias = Columns();
    while (row < part_end) {
      let slab_end = min(row + $(SLAB)u, part_end);
      var slab_weight = Columns();
      var slab_bias = Columns();
      for (; row < slab_end; row += 1u) {
        let i = row * params.n + col;
        let g = grad_out[i];
        slab_weight = with_weight(slab_weight, g, i, row);
        slab_bias += g;
      }
      part_weight += slab_weight;
      part_bias += slab_bias;
    }
    sum_weight += part_weight;
    sum_bias += part_bias;
  }
  grad_weight[col] = sum_weight;
  grad_bias[col] = sum_bias;
}
