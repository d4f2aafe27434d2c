// As segment-attention, for scales too wide for registers: C from S in place, scores of a segment read again each time.
// Grid: one invocation per query of a (batch, head), 64 a workgroup, linear, folded.
// Sums of the last WINDOW keys are in a ring of private memory; every sum is direct, without a running sum's drift.
// Output: scores, 0 past the lengths and in padded queries.
struct Params {
  rows: u32, queries: u32, keys: u32, key_stride: u32,
  heads: u32, strip_heads: u32, first_head: u32, first_query: u32,
  first_key: u32, own_first: u32, own_end: u32, resume: u32, // all keys: 0, 0, keys, 0
  weight_offset: u32, weight_batch: u32, weight_query: u32, weight_head: u32,
}
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read_write> scores: array<f32>; // log2(e) q·k/√dh: [batch-head][key][key_stride]
@group(0) @binding(1) var<storage, read> lengths: array<i32>; // [batches of the strip]
#if WEIGHTS
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [S], [H, S] or [B, L, H, S]
#endif
@group(0) @binding($(2 + WEIGHTS)) var<uniform> params: Params;
#include "common/segment-rows.wgsl"

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.rows) { return; }
  let row = segment_row(index);

#for r in SCALES
  var max_$r = NOTHING;
  var total_$r = 0.0;
#endfor
  var at = row.first;
  for (var key = 0u; key < row.end; key += 1u) {
    var sum = 0.0;
    var back = 0u;
#for r in ASCENDING
    if (key >= $(r - 1)u) {
      for (; back < $(r)u; back += 1u) { sum += scores[at - back * params.key_stride]; }
      let mean = sum * (1.0 / $r.0);
      let e = exp2(-abs(mean - max_$r));
      total_$r = select(total_$r + e, fma(total_$r, e, 1.0), mean > max_$r);
      max_$r = max(max_$r, mean);
    }
#endfor
    at += params.key_stride;
  }

#if WEIGHTS
  var weight = first_weight(row);
#endif
#for r in SCALES
#if WEIGHTS
  let factor_$r = weights[weight] / ($r.0 * max(total_$r, 1.0));
  weight += 1u;
#else
  let factor_$r = 1.0 / ($r.0 * max(total_$r, 1.0));
#endif
#endfor

  var pending: array<f32, $WINDOW>; // the sum so far of a key is at key % WINDOW
  at = row.first;
  for (var key = 0u; key < row.end; key += 1u) {
    pending[key % $(WINDOW)u] = 0.0;
    var sum = 0.0;
    var back = 0u;
#for r in ASCENDING
    if (key >= $(r - 1)u) {
      for (; back < $(r)u; back += 1u) { sum += scores[at - back * params.key_stride]; }
      let p = factor_$r * exp2(sum * (1.0 / $r.0) - max_$r);
      for (var k = 0u; k < $(r)u; k += 1u) { pending[(key - k) % $(WINDOW)u] += p; }
    }
#endfor
    if (key >= $(WINDOW - 1)u) {
      scores[at - $(WINDOW - 1)u * params.key_stride] = pending[(key + 1u) % $(WINDOW)u];
    }
    at += params.key_stride;
  }
  for (var k = min(row.end, $(WINDOW - 1)u); k > 0u; k -= 1u) {
    scores[at - k * params.key_stride] = pending[(row.end - k) % $(WINDOW)u];
  }

  for (var key = row.end; key < params.keys; key += 1u) {
    scores[at] = 0.0;
    at += params.key_stride;
  }
}
