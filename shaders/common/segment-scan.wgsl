// Shared by the segment-attention scans: parameters, bindings, which row an invocation owns, and what counts there.
// BACKWARD, GRAD_WEIGHTS (only then), WEIGHTS, TILED (statistics are carried from tile to tile of keys),
// WIDE (sums in scratch, not in registers; never TILED).
struct Params {
  rows: u32, queries: u32, keys: u32, key_stride: u32, // keys: of the scores, from first_key on
  heads: u32, strip_heads: u32, first_head: u32, first_query: u32,
  first_key: u32, own_first: u32, own_end: u32, resume: u32, // all keys at once: 0, 0, keys, 0
  weight_offset: u32, weight_batch: u32, weight_query: u32, weight_head: u32,
#if BACKWARD
  grad_offset: u32, grad_batch: u32, grad_query: u32, grad_head: u32,
#endif
}
@group(0) @binding(0) var<storage, read_write> scores: array<f32>; // log2(e) q·k/√dh: [batch-head][key][key_stride]
@group(0) @binding(1) var<storage, read> lengths: array<i32>; // [batches of the strip]
#if WEIGHTS
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [S], [H, S] or [B, L, H, S]
#endif
#if BACKWARD
@group(0) @binding($(2 + WEIGHTS)) var<storage, read_write> grads: array<f32>; // as scores
#endif
#if GRAD_WEIGHTS
@group(0) @binding($(3 + WEIGHTS)) var<storage, read_write> row_grads: array<f32>; // [B, L, H, S]
#endif
#if TILED
// [scale][maximum, sum, and backward sum of p y][row]
@group(0) @binding($(2 + WEIGHTS + BACKWARD + GRAD_WEIGHTS)) var<storage, read_write> stats: array<f32>;
#endif
#if WIDE
// [WINDOW][row]: the sums so far of the last WINDOW keys, where "ring" says.
@group(0) @binding($(2 + WEIGHTS + BACKWARD + GRAD_WEIGHTS)) var<storage, read_write> pending: array<f32>;
#if BACKWARD
@group(0) @binding($(3 + WEIGHTS + BACKWARD + GRAD_WEIGHTS)) var<storage, read_write> pending_grad: array<f32>;
#endif
#endif
@group(0) @binding($(2 + WEIGHTS + BACKWARD + GRAD_WEIGHTS + TILED + WIDE * (1 + BACKWARD))) var<uniform> params: Params;
#include "common/grid.wgsl"
#include "common/nan.wgsl"

// Below every mean of scores: the running maximum before the first segment.
const NOTHING = -1e30;
// The score of a token before the first: a segment that reaches over the edge has a mean below NOTHING, and exp2 of 0.
const NO_TOKEN = -1e35;

#if WIDE
fn ring(key: u32, row: u32) -> u32 {
  return key % $(WINDOW)u * params.rows + row;
}
#endif

struct SegmentRow {
  batch: u32, // of the strip
  head: u32, // of this dispatch
  query: u32, // of the strip
  first: u32, // where the score of first_key is
  end: u32, // keys to scan end here: at the length, at once for a padded query
}

fn segment_row(index: u32) -> SegmentRow {
  let batch_head = index / params.queries;
  let query = index % params.queries;
  let batch = batch_head / params.heads;
  let head = batch_head % params.heads;
  let first = (batch * params.strip_heads + params.first_head + head) * params.keys * params.key_stride + query;
  let length = u32(lengths[batch]);
  let end = select(0u, min(length, params.first_key + params.keys), params.first_query + query < length);
  return SegmentRow(batch, head, query, first, end);
}

#if WEIGHTS
// Where the row's weights begin, one for each scale.
fn first_weight(row: SegmentRow) -> u32 {
  return params.weight_offset + row.batch * params.weight_batch + row.head * params.weight_head +
         row.query * params.weight_query;
}
#endif

#if GRAD_WEIGHTS
// Where the gradients of the row's weights begin.
fn first_weight_grad(row: SegmentRow) -> u32 {
  return params.grad_offset + row.batch * params.grad_batch + row.head * params.grad_head +
         row.query * params.grad_query;
}
#endif
