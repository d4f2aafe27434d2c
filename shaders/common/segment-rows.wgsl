// Shared by the segment-attention scans: which row an invocation owns, and what counts there.

// Below every mean of scores: the running maximum before the first segment.
const NOTHING = -1e30;
// The score of a token before the first: a segment that reaches over the edge has a mean below NOTHING, and exp2 of 0.
const NO_TOKEN = -1e35;

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
