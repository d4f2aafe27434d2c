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
@group(0) @binding(0) var<storage, read> x: array<Columns>; // [rows, n]
#if RESIDUAL
@group(0) @binding(1) var<storage, read> residual: array<Columns>; // [rows, n]
#endif
@group(0) @binding($(1 + RESIDUAL)) var<storage, read> mean: array<f32>; // [rows]
@group(0) @binding($(2 + RESIDUAL)) var<storage, read> rstd: array<f32>; // [rows]
@group(0) @binding($(3 + RESIDUAL)) var<storage, read> grad_out: array<Columns>; // [rows, n]
@group(0) @binding($(4 + RESIDUAL)) var<storage, read_write> grad_weight: array<Columns>;
@group(0) @binding($(5 + RESIDUAL)) var<storage, read_write> grad_bias: array<Columns>;
@group(0) @binding($(6 + RESIDUAL)) var<uniform> params: Params;

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
#if RESIDUAL
        let s = x[i] + residual[i];
#else
        let s = x[i];
#endif
        let g = grad_out[i];
        slab_weight = fma(g, (s - mean[row]) * rstd[row], slab_weight);
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
