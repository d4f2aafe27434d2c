  // Part of a fused form, after its loop over tiles: row by row of its own, the sums of the lanes that shared the rows of
  // tiles are added up in the order of these lanes, and the first of them stores, by store_k, times factor_k.
  let begin = block.first + $(OWN_SKIP)u;
  for (var a = 0u; a < 4u; a += 1u) {
    let at = block.own + (own + a) * params.hidden;
    // Rows past a length too: they are 0, also where what they would be the sum of is NaN.
    let stores = split == 0u && own + a < params.own_rows && own + a - begin < params.block_rows;
#for k in SUMS
#for j in 0..VECS
    let low_$(k)_$j = select(sum_$(k)_$(j)_0, sum_$(k)_$(j)_1, a == 1u);
    var x_$(k)_$j = select(low_$(k)_$j, select(sum_$(k)_$(j)_2, sum_$(k)_$(j)_3, a == 3u), a >= 2u);
    if (splits > 1u) {
      workgroupBarrier();
      put_0(lane, x_$(k)_$j);
      workgroupBarrier();
      if (split == 0u) {
        for (var i = params.dim_lanes; i < STREAM; i += params.dim_lanes) { x_$(k)_$j += get_0(lane + i); }
      }
    }
    if (stores && tx + $(j)u * params.dim_lanes < params.width) {
      x_$(k)_$j = select(vec4f(), x_$(k)_$j * factor_$k[a], own + a < block.own_rows);
#if LANES == 4
      store_$k(at / 4u + column_$j, x_$(k)_$j);
#else
      for (var i = 0u; i < min(4u, params.head_size - 4u * column_$j); i += 1u) {
        store_$k(at + 4u * column_$j + i, x_$(k)_$j[i]);
      }
#endif
    }
#endfor
#endfor
  }
