// grad_weight[part, j] = sum over the part's rows of grad_out * z, grad_bias[part, j] = sum of grad_out, with
// z = (x + residual - mean) * rstd; STAGE 1: sums over the parts. Grid: (part, block of COLS columns) linear, folded.
// A lane adds up SLAB rows of a column, then the first lane of the column the SLABS sums: busy lanes, one order of additions.
// Outputs: grad_weight, grad_bias [parts, n]; STAGE 1, one lane a column: [n].
#include "common/grid.wgsl"
#if STAGE == 0
struct Params { rows: u32, n: u32, blocks: u32, groups: u32 }
alias Columns = f32;
#include "common/layer-norm-parameters.wgsl"

const COLS = $(COLS)u;
const SLABS = $(SLABS)u;
const SLAB = $(SLAB)u;
var<workgroup> sums: array<vec2f, $(COLS * SLABS)>; // [SLABS, COLS]: of weight and bias

@compute @workgroup_size($(COLS * SLABS))
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let part = linear / params.blocks;
  let col = (linear % params.blocks) * COLS + lane % COLS;
  let first = (part * SLABS + lane / COLS) * SLAB;
  let last = select(0u, min(first + SLAB, params.rows), col < params.n);
  var sum_weight = 0.0;
  var sum_bias = 0.0;
  for (var row = first; row < last; row += 1u) {
    let i = row * params.n + col;
    let g = grad_out[i];
    sum_weight = with_weight(sum_weight, g, i, row);
    sum_bias += g;
  }
  sums[lane] = vec2f(sum_weight, sum_bias);
  workgroupBarrier();
  if (lane >= COLS || col >= params.n) { return; }
  var sum = sums[lane];
  for (var slab = 1u; slab < SLABS; slab += 1u) { sum += sums[slab * COLS + lane]; }
  grad_weight[part * params.n + col] = sum.x;
  grad_bias[part * params.n + col] = sum.y;
}
#else
struct Params { parts: u32, n: u32 }
@group(0) @binding(0) var<storage, read> weight_parts: array<f32>; // [parts, n]
@group(0) @binding(1) var<storage, read> bias_parts: array<f32>; // [parts, n]
@group(0) @binding(2) var<storage, read_write> grad_weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad_bias: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let col = group_index(group, grid) * 64u + lane;
  if (col >= params.n) { return; }
  var sum = vec2f();
  for (var i = col; i < params.parts * params.n; i += params.n) { sum += vec2f(weight_parts[i], bias_parts[i]); }
  grad_weight[col] = sum.x;
  grad_bias[col] = sum.y;
}
#endif
