// C[key] = sum over scales r and segments of r tokens around key of weight_r / r * softmax(means of r scores), in place.
// Grid: one invocation per query of a (batch, head), 64 a workgroup, linear, folded.
// A lane slides over the keys with the last WINDOW - 1 scores in registers: two reads a score whatever the scales, no
// barrier, no reduction. Output: scores, 0 past the lengths and in padded queries; TILED, without COMBINE: stats.
#include "common/segment-scan.wgsl"

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.rows) { return; }
  let row = segment_row(index);

  // First sweep: running maximum and sum of each scale, one exp per segment, of a number that is never positive. The maximum
  // is told by the comparison that the sum needs as well: where a driver minds NaNs, max is a dozen instructions.
#for r in SCALES
  var max_$r = NOTHING;
  var total_$r = 0.0;
#endfor
#if TILED
  var stat = index;
  if (params.resume != 0u) {
#for r in SCALES
    max_$r = stats[stat];
    stat += params.rows;
    total_$r = stats[stat];
    stat += params.rows;
#endfor
  }
#endif
#for m in 1..WINDOW
  var past_$m = NO_TOKEN;
#endfor
  var at = row.first;
  var key = params.first_key;
#if STATS
  var nan = 0.0; // NaN once one of the scores is
#for n in STEPS
  while (key + $(n)u <= row.end) {
#include "common/segment-ahead.wgsl"
#include "common/nan-among.wgsl"
#for ahead in 0..n
    {
#include "common/segment-sums.wgsl"
#if TILED
      if (key >= params.own_first) { // the segments that end before were counted by the tile before
#else
      {
#endif
#for r in SCALES
        let mean_$r = sum_$r * (1.0 / $r.0);
        let more_$r = mean_$r > max_$r;
        let e_$r = exp2(-abs(mean_$r - max_$r));
        total_$r = select(total_$r + e_$r, fma(total_$r, e_$r, 1.0), more_$r);
        max_$r = select(max_$r, mean_$r, more_$r);
#endfor
      }
#include "common/segment-next.wgsl"
    }
#endfor
  }
#endfor
#for r in SCALES
  // An infinite score makes NaN of its row as well. It is told by its bits: a compiler may hold that x - x is 0.
  let top_$r = bitcast<u32>(max_$r);
  total_$r = or_nan(total_$r, or_nan(nan, bitcast<f32>(select(top_$r, 0x7fc00000u, top_$r == 0x7f800000u))));
#endfor
#endif

#if !COMBINE
  stat = index;
#for r in SCALES
  stats[stat] = max_$r;
  stat += params.rows;
  stats[stat] = total_$r;
  stat += params.rows;
#endfor
#else
#include "common/segment-factors.wgsl"

  // Second sweep: pending_k is the sum so far of the key that is k back; it is complete once no segment reaches it.
  let pending_0 = 0.0;
#for m in 1..WINDOW
  past_$m = NO_TOKEN;
  var pending_$m = 0.0;
#endfor
  at = row.first;
  key = params.first_key;
#for n in STEPS
  while (key + $(n)u <= row.end) {
#include "common/segment-ahead.wgsl"
#for ahead in 0..n
    {
#include "common/segment-sums.wgsl"
      // From the farthest key to this one: the segments of more than k tokens cover the key that is k back.
      var carry = 0.0;
#for i in 1..WINDOW + 1
#for r in SCALES
#if r == WINDOW - i + 1
      carry = fma(factor_$r, exp2(sum_$r * (1.0 / $r.0) - max_$r), carry);
#endif
#endfor
#if i == 1
      if (key >= params.own_first + $(WINDOW - 1)u) {
        let done = at - $(WINDOW - 1)u * params.key_stride;
        scores[done] = pending_$(WINDOW - 1) + carry;
      }
#else
      pending_$(WINDOW - i + 1) = pending_$(WINDOW - i) + carry;
#endif
#endfor
#include "common/segment-next.wgsl"
    }
#endfor
  }
#endfor
#for m in 1..WINDOW
  if (row.end >= params.own_first + $(m)u && row.end - $(m)u < params.own_end) {
    scores[at - $(m)u * params.key_stride] = pending_$m;
  }
#endfor

  for (key = max(row.end, params.own_first); key < params.own_end; key += 1u) {
    at = row.first + (key - params.first_key) * params.key_stride;
    scores[at] = 0.0;
  }
#endif
}
