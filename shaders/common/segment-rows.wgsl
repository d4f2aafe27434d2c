// Shared by the segment-attention scans: which rows an invocation owns, and what counts there.

// Below every mean of scores: the running maximum before the first segment.
const NOTHING = -1e30;
// The score of a token before the first: a segment that reaches over the edge has a mean below NOTHING, and exp2 of 0.
const NO_TOKEN = -1e35;

struct SegmentRow {
  batch: u32,
  head: u32, // of this dispatch
  query: u32, // first of LANES, counted in the strip
  first: u32, // where the scores with key 0 are
  end: u32, // keys to scan: the length, 0 where all queries are padding
}

fn segment_row(index: u32) -> SegmentRow {
  let batch_head = index / params.blocks;
  let block = index % params.blocks;
  let batch = batch_head / params.heads;
  let head = batch_head % params.heads;
  let first = (batch * params.strip_heads + params.first_head + head) * params.keys * params.key_stride + block;
  let query = block * $(LANES)u;
  let length = u32(lengths[batch]);
  return SegmentRow(batch, head, query, first, select(0u, length, params.first_query + query < length));
}

// Which of the row's queries are not padding.
#if LANES == 4
fn live_queries(row: SegmentRow) -> vec4<bool> {
  return vec4u(params.first_query + row.query) + vec4u(0u, 1u, 2u, 3u) < vec4u(row.end);
}
#else
fn live_queries(row: SegmentRow) -> bool { return row.end > 0u; }
#endif

#if WEIGHTS
// Where the weights of the row's query `i` begin; queries past the strip's last read that one's.
fn weight_index(row: SegmentRow, i: u32) -> u32 {
  return params.weight_offset + row.batch * params.weight_batch + row.head * params.weight_head +
         min(row.query + i, params.queries - 1u) * params.weight_query;
}

// The row's weights of the scale at position `scale`.
fn load_weights(row: SegmentRow, scale: u32) -> lanes {
#if LANES == 4
  return lanes(weights[weight_index(row, 0u) + scale], weights[weight_index(row, 1u) + scale],
               weights[weight_index(row, 2u) + scale], weights[weight_index(row, 3u) + scale]);
#else
  return weights[weight_index(row, 0u) + scale];
#endif
}
#endif

#if GRAD_WEIGHTS
// Writes the gradients of the row's weights of the scale at position `scale`.
fn store_row_grads(row: SegmentRow, scale: u32, value: lanes) {
  var at = params.grad_offset + row.batch * params.grad_batch + row.head * params.grad_head +
           row.query * params.grad_query + scale;
#if LANES == 4
  for (var i = 0u; i < min(4u, params.queries - row.query); i += 1u) {
    row_grads[at] = value[i];
    at += params.grad_query;
  }
#else
  row_grads[at] = value;
#endif
}
#endif
