// The loop back over time of a recurrent backward pass: one workgroup per direction and ROWS batch rows, as the forward.
// A step has two halves: each lane turns its units' gradient of h into those of their gates, then, over all units,
// gathers the gradient of the h before. SHARED keeps the gates' gradients in workgroup memory, else they are read back.
// The including file declares params, and defines cell() and load_gate_grads(); gru's cell() returns grad_hidden's values.
struct Params { batch: u32, length: u32, groups: u32 }
#include "common/grid.wgsl"
#include "common/activation.wgsl"
@group(0) @binding(0) var<storage, read> gates: array<f32>; // [D, B, L, GATES * h], activated
@group(0) @binding(1) var<storage, read> state: array<f32>; // [D, B, L, h]
@group(0) @binding(2) var<storage, read> weight: array<vec4f>; // [D, h, h] (unit, k)
#if ROWS > 1
@group(0) @binding(3) var<storage, read> rows: array<i32>; // batch rows, longest first; their lengths
#else
@group(0) @binding(3) var<storage, read> lengths: array<i32>; // [B]
#endif
@group(0) @binding(4) var<storage, read> grad_out: array<f32>; // [B, L, D * h]
@group(0) @binding(5) var<storage, read_write> grad_gates: array<f32>; // [D, B, L, GATES * h], before activation
#include "common/recurrent-row.wgsl"

const HIDDEN = $(HIDDEN)u;
// Where a token stands: its row in [D, B, L] and in [B, L, D], and those of the token the forward saw just before.
struct Token { row: u32, out_row: u32, previous: u32, out_previous: u32, first: bool }
// Gradients that reach the unit's h (x) and cell state (y) from later tokens, but for the sum over W_hh.
var<private> carried: array<vec2f, $(UNITS * ROWS)>;
#if SHARED
var<workgroup> shared_grads: array<vec4f, $(HIDDEN * ROWS)>; // [h, ROWS]
fn gate_grads(row: u32, unit: u32, r: u32) -> vec4f { return shared_grads[unit * $(ROWS)u + r]; }
#else
fn gate_grads(row: u32, unit: u32, r: u32) -> vec4f { return load_gate_grads(row, unit); }
#endif

fn token_at(row: Row, direction: u32, step: u32) -> Token {
  let step_before = max(step, 1u) - 1u;
  let t = select(step, row.length - 1u - step, direction == 1u);
  let t_before = select(step_before, row.length - 1u - step_before, direction == 1u);
  let first = direction * params.batch + row.b;
  return Token(first * params.length + t, (row.b * params.length + t) * $(DIRECTIONS)u + direction,
               first * params.length + t_before,
               (row.b * params.length + t_before) * $(DIRECTIONS)u + direction, step == 0u);
}

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid);
  if (index >= params.groups) { return; }
  let direction = index / row_groups();
#for r in 0..ROWS
  let row_$r = row_of(index % row_groups(), $(r)u);
#endfor
  let first_weight = direction * HIDDEN * HIDDEN;
#for u in 0..UNITS
  let unit_$u = min($(u * WG)u + lane, HIDDEN - 1u);
#endfor

  // Of several rows the first is the longest.
  for (var back = 0u; back < row_0.length; back += 1u) {
    let step = row_0.length - 1u - back;
#for r in 0..ROWS
    let token_$r = token_at(row_$r, direction, step);
#endfor
#for u in 0..UNITS
#for r in 0..ROWS
    if ($(u * WG)u + lane < HIDDEN && step < row_$(r).length) {
      let grad = grad_out[token_$(r).out_row * HIDDEN + unit_$u] + carried[$(u * ROWS + r)].x;
      let grads = cell(token_$r, unit_$u, $(u * ROWS + r)u, grad);
#if GATES == 3
      let at = token_$(r).row * $(GATES * HIDDEN)u + unit_$u;
      grad_hidden[at] = grads.x;
      grad_hidden[at + HIDDEN] = grads.y;
      grad_hidden[at + 2u * HIDDEN] = grads.z;
#endif
#if SHARED
      shared_grads[unit_$u * $(ROWS)u + $(r)u] = grads;
#endif
    }
#endfor
#endfor
#if SHARED
    workgroupBarrier();
#else
    storageBarrier();
#endif
    if (step > 0u) {
      // All units of a lane advance together, so that the gates' gradients are loaded once for them.
#for u in 0..UNITS
#for r in 0..ROWS
      var sum_$(u)_$r = vec4f(0.0);
#endfor
#endfor
      for (var unit = 0u; unit < HIDDEN; unit += 1u) {
#for r in 0..ROWS
        let grads_$r = gate_grads(token_$(r).row, unit, $(r)u);
#endfor
        let at = first_weight + unit * HIDDEN;
#for u in 0..UNITS
        let weight_$u = weight[at + unit_$u];
#for r in 0..ROWS
        sum_$(u)_$r = fma(weight_$u, grads_$r, sum_$(u)_$r);
#endfor
#endfor
      }
#for u in 0..UNITS
#for r in 0..ROWS
      // What a row's end has not reached yet is 0.
      carried[$(u * ROWS + r)].x += sum_$(u)_$(r).x + sum_$(u)_$(r).y + sum_$(u)_$(r).z + sum_$(u)_$(r).w;
#endfor
#endfor
    }
#if SHARED
    workgroupBarrier();
#endif
  }
#for r in 0..ROWS
  let padding_$r = ((direction * params.batch + row_$(r).b) * params.length + row_$(r).length) * $(GATES * HIDDEN)u;
  for (var i = lane; i < (row_$(r).end - row_$(r).length) * $(GATES * HIDDEN)u; i += $(WG)u) {
    grad_gates[padding_$r + i] = 0.0;
#if GATES == 3
    grad_hidden[padding_$r + i] = 0.0;
#endif
  }
#endfor
}
