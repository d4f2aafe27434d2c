// packed[row, col] = the gates' elements of W_hh for one (k, unit) as one vec4; a missing fourth gate is 0.
// Grid: one invocation per vec4, 64 a workgroup, folded.
// So that the recurrence reads one vec4 per k, neighbouring lanes side by side: 4 multiply-adds for each value of h.
// Output: packed [h + 1, h] as (k, unit), its last row the bias; BACKWARD: [h, h] as (unit, k). One direction, at base.
struct Params { hidden: u32, base: u32, size: u32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> weight: array<f32>; // [GATES * h, h]
#if !BACKWARD
@group(0) @binding(1) var<storage, read> bias: array<f32>; // [GATES * h]
#endif
@group(0) @binding($(2 - BACKWARD)) var<storage, read_write> packed: array<vec4f>;
@group(0) @binding($(3 - BACKWARD)) var<uniform> params: Params;

fn load(gate: u32, row: u32, col: u32) -> f32 {
  let h = params.hidden;
#if BACKWARD
  return weight[(gate * h + row) * h + col];
#else
  if (row == h) { return bias[gate * h + col]; }
  return weight[(gate * h + col) * h + row];
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let row = i / params.hidden;
  let col = i % params.hidden;
  var value = vec4f(0.0);
#for gate in 0..GATES
  value[$gate] = load($(gate)u, row, col);
#endfor
  packed[params.base + i] = value;
}
