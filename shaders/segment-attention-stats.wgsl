// stats = log2 sum exp2 of the means of every query and scale, and BACKWARD sum of p y, y the means of grad_out v^T.
// Grid: a workgroup of 256 lanes for every OWN queries of a (batch, head), folded: 16 lanes a query, each with the
// segments that end at four keys of a tile: what it found goes to the others once, after the last tile.
// Outputs: stats, at their end the lengths as f32, which saves the next passes a binding; row_grads, p y again.
#include "common/attention-tile.wgsl"
@group(0) @binding(0) var<storage, read> q: array<lanes>; // [B, L, D]
@group(0) @binding(1) var<storage, read> k: array<lanes>; // [B, L, D]
@group(0) @binding(2) var<storage, read> lengths: array<i32>; // [B]
#if BACKWARD
@group(0) @binding(3) var<storage, read> v: array<lanes>; // [B, L, D]
@group(0) @binding(4) var<storage, read> grad_out: array<lanes>; // [B, L, D]
#endif
// Backward p y [B, L, H, S]; log2 sum exp2 [S][B, H, L]; lengths [B].
@group(0) @binding($(3 + 2 * BACKWARD)) var<storage, read_write> stats: array<f32>;
#if GRAD_WEIGHTS
@group(0) @binding($(4 + 2 * BACKWARD)) var<storage, read_write> row_grads: array<f32>; // [B, L, H, S]
#endif
@group(0) @binding($(4 + 2 * BACKWARD + GRAD_WEIGHTS)) var<uniform> params: Params;
#include "common/attention-block.wgsl"

const NO_TOKEN = -1e35; // the score of a key that is none: exp2 of a mean with it is 0
fn length_of(batch: u32) -> u32 { return u32(lengths[batch]); }
fn own_0(at: u32) -> lanes { return q[at]; }
fn stream_0(at: u32) -> lanes { return k[at]; }
#if BACKWARD
fn own_1(at: u32) -> lanes { return grad_out[at]; }
fn stream_1(at: u32) -> lanes { return v[at]; }
#endif
var<workgroup> parts: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group_id: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
#include "common/attention-begin.wgsl"
  let row = lane % OWN;
  let chunk = lane / OWN;
#for r in SCALES
  var max_$r = NOTHING;
  var total_$r = 0.0;
  var mean_grad_$r = 0.0;
#endfor
  for (var key = 0u; key < block.stream_rows; key += STREAM - $(HALO)u) {
    let first = key - $(HALO)u; // wraps before key 0, which is past every length
#include "common/segment-tile.wgsl"
#include "common/segment-ends.wgsl"
#for u in 0..4
    if (4u * chunk + $(u)u >= $(HALO)u) { // the segments that end before were counted in the tile before
      let sum_1 = s_$(4 * PREV + u);
      let sum_grad_1 = z_$(4 * PREV + u);
#for m in 1..WINDOW
      let sum_$(m + 1) = sum_$m + s_$(4 * PREV + u - m);
      let sum_grad_$(m + 1) = sum_grad_$m + z_$(4 * PREV + u - m);
#endfor
#for r in SCALES
#if PER_SCALE
      if ($(r)u == scale_of(block.head)) {
#else
      {
#endif
        let mean = sum_$r * (1.0 / $r.0);
        let apart = -abs(mean - max_$r);
        let e = or_nan(exp2(apart), apart);
        let old_part = select(1.0, e, mean > max_$r);
        let new_part = select(e, 1.0, mean > max_$r);
        total_$r = fma(total_$r, old_part, new_part);
#if BACKWARD
        mean_grad_$r = fma(mean_grad_$r, old_part, sum_grad_$r * new_part);
#endif
        max_$r = max(max_$r, mean);
      }
#endfor
    }
#endfor
    workgroupBarrier(); // the tile is read
  }

  let query = block.first + row;
  let row_at = (block.batch * params.heads + block.head) * params.own_rows + query;
  let grad_at = ((block.batch * params.own_rows + query) * params.heads + block.head) * $(STATS)u;
  let writes = chunk == 0u && query < params.own_rows;
  var slot = 0u;
#for r in SLOTS
#if r
#if PER_SCALE
  if ($(r)u == scale_of(block.head)) {
#else
  {
#endif
    let top = row_all(max_$r, true, lane);
    let moved = exp2(max_$r - top);
    let terms = row_all(total_$r * moved, false, lane);
    let total = or_nan(max(terms, 1.0), terms);
#if BACKWARD
    let mean_grad = row_all(mean_grad_$r * moved, false, lane) / (total * $r.0);
#endif
    if (writes) {
      stats[params.lse_at + slot * params.rows + row_at] = top + or_nan(log2(total), total);
#if BACKWARD
      stats[grad_at + slot] = mean_grad;
#endif
#if GRAD_WEIGHTS
      row_grads[grad_at + slot] = mean_grad;
#endif
    }
  }
#elif BACKWARD && !PER_SCALE
  if (writes) {
    stats[grad_at + slot] = 0.0;
#if GRAD_WEIGHTS
    row_grads[grad_at + slot] = 0.0;
#endif
  }
#endif
#if !PER_SCALE
  slot += 1u;
#endif
#endfor
  if (lane == 0u && block.first == 0u && block.head == 0u) {
    stats[params.lengths_at + block.batch] = f32(length_of(block.batch));
  }
}

// Maximum or sum over the lanes of a row, in the order of their chunks.
fn row_all(x: f32, largest: bool, lane: u32) -> f32 {
  workgroupBarrier();
  parts[lane] = x;
  workgroupBarrier();
  var all = parts[lane % OWN];
  for (var i = lane % OWN + OWN; i < 256u; i += OWN) { all = select(all + parts[i], max(all, parts[i]), largest); }
  return all;
}

#if PER_SCALE
// The scale of a head, 0 for one longer than the keys.
fn scale_of(head: u32) -> u32 {
  let own_set = head / params.set_heads;
  var scale = 0u;
  var slot = 0u;
#for r in SLOTS
  if (slot == own_set) { scale = $(r)u; }
  slot += 1u;
#endfor
  return scale;
}
#endif
