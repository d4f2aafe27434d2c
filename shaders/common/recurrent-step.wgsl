// One step of a recurrent forward pass over the first `active` rows of all directions, one invocation a unit.
// The product with W_hh lies in `product`; h goes to `out` and, for the next step's product, side by side to `hidden`.
// The including file defines cell(), as for common/recurrent.wgsl.
struct Params { size: u32, batch: u32, length: u32, active_rows: u32, step: u32 }
#include "common/grid.wgsl"
#include "common/activation.wgsl"
@group(0) @binding(0) var<storage, read_write> gates: array<f32>; // [D, B, L, GATES * h]: W_ih x + b_ih, then activated
@group(0) @binding(1) var<storage, read> product: array<f32>; // [D, B, GATES * h], rows longest first
@group(0) @binding(2) var<storage, read> rows: array<i32>; // batch rows, longest first; their lengths
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // [B, L, D * h]
@group(0) @binding(4) var<storage, read_write> state: array<f32>; // [D, B, L, h]
@group(0) @binding(5) var<storage, read_write> hidden: array<f32>; // [D, B, h], rows longest first
@group(0) @binding(6) var<uniform> params: Params;

const HIDDEN = $(HIDDEN)u;
var<private> carried: array<f32, 1>;

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
  let t = select(params.step, length - 1u - params.step, direction == 1u);
  let row = (direction * params.batch + b) * params.length + t;
  let own = direction * params.batch + i;
  let at = own * $(GATES * HIDDEN)u + unit;
  var gate_products = vec4f(0.0);
#for gate in 0..GATES
  gate_products[$gate] = product[at + $(gate)u * HIDDEN];
#endfor
  if (params.step > 0u) {
#if GATES == 3
    carried[0] = hidden[own * HIDDEN + unit];
#else
    let before = select(row - 1u, row + 1u, direction == 1u);
    carried[0] = state[before * HIDDEN + unit];
#endif
  }
  let value = cell(row, unit, 0u, gate_products);
  out[((b * params.length + t) * $(DIRECTIONS)u + direction) * HIDDEN + unit] = value;
  hidden[own * HIDDEN + unit] = value;
}
