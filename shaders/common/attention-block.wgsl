// Which rows a workgroup of a fused form owns and streams over, and which pairs of them count. KEYS_OWN: own rows are
// keys and the others queries, else the other way round. Keys past the length count for nothing, and with PADDED_QUERIES
// queries past it neither. LENGTHS: length_of(batch). MASK: `tables` from mask_at on, [B, Lq, Lk]; before it the lengths.
const NOTHING = -1e30; // below every score; also the lse of a query that may attend to nothing

fn block_of(group: u32) -> Block {
  let batch_head = group / params.blocks;
  let batch = batch_head / params.heads;
  let head = batch_head % params.heads;
  let columns = head * params.head_size;
  // Before row 0 it wraps, which is past every length.
  let first = group % params.blocks * params.block_rows - $(OWN_SKIP)u;
  var own_rows = params.own_rows;
  var stream_rows = params.stream_rows;
#if LENGTHS
  let length = length_of(batch);
#if KEYS_OWN || PADDED_QUERIES
  own_rows = length;
#endif
#if !KEYS_OWN || PADDED_QUERIES
  stream_rows = length;
#endif
  if (first + $(OWN_SKIP)u >= own_rows) { stream_rows = 0u; } // nothing to do but to write zeros
#endif
  return Block(batch, head, first, batch * params.own_rows * params.hidden + columns, own_rows,
               batch * params.stream_rows * params.hidden + columns, stream_rows);
}

// Which of own rows own .. own + 3 count together with a row of the tile.
fn open_pairs(block: Block, own: u32, row: u32) -> vec4<bool> {
  var open = vec4<bool>();
  if (row < block.stream_rows) {
#for a in 0..4
    if (own + $(a)u < block.own_rows) {
#if MASK && KEYS_OWN
      open[$a] = tables[params.mask_at + (block.batch * params.stream_rows + row) * params.own_rows + own + $(a)u] != 0;
#elif MASK
      open[$a] = tables[params.mask_at + (block.batch * params.own_rows + own + $(a)u) * params.stream_rows + row] != 0;
#else
      open[$a] = true;
#endif
    }
#endfor
  }
  return open;
}
