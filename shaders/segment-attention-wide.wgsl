// As segment-attention, for scales too wide for registers: C from S in place, scores of a segment read again each time.
// Grid: one invocation per query of a (batch, head), 64 a workgroup, linear, folded.
// Sums of the last WINDOW keys are in a ring of scratch, so that no scale is too wide; every sum is direct, without a running sum's drift.
// Output: scores, 0 past the lengths and in padded queries.
#include "common/segment-scan.wgsl"

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
      let apart = -abs(mean - max_$r);
      let e = or_nan(exp2(apart), apart);
      total_$r = select(total_$r + e, fma(total_$r, e, 1.0), mean > max_$r);
      max_$r = max(max_$r, mean);
    }
#endfor
    at += params.key_stride;
  }

#include "common/segment-factors.wgsl"

  at = row.first;
  for (var key = 0u; key < row.end; key += 1u) {
    pending[ring(key, index)] = 0.0;
    var sum = 0.0;
    var back = 0u;
#for r in ASCENDING
    if (key >= $(r - 1)u) {
      for (; back < $(r)u; back += 1u) { sum += scores[at - back * params.key_stride]; }
      let p = factor_$r * exp2(sum * (1.0 / $r.0) - max_$r);
      for (var k = 0u; k < $(r)u; k += 1u) { pending[ring(key - k, index)] += p; }
    }
#endfor
    if (key >= $(WINDOW - 1)u) {
      scores[at - $(WINDOW - 1)u * params.key_stride] = pending[ring(key + 1u, index)];
    }
    at += params.key_stride;
  }
  for (var k = min(row.end, $(WINDOW - 1)u); k > 0u; k -= 1u) {
    scores[at - k * params.key_stride] = pending[ring(row.end - k, index)];
  }

  for (var key = row.end; key < params.keys; key += 1u) {
    scores[at] = 0.0;
    at += params.key_stride;
  }
}
