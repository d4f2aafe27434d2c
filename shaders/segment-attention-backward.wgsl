// C as in segment-attention, dS[key] = sum over r and segments around key of weight_r / r * p (y - D_r), in place; p is
// the softmax and y the mean of Z over the segment, D_r = sum of p y: the gradient of weight_r.
// Grid: one invocation per query of a (batch, head), 64 a workgroup, linear, folded; two sweeps as forward.
// Outputs: scores hold S then C, grads hold Z = G V^T then dS (0 past the lengths and in padded queries), row_grads D.
struct Params {
  rows: u32, queries: u32, keys: u32, key_stride: u32,
  heads: u32, strip_heads: u32, first_head: u32, first_query: u32,
  weight_offset: u32, weight_batch: u32, weight_query: u32, weight_head: u32,
  grad_offset: u32, grad_batch: u32, grad_query: u32, grad_head: u32,
}
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read_write> scores: array<f32>; // log2(e) q·k/√dh: [batch-head][key][key_stride]
@group(0) @binding(1) var<storage, read> lengths: array<i32>; // [batches of the strip]
#if WEIGHTS
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [S], [H, S] or [B, L, H, S]
#endif
@group(0) @binding($(2 + WEIGHTS)) var<storage, read_write> grads: array<f32>; // as scores
#if GRAD_WEIGHTS
@group(0) @binding($(3 + WEIGHTS)) var<storage, read_write> row_grads: array<f32>; // [B, L, H, S]
#endif
@group(0) @binding($(3 + WEIGHTS + GRAD_WEIGHTS)) var<uniform> params: Params;
#include "common/segment-rows.wgsl"

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.rows) { return; }
  let row = segment_row(index);

  // First sweep: running maximum, sum, and sum of p y.
#for r in SCALES
  var max_$r = NOTHING;
  var total_$r = 0.0;
  var mean_grad_$r = 0.0;
#endfor
#for m in 1..WINDOW
  var past_$m = NO_TOKEN;
  var past_grad_$m = 0.0;
#endfor
  var at = row.first;
  for (var key = 0u; key < row.end; key += 1u) {
    // sum_r, sum_grad_r: over the segment of r tokens that ends here.
    let past_0 = scores[at];
    let past_grad_0 = grads[at];
    let sum_1 = past_0;
    let sum_grad_1 = past_grad_0;
#for m in 1..WINDOW
    let sum_$(m + 1) = sum_$m + past_$m;
    let sum_grad_$(m + 1) = sum_grad_$m + past_grad_$m;
#endfor
#for r in SCALES
    {
      let mean = sum_$r * (1.0 / $r.0);
      let e = exp2(-abs(mean - max_$r));
      let larger = mean > max_$r;
      let old_part = select(1.0, e, larger);
      let new_part = select(e, 1.0, larger);
      total_$r = fma(total_$r, old_part, new_part);
      mean_grad_$r = fma(mean_grad_$r, old_part, sum_grad_$r * new_part);
      max_$r = max(max_$r, mean);
    }
#endfor
#for i in 1..WINDOW
    past_$(WINDOW - i) = past_$(WINDOW - i - 1);
    past_grad_$(WINDOW - i) = past_grad_$(WINDOW - i - 1);
#endfor
    at += params.key_stride;
  }

  // A total is at least 1, the largest segment's own term, or there is no segment and every term below is 0.
#if WEIGHTS
  var weight = first_weight(row);
#endif
#if GRAD_WEIGHTS
  var weight_grad = first_weight_grad(row);
#endif
#for r in SCALES
  var factor_$r = 1.0 / ($r.0 * max(total_$r, 1.0));
  mean_grad_$r *= factor_$r;
#if GRAD_WEIGHTS
  row_grads[weight_grad] = mean_grad_$r;
  weight_grad += 1u;
#endif
#if WEIGHTS
  factor_$r *= weights[weight];
  weight += 1u;
#endif
#endfor

  // Second sweep, as forward for both.
  let pending_0 = 0.0;
  let pending_grad_0 = 0.0;
#for m in 1..WINDOW
  past_$m = NO_TOKEN;
  past_grad_$m = 0.0;
  var pending_$m = 0.0;
  var pending_grad_$m = 0.0;
#endfor
  at = row.first;
  for (var key = 0u; key < row.end; key += 1u) {
    let past_0 = scores[at];
    let past_grad_0 = grads[at];
    let sum_1 = past_0;
    let sum_grad_1 = past_grad_0;
#for m in 1..WINDOW
    let sum_$(m + 1) = sum_$m + past_$m;
    let sum_grad_$(m + 1) = sum_grad_$m + past_grad_$m;
#endfor
    var carry = 0.0;
    var carry_grad = 0.0;
#for i in 1..WINDOW + 1
#for r in SCALES
#if r == WINDOW - i + 1
    let p_$r = factor_$r * exp2(sum_$r * (1.0 / $r.0) - max_$r);
    carry += p_$r;
    carry_grad = fma(p_$r, sum_grad_$r * (1.0 / $r.0) - mean_grad_$r, carry_grad);
#endif
#endfor
#if i == 1
    if (key >= $(WINDOW - 1)u) {
      let done = at - $(WINDOW - 1)u * params.key_stride;
      scores[done] = pending_$(WINDOW - 1) + carry;
      grads[done] = pending_grad_$(WINDOW - 1) + carry_grad;
    }
#else
    pending_$(WINDOW - i + 1) = pending_$(WINDOW - i) + carry;
    pending_grad_$(WINDOW - i + 1) = pending_grad_$(WINDOW - i) + carry_grad;
#endif
#endfor
#for i in 1..WINDOW
    past_$(WINDOW - i) = past_$(WINDOW - i - 1);
    past_grad_$(WINDOW - i) = past_grad_$(WINDOW - i - 1);
#endfor
    at += params.key_stride;
  }
#for m in 1..WINDOW
  if (row.end >= $(m)u) {
    scores[at - $(m)u * params.key_stride] = pending_$m;
    grads[at - $(m)u * params.key_stride] = pending_grad_$m;
  }
#endfor

  for (var key = row.end; key < params.keys; key += 1u) {
    scores[at] = 0.0;
    grads[at] = 0.0;
    at += params.key_stride;
  }
}
