// With dh the gradient of h: do = dh tanh(c), dc += dh o (1 - tanh(c)^2), di = dc g, df = dc c_before, dg = dc i.
// Grid: one workgroup per direction and batch row, or ROWS of them, which loops back over the rows' valid tokens.
// WG as in the forward.
// Output: grad_gates, before activation, 0 at padding; one matrix product each then gives the weights' and x's gradient.
#if STEPS
#include "common/recurrent-backward-step.wgsl"
#else
#include "common/recurrent-backward.wgsl"
@group(0) @binding(6) var<uniform> params: Params;

fn load_gate_grads(row: u32, unit: u32) -> vec4f {
  let at = row * $(4 * HIDDEN)u + unit;
  return vec4f(grad_gates[at], grad_gates[at + HIDDEN], grad_gates[at + 2u * HIDDEN], grad_gates[at + 3u * HIDDEN]);
}
#endif

fn cell(token: Token, unit: u32, u: u32, grad: f32) -> vec4f {
  let at = token.row * $(4 * HIDDEN)u + unit;
  let i = gates[at];
  let f = gates[at + HIDDEN];
  let g = gates[at + 2u * HIDDEN];
  let o = gates[at + 3u * HIDDEN];
  let tanh_c = safe_tanh(state[token.row * HIDDEN + unit]);
  var c_before = 0.0;
  if (!token.first) { c_before = state[token.previous * HIDDEN + unit]; }
  let grad_c = carried[u].y + grad * o * (1.0 - tanh_c * tanh_c);
  let grads = vec4f(grad_c * g * i * (1.0 - i), grad_c * c_before * f * (1.0 - f),
                    grad_c * i * (1.0 - g * g), grad * tanh_c * o * (1.0 - o));
  grad_gates[at] = grads.x;
  grad_gates[at + HIDDEN] = grads.y;
  grad_gates[at + 2u * HIDDEN] = grads.z;
  grad_gates[at + 3u * HIDDEN] = grads.w;
  // h reaches later tokens through the gates alone.
  carried[u] = vec2f(0.0, grad_c * f);
  return grads;
}
