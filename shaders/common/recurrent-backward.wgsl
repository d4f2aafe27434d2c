// The loop back over time of a recurrent backward pass: one workgroup per (direction, batch row), as the forward.
// A step has two halves: each lane turns its units' gradient of h into those of their gates, then, over all units,
// gathers the gradient of the h before. SHARED keeps the gates' gradients in workgroup memory, else they are read back.
// The including file declares params, and defines cell() and load_gate_grads(); gru's cell() returns grad_hidden's values.
struct Params { batch: u32, length: u32, groups: u32 }
#include "common/grid.wgsl"
#include "common/activation.wgsl"
@group(0) @binding(0) var<storage, read> gates: array<f32>; // [D, B, L, GATES * h], activated
@group(0) @binding(1) var<storage, read> state: array<f32>; // [D, B, L, h]
@group(0) @binding(2) var<storage, read> weight: array<vec4f>; // [D, h, h] (unit, k)
@group(0) @binding(3) var<storage, read> lengths: array<i32>; // [B]
@group(0) @binding(4) var<storage, read> grad_out: array<f32>; // [B, L, D * h]
@group(0) @binding(5) var<storage, read_write> grad_gates: array<f32>; // [D, B, L, GATES * h], before activation

const HIDDEN = $(HIDDEN)u;
// Where a token stands: its row in [D, B, L] and in [B, L, D], and those of the token the forward saw just before.
struct Token { row: u32, out_row: u32, previous: u32, out_previous: u32, first: bool }
// Gradients that reach the unit's h (x) and cell state (y) from later tokens, but for the sum over W_hh.
var<private> carried: array<vec2f, $UNITS>;
#if SHARED
var<workgroup> shared_grads: array<vec4f, HIDDEN>;
fn gate_grads(row: u32, unit: u32) -> vec4f { return shared_grads[unit]; }
#else
fn gate_grads(row: u32, unit: u32) -> vec4f { return load_gate_grads(row, unit); }
#endif

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid);
  if (index >= params.groups) { return; }
  let b = index % params.batch;
  let direction = index / params.batch;
  let length = u32(lengths[b]);
  let first_weight = direction * HIDDEN * HIDDEN;
#for u in 0..UNITS
  let unit_$u = min($(u * WG)u + lane, HIDDEN - 1u);
#endfor

  for (var back = 0u; back < length; back += 1u) {
    let step = length - 1u - back;
    let step_before = max(step, 1u) - 1u;
    let t = select(step, length - 1u - step, direction == 1u);
    let t_before = select(step_before, length - 1u - step_before, direction == 1u);
    let token = Token(index * params.length + t, (b * params.length + t) * $(DIRECTIONS)u + direction,
                      index * params.length + t_before,
                      (b * params.length + t_before) * $(DIRECTIONS)u + direction, step == 0u);
#for u in 0..UNITS
    if ($(u * WG)u + lane < HIDDEN) {
      let grads = cell(token, unit_$u, $(u)u, grad_out[token.out_row * HIDDEN + unit_$u] + carried[$u].x);
#if GATES == 3
      let at_$u = token.row * $(GATES * HIDDEN)u + unit_$u;
      grad_hidden[at_$u] = grads.x;
      grad_hidden[at_$u + HIDDEN] = grads.y;
      grad_hidden[at_$u + 2u * HIDDEN] = grads.z;
#endif
#if SHARED
      shared_grads[unit_$u] = grads;
#endif
    }
#endfor
#if SHARED
    workgroupBarrier();
#else
    storageBarrier();
#endif
    if (step > 0u) {
      // All units of a lane advance together, so that the gates' gradients are loaded once for them.
#for u in 0..UNITS
      var sum_$u = vec4f(0.0);
#endfor
      for (var unit = 0u; unit < HIDDEN; unit += 1u) {
        let grads = gate_grads(token.row, unit);
        let at = first_weight + unit * HIDDEN;
#for u in 0..UNITS
        sum_$u = fma(weight[at + unit_$u], grads, sum_$u);
#endfor
      }
#for u in 0..UNITS
      carried[$u].x += sum_$(u).x + sum_$(u).y + sum_$(u).z + sum_$(u).w;
#endfor
    }
#if SHARED
    workgroupBarrier();
#endif
  }
  let padding = (index * params.length + length) * $(GATES * HIDDEN)u;
  for (var i = lane; i < (params.length - length) * $(GATES * HIDDEN)u; i += $(WG)u) {
    grad_gates[padding + i] = 0.0;
#if GATES == 3
    grad_hidden[padding + i] = 0.0;
#endif
  }
}
