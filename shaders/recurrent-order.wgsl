// out[pair] = a direction's columns of source at the token of each (step, row), pairs numbered step by step, longest row
// first; BEFORE: at the token of the step before, without the first step, where there is none.
// Grid: one invocation per vector of [steps, B, h], 64 a workgroup, folded; those past a row's length end at once.
// Output: out [pairs, h], from offset on.
struct Params { size: u32, batch: u32, length: u32, hidden: u32, width: u32, direction: u32, offset: u32 } // in vectors
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> source: array<lanes>; // [B, L, width]
@group(0) @binding(1) var<storage, read> rows: array<i32>; // batch rows, longest first; their lengths; first pairs
@group(0) @binding(2) var<storage, read_write> out: array<lanes>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.size) { return; }
  let unit = index % params.hidden;
  let i = index / params.hidden % params.batch;
  let step = index / (params.hidden * params.batch) + $(BEFORE)u;
  let length = u32(rows[params.batch + i]);
  if (step >= length) { return; }
  let pair = u32(rows[2u * params.batch + step] - rows[2u * params.batch + $(BEFORE)u]) + i;
  let t = select(step - $(BEFORE)u, length - 1u - step + $(BEFORE)u, params.direction == 1u);
  let token = u32(rows[i]) * params.length + t;
  out[params.offset + pair * params.hidden + unit] =
    source[token * params.width + params.direction * params.hidden + unit];
}
