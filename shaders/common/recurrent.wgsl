// The loop over time of a recurrent forward pass: one workgroup per (direction, batch row), lane j keeps units
// j, j + WG, …; SHARED keeps h in workgroup memory (two copies, so one barrier a step), else `out` itself is read back.
// The including file defines cell(): from the hidden product to the next h, with the unit's own state in carried[u].
struct Params { batch: u32, length: u32, groups: u32 }
#include "common/grid.wgsl"
#include "common/activation.wgsl"
@group(0) @binding(0) var<storage, read_write> gates: array<f32>; // [D, B, L, GATES * h]: W_ih x + b_ih, then activated
@group(0) @binding(1) var<storage, read> weight: array<vec4f>; // [D, h + 1, h] (k, unit), last row b_hh
@group(0) @binding(2) var<storage, read> lengths: array<i32>; // [B]
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // [B, L, D * h]
@group(0) @binding(4) var<storage, read_write> state: array<f32>; // [D, B, L, h]
@group(0) @binding(5) var<uniform> params: Params;

const HIDDEN = $(HIDDEN)u;
var<private> carried: array<f32, $UNITS>;
#if SHARED
var<workgroup> hidden: array<f32, $(2 * HIDDEN)>;
fn load_hidden(at: u32) -> f32 { return hidden[at]; }
#else
fn load_hidden(at: u32) -> f32 { return out[at]; }
#endif

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid);
  if (index >= params.groups) { return; }
  let b = index % params.batch;
  let direction = index / params.batch;
  let length = u32(lengths[b]);
  let first_weight = direction * (HIDDEN + 1u) * HIDDEN;
  let out_first = (b * params.length * $(DIRECTIONS)u + direction) * HIDDEN;
  let out_stride = $(DIRECTIONS)u * HIDDEN;
#for u in 0..UNITS
  let unit_$u = min($(u * WG)u + lane, HIDDEN - 1u);
#endfor

  var previous = 0u;
  for (var step = 0u; step < length; step += 1u) {
    let t = select(step, length - 1u - step, direction == 1u);
    let row = index * params.length + t;
    let out_row = out_first + t * out_stride;
#if SHARED
    let next = (step & 1u) * HIDDEN;
#else
    let next = out_row;
#endif
    // All units of a lane advance together, so that each h is loaded once for them. Unrolling k by 4 as well was 1.4
    // times slower on a software device (4 units a lane); on a GPU the compiler knows the trip count.
#for u in 0..UNITS
    var product_$u = weight[first_weight + HIDDEN * HIDDEN + unit_$u];
#endfor
    if (step > 0u) {
      for (var k = 0u; k < HIDDEN; k += 1u) {
        let h = vec4f(load_hidden(previous + k));
#for u in 0..UNITS
        product_$u = fma(weight[first_weight + k * HIDDEN + unit_$u], h, product_$u);
#endfor
      }
    }
#for u in 0..UNITS
    if ($(u * WG)u + lane < HIDDEN) {
      let value = cell(row, unit_$u, $(u)u, product_$u);
      out[out_row + unit_$u] = value;
#if SHARED
      hidden[next + unit_$u] = value;
#endif
    }
#endfor
    previous = next;
#if SHARED
    workgroupBarrier();
#else
    storageBarrier();
#endif
  }
  for (var t = length; t < params.length; t += 1u) {
    for (var unit = lane; unit < HIDDEN; unit += $(WG)u) { out[out_first + t * out_stride + unit] = 0.0; }
  }
}
