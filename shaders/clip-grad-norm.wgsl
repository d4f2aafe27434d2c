// STAGE 0: partials[row, lane] = sum of the squares of up to 256 elements; STAGE 1: norm = sqrt(sum of 64 lane sums).
// Grid: stage 0 one workgroup per 16,384 elements of a run of one input, folded; stage 1 a single invocation.
// Neighbouring lanes read neighbouring elements; 64 lanes x 256 leave a table 1/256 of the gradient, one row a workgroup.
// Outputs: partials [rows, 64]; norm [1], scale [1] = min(1, max_norm / (norm + 1e-6)), PyTorch's clip_grad_norm_. LOSS_SCALE:
// norm and scale are of and for gradients by the loss's, and found_inf [1] is 1 where the norm is not finite, else 0.
#if STAGE == 0
struct Params { runs: u32, groups: u32 }
struct Run {
  group: u32, // its first workgroup
  first: u32, size: u32,
  row: u32, // its first row of partials
}
#include "common/grid.wgsl"
#include "common/runs.wgsl"
@group(0) @binding(0) var<storage, read> runs: array<Run>;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const LANES = 64u;
const GROUP_ELEMENTS = $(GROUP_ELEMENTS)u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let run = runs[run_of(linear)];
  let start = (linear - run.group) * GROUP_ELEMENTS;
  let end = run.first + min(start + GROUP_ELEMENTS, run.size);
  var sum = 0.0;
  var i = run.first + start + lane;
#for n in STEPS
  for (; i + $(n - 1)u * LANES < end; i += $(n)u * LANES) { // several at a time: a loop's turn costs a CPU as much as two
#for s in 0..n
    let g_$s = grad[i + $(s)u * LANES];
#endfor
#for s in 0..n
    sum = fma(g_$s, g_$s, sum);
#endfor
  }
#endfor
  partials[(run.row + linear - run.group) * LANES + lane] = sum;
}
#else
#if LOSS_SCALE
struct Params { max_norm: f32, inv_loss_scale: f32 }
#else
struct Params { max_norm: f32 }
#endif
#include "common/nan.wgsl"
@group(0) @binding(0) var<storage, read> lane_sums: array<f32>; // [64]
@group(0) @binding(1) var<storage, read_write> norm: array<f32>;
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;
#if LOSS_SCALE
@group(0) @binding(3) var<storage, read_write> found_inf: array<f32>;
#endif
@group(0) @binding($(3 + LOSS_SCALE)) var<uniform> params: Params;

@compute @workgroup_size(1)
fn main() {
  var sum = 0.0;
  for (var i = 0u; i < 64u; i += 1u) { sum += lane_sums[i]; }
#if LOSS_SCALE
  let total = params.inv_loss_scale * sqrt(sum);
#else
  let total = sqrt(sum);
#endif
  norm[0] = total;
#if LOSS_SCALE
  scale[0] = params.inv_loss_scale * or_nan(min(1.0, params.max_norm / (total + 1e-6)), total);
  found_inf[0] = select(0.0, 1.0, (bitcast<u32>(total) & 0x7f800000u) == 0x7f800000u);
#else
  scale[0] = or_nan(min(1.0, params.max_norm / (total + 1e-6)), total);
#endif
}
#endif
