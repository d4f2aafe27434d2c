// out = C v, C from a tile's scores as in segment-attention; BACKWARD grad_q = scale dS k, dS as in its backward.
// Grid: a workgroup of 256 lanes for every OWN queries of a (batch, head), folded: 16 lanes a query. The statistics of
// segment-attention-stats are known, so tiles are on their own; each has HALO keys more at both ends than it gives.
// Output: out or grad_q [B, L, D], 0 past the lengths.
#include "common/attention-tile.wgsl"
@group(0) @binding(0) var<storage, read> q: array<lanes>; // [B, L, D]
@group(0) @binding(1) var<storage, read> k: array<lanes>; // [B, L, D]
@group(0) @binding(2) var<storage, read> v: array<lanes>; // [B, L, D]
@group(0) @binding(3) var<storage, read> stats: array<f32>; // as segment-attention-stats leaves them
#if BACKWARD
@group(0) @binding(4) var<storage, read> grad_out: array<lanes>; // [B, L, D]
#endif
#if !PER_SCALE
@group(0) @binding($(4 + BACKWARD)) var<storage, read> weights: array<f32>; // [S], [H, S] or [B, L, H, S]
#endif
@group(0) @binding($(5 + BACKWARD - PER_SCALE)) var<storage, read_write> out: array<lanes>; // [B, L, D]
@group(0) @binding($(6 + BACKWARD - PER_SCALE)) var<uniform> params: Params;
#include "common/attention-block.wgsl"

const NO_TOKEN = -1e35; // the score of a key that is none: exp2 of a mean with it is 0
fn length_of(batch: u32) -> u32 { return u32(stats[params.lengths_at + batch]); }
fn own_0(at: u32) -> lanes { return q[at]; }
fn stream_0(at: u32) -> lanes { return k[at]; }
#if BACKWARD
fn own_1(at: u32) -> lanes { return grad_out[at]; }
fn stream_1(at: u32) -> lanes { return v[at]; }
fn value_0(at: u32) -> lanes { return k[at]; }
#else
fn value_0(at: u32) -> lanes { return v[at]; }
#endif
fn store_0(at: u32, x: lanes) { out[at] = x; }

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group_id: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
#include "common/attention-begin.wgsl"
  let row = lane % OWN;
  let chunk = lane / OWN;
  let tokens = params.own_rows;
  let length = block.own_rows;
  let query = block.first + row;
#include "common/segment-row.wgsl"
  for (var key = 0u; key < block.stream_rows; key += STREAM - $(2 * HALO)u) {
    let first = key - $(HALO)u; // wraps before key 0, which is past every length
#include "common/segment-tile.wgsl"
#include "common/segment-ends.wgsl"
#include "common/segment-combine.wgsl"
#include "common/attention-sums.wgsl"
  }
  let factor_0 = vec4f(params.factor);
#include "common/attention-end.wgsl"
}
