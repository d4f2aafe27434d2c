// The loop over time of a recurrent forward pass: one workgroup per direction and ROWS batch rows, which share what it reads of
// the weights; lane j keeps units j, j + WG, …; SHARED keeps h in workgroup memory (two copies, so one barrier a step), else
// `out` itself is read back.
// The including file defines cell(): from the hidden product to the next h, with the unit's own state in carried[u].
struct Params { batch: u32, length: u32, groups: u32 }
#include "common/grid.wgsl"
#include "common/activation.wgsl"
@group(0) @binding(0) var<storage, read_write> gates: array<f32>; // [D, B, L, GATES * h]: W_ih x + b_ih, then activated
@group(0) @binding(1) var<storage, read> weight: array<vec4f>; // [D, h + 1, h] (k, unit), last row b_hh
#if ROWS > 1
@group(0) @binding(2) var<storage, read> rows: array<i32>; // batch rows, longest first; their lengths
#else
@group(0) @binding(2) var<storage, read> lengths: array<i32>; // [B]
#endif
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // [B, L, D * h]
@group(0) @binding(4) var<storage, read_write> state: array<f32>; // [D, B, L, h]
@group(0) @binding(5) var<uniform> params: Params;
#include "common/recurrent-row.wgsl"

const HIDDEN = $(HIDDEN)u;
var<private> carried: array<f32, $(UNITS * ROWS)>;
#if SHARED
var<workgroup> hidden: array<f32, $(2 * HIDDEN * ROWS)>; // [2, h, ROWS]
fn load_hidden(at: u32) -> f32 { return hidden[at]; }
#else
fn load_hidden(at: u32) -> f32 { return out[at]; }
#endif

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid);
  if (index >= params.groups) { return; }
  let direction = index / row_groups();
#for r in 0..ROWS
  let row_$r = row_of(index % row_groups(), $(r)u);
  let out_first_$r = (row_$(r).b * params.length * $(DIRECTIONS)u + direction) * HIDDEN;
#endfor
  let first_weight = direction * (HIDDEN + 1u) * HIDDEN;
  let out_stride = $(DIRECTIONS)u * HIDDEN;
#for u in 0..UNITS
  let unit_$u = min($(u * WG)u + lane, HIDDEN - 1u);
#endfor

  var previous = 0u;
  // Of several rows the first is the longest.
  for (var step = 0u; step < row_0.length; step += 1u) {
#for r in 0..ROWS
    let t_$r = select(step, row_$(r).length - 1u - step, direction == 1u);
    let out_row_$r = out_first_$r + t_$r * out_stride;
#endfor
#if SHARED
    let next = (step & 1u) * $(HIDDEN * ROWS)u;
#else
    let next = out_row_0;
#endif
    // All units of a lane advance together, so that each h is loaded once for them. Unrolling k by 4 as well was 1.4
    // times slower on a software device (4 units a lane); on a GPU the compiler knows the trip count.
#for u in 0..UNITS
#for r in 0..ROWS
    var product_$(u)_$r = weight[first_weight + HIDDEN * HIDDEN + unit_$u];
#endfor
#endfor
    if (step > 0u) {
      for (var k = 0u; k < HIDDEN; k += 1u) {
#for r in 0..ROWS
        let h_$r = vec4f(load_hidden(previous + k * $(ROWS)u + $(r)u));
#endfor
#for u in 0..UNITS
        let weight_$u = weight[first_weight + k * HIDDEN + unit_$u];
#for r in 0..ROWS
        product_$(u)_$r = fma(weight_$u, h_$r, product_$(u)_$r);
#endfor
#endfor
      }
    }
#for u in 0..UNITS
#for r in 0..ROWS
    if ($(u * WG)u + lane < HIDDEN && step < row_$(r).length) {
      let row = (direction * params.batch + row_$(r).b) * params.length + t_$r;
      let value = cell(row, unit_$u, $(u * ROWS + r)u, product_$(u)_$r);
      out[out_row_$r + unit_$u] = value;
#if SHARED
      hidden[next + unit_$u * $(ROWS)u + $(r)u] = value;
#endif
    }
#endfor
#endfor
    previous = next;
#if SHARED
    workgroupBarrier();
#else
    storageBarrier();
#endif
  }
#for r in 0..ROWS
  for (var t = row_$(r).length; t < row_$(r).end; t += 1u) {
    for (var unit = lane; unit < HIDDEN; unit += $(WG)u) { out[out_first_$r + t * out_stride + unit] = 0.0; }
  }
#endfor
}
