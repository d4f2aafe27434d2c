// P = exp(S - lse), dS = P (Z - delta), delta = sum_c G O, in place: scores hold S then P, grads hold Z = G V^T then dS.
// Grid: one invocation per query of a (batch, head), 64 a workgroup, linear, folded. A GPU wants single queries too.
// One sweep with one exp per key: lse was saved, and delta, the row's mean of Z under P, costs dh terms from G and O.
// Outputs: scores, grads, both 0 where the query may not attend and past the length (grad_k and grad_v sum over those).
struct Params {
  rows: u32, queries: u32, keys: u32, key_stride: u32, heads: u32, first_row: u32,
  first_element: u32, hidden: u32, head_size: u32,
}
#include "common/grid.wgsl"
#include "common/nan.wgsl"
@group(0) @binding(0) var<storage, read_write> scores: array<f32>; // [batch-head][key][key_stride], queries first
@group(0) @binding(1) var<storage, read_write> grads: array<f32>; // as scores
@group(0) @binding(2) var<storage, read> lse: array<f32>; // [B, H, Lq], the strip begins at first_row
@group(0) @binding(3) var<storage, read> out: array<f32>; // [B, Lq, D], the strip begins at first_element
@group(0) @binding(4) var<storage, read> grad_out: array<f32>; // [B, Lq, D]
#if PACKED
@group(0) @binding(5) var<storage, read> rows: array<vec4i>; // [batches of the strip] of (first, keys, queries, 0)
#elif LENGTHS
@group(0) @binding(5) var<storage, read> lengths: array<i32>; // [batches of the strip]
#endif
#if MASK
@group(0) @binding($(5 + LENGTHS)) var<storage, read> mask: array<i32>; // [batch][query][key] of the strip
#endif
@group(0) @binding($(5 + PACKED + LENGTHS + MASK)) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = group_index(group, grid) * 64u + lane;
  if (row >= params.rows) { return; }
  let batch_head = row / params.queries;
  let batch = batch_head / params.heads;
  let query = row % params.queries;
  let first = batch_head * params.keys * params.key_stride + query;
#if PACKED
  let own = vec4u(rows[batch]);
  if (query >= own.z) { return; }
  let keys = own.y;
#elif LENGTHS
  let keys = u32(lengths[batch]);
#else
  let keys = params.keys;
#endif
#if MASK
  let mask_row = (batch * params.queries + query) * params.keys;
#endif

#if PACKED
  let token = own.x + query;
#else
  let token = batch * params.queries + query;
#endif
  let element = params.first_element + token * params.hidden + (batch_head % params.heads) * params.head_size;
  var delta = 0.0;
  var column = 0u;
#for n in STEPS
  for (; column + $(n)u <= params.head_size; column += $(n)u) {
#for i in 0..n
    let grad_$i = grad_out[element + column + $(i)u];
    let out_$i = out[element + column + $(i)u];
#endfor
#for i in 0..n
    delta = fma(grad_$i, out_$i, delta);
#endfor
  }
#endfor

  let row_lse = lse[params.first_row + row];
  let lost = is_nan(row_lse); // so it is where any of the row's scores is NaN
  var at = first;
  var key = 0u;
#for n in STEPS
  for (; key + $(n)u <= keys; key += $(n)u) { // several keys at a time, as in attention
#for i in 0..n
    let score_$i = scores[at + $(i)u * params.key_stride];
    let grad_$i = grads[at + $(i)u * params.key_stride];
#if MASK
    let open_$i = mask[mask_row + key + $(i)u] != 0;
#endif
#endfor
#for i in 0..n
    var p_$i = 0.0;
    var grad_score_$i = 0.0;
#if MASK
    if (open_$i) {
#else
    {
#endif
      p_$i = select(exp(score_$i - row_lse), row_lse, lost);
      grad_score_$i = p_$i * (grad_$i - delta);
    }
    scores[at + $(i)u * params.key_stride] = p_$i;
    grads[at + $(i)u * params.key_stride] = grad_score_$i;
#endfor
    at += $(n)u * params.key_stride;
  }
#endfor
#if !PACKED
  for (; key < params.keys; key += 1u) {
    scores[at] = 0.0;
    grads[at] = 0.0;
    at += params.key_stride;
  }
#endif
}
