  // Part of a fused form, before its loop over tiles: which block, which lane of it, and its sums.
  let group = group_index(group_id, grid);
  if (group >= params.groups) { return; }
  let block = block_of(group);
  let ty = lane / STREAM;
  let tx = lane % STREAM;
  let own = block.first + 4u * ty; // the first of the lane's own rows
  let split = tx / params.dim_lanes;
  let splits = STREAM / params.dim_lanes;
#for j in 0..VECS
  let column_$j = min(tx % params.dim_lanes + $(j)u * params.dim_lanes, params.width - 1u);
#endfor
#for k in SUMS
#for j in 0..VECS
#for a in 0..4
  var sum_$(k)_$(j)_$a = vec4f();
#endfor
#endfor
#endfor
