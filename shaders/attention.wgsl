// P = softmax of the scores over the keys that a query may attend to, 0 for the others, in place; lse = log sum exp.
// Grid: one invocation per query of a (batch, head), 64 a workgroup, linear, folded. A GPU wants single queries too.
// Scores lie [batch-head][key][query]: lanes read neighbours and scan the keys alone, no barrier, no reduction.
// Outputs: scores (keys past the length keep their old value: the product with V stops before them), lse [B, H, Lq].
struct Params { rows: u32, queries: u32, keys: u32, key_stride: u32, heads: u32, first_row: u32 }
#include "common/grid.wgsl"
#include "common/nan.wgsl"
@group(0) @binding(0) var<storage, read_write> scores: array<f32>; // [batch-head][key][key_stride], queries first
@group(0) @binding(1) var<storage, read_write> lse: array<f32>; // [B, H, Lq], the strip begins at first_row
#if PACKED
@group(0) @binding(2) var<storage, read> rows: array<vec4i>; // [batches of the strip] of (first, keys, queries, 0)
#elif LENGTHS
@group(0) @binding(2) var<storage, read> lengths: array<i32>; // [batches of the strip]
#endif
#if MASK
@group(0) @binding($(2 + LENGTHS)) var<storage, read> mask: array<i32>; // [batch][query][key] of the strip
#endif
@group(0) @binding($(2 + PACKED + LENGTHS + MASK)) var<uniform> params: Params;

// Below every score; also the lse of a query that may attend to nothing.
const NOTHING = -1e30;

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

  // Running maximum and sum: one exp per key, of a number that is never positive. Keys go several at a time (STEPS: so
  // many, then one by one), so that as many loads are on their way; the sums are those of one key after the other. The
  // maximum is told by the comparison that the sum needs as well: where a driver minds NaNs, max is a dozen instructions.
  var largest = NOTHING;
  var sum = 0.0;
  var nan = 0.0; // NaN once one of the scores is
  var at = first;
  var key = 0u;
#for n in STEPS
  for (; key + $(n)u <= keys; key += $(n)u) {
#for i in 0..n
#if MASK
    let open_$i = mask[mask_row + key + $(i)u] != 0;
    let score_$i = select(NOTHING, scores[at + $(i)u * params.key_stride], open_$i);
#else
    let score_$i = scores[at + $(i)u * params.key_stride];
#endif
#endfor
#include "common/nan-among.wgsl"
#for i in 0..n
#if MASK
    if (open_$i) {
#else
    {
#endif
      let more = score_$i > largest;
      let e = exp(-abs(score_$i - largest));
      sum = select(sum + e, sum * e + 1.0, more);
      largest = select(largest, score_$i, more);
    }
#endfor
    at += $(n)u * params.key_stride;
  }
#endfor
  // An infinite score makes NaN of its row as well. It is told by its bits: a compiler may hold that x - x is 0.
  let top = bitcast<u32>(largest);
  nan = or_nan(nan, bitcast<f32>(select(top, 0x7fc00000u, top == 0x7f800000u)));
  // Where any key counts the sum is at least 1, the largest score's own term.
  sum = or_nan(sum, nan);
  sum = or_nan(max(sum, 1.0), sum);
  let inverse = 1.0 / sum;
  lse[params.first_row + row] = largest + or_nan(log(sum), sum);

  at = first;
  key = 0u;
#for n in STEPS
  for (; key + $(n)u <= keys; key += $(n)u) {
#for i in 0..n
    let score_$i = scores[at + $(i)u * params.key_stride];
#if MASK
    let open_$i = mask[mask_row + key + $(i)u] != 0;
#endif
#endfor
#for i in 0..n
    var p_$i = 0.0;
#if MASK
    if (open_$i) { p_$i = exp(score_$i - largest) * inverse; }
#else
    p_$i = exp(score_$i - largest) * inverse;
#endif
    scores[at + $(i)u * params.key_stride] = p_$i;
#endfor
    at += $(n)u * params.key_stride;
  }
#endfor
}
