// One step back of a recurrent backward pass over the first `active` rows of all directions, one invocation a unit.
// grad_h holds all that reaches the step's h; what goes on to the h before beside W_hh is added there, the rest is the
// product of grad_hidden with W_hh. Pairs (step, row) are numbered step by step, longest row first.
// The including file defines cell(), as for common/recurrent-backward.wgsl.
struct Params {
  size: u32, batch: u32, length: u32, active_rows: u32, step: u32,
  pairs: u32, first: u32, previous: u32, // of a direction; the first pair of this step, and of the one before
}
#include "common/grid.wgsl"
#include "common/activation.wgsl"
@group(0) @binding(0) var<storage, read> gates: array<f32>; // [D, B, L, GATES * h], activated
@group(0) @binding(1) var<storage, read> state: array<f32>; // [D, B, L, h]
@group(0) @binding(2) var<storage, read> rows: array<i32>; // batch rows, longest first; their lengths
@group(0) @binding(3) var<storage, read_write> grad_h: array<f32>; // [D, pairs, h]
@group(0) @binding(4) var<storage, read_write> grad_gates: array<f32>; // [D, B, L, GATES * h], before activation
@group(0) @binding(5) var<storage, read_write> grad_hidden: array<f32>; // [D, pairs, GATES * h]
#if GATES == 3
@group(0) @binding(6) var<storage, read> out: array<f32>; // [B, L, D * h]
#else
@group(0) @binding(6) var<storage, read_write> grad_c: array<f32>; // [D, B, h], rows longest first
#endif
@group(0) @binding(7) var<uniform> params: Params;

const HIDDEN = $(HIDDEN)u;
struct Token { row: u32, out_row: u32, previous: u32, out_previous: u32, first: bool }
var<private> carried: array<vec2f, 1>;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * $(WG)u + lane;
  if (index >= params.size) { return; }
  let unit = index % HIDDEN;
  let i = index / HIDDEN % params.active_rows;
  let direction = index / (HIDDEN * params.active_rows);
  let b = u32(rows[i]);
  let length = u32(rows[params.batch + i]);
  let step_before = max(params.step, 1u) - 1u;
  let t = select(params.step, length - 1u - params.step, direction == 1u);
  let t_before = select(step_before, length - 1u - step_before, direction == 1u);
  let base = (direction * params.batch + b) * params.length;
  let token = Token(base + t, (b * params.length + t) * $(DIRECTIONS)u + direction, base + t_before,
                    (b * params.length + t_before) * $(DIRECTIONS)u + direction, params.step == 0u);
  let pair = direction * params.pairs + params.first + i;
#if GATES == 4
  let own = (direction * params.batch + i) * HIDDEN + unit;
  if (params.step + 1u < length) { carried[0].y = grad_c[own]; }
#endif
  let grads = cell(token, unit, 0u, grad_h[pair * HIDDEN + unit]);
  let at = pair * $(GATES * HIDDEN)u + unit;
#for gate in 0..GATES
  grad_hidden[at + $(gate)u * HIDDEN] = grads[$gate];
#endfor
#if GATES == 4
  grad_c[own] = carried[0].y;
#else
  if (params.step > 0u) { grad_h[(direction * params.pairs + params.previous + i) * HIDDEN + unit] += carried[0].x; }
#endif
}
