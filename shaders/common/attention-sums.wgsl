    // Part of a fused form, in its loop over tiles: sum k gets tile k, its rows from SKIP on and up to the same from the
    // other end, times the rows of value k. Rows go several at a time (STEPS), so that as many loads are on their way.
    {
      let end = min(STREAM - $(SKIP)u, block.stream_rows - first);
      var s = $(SKIP)u + split;
#for n in STEPS
      for (; s + $(n - 1)u * splits < end; s += $(n)u * splits) {
#for i in 0..n
        let row_$i = s + $(i)u * splits;
        let at_$i = block.stream + (first + row_$i) * params.hidden;
#for k in SUMS
        let w_$(k)_$i = get_$k(row_$i * QUADS + ty);
#for j in 0..VECS
        let x_$(k)_$(j)_$i = value_vec_$k(at_$i, column_$j);
#endfor
#endfor
#endfor
#for i in 0..n
#for k in SUMS
#for j in 0..VECS
#for a in 0..4
        sum_$(k)_$(j)_$a = fma(vec4f(w_$(k)_$i[$a]), x_$(k)_$(j)_$i, sum_$(k)_$(j)_$a);
#endfor
#endfor
#endfor
#endfor
      }
#endfor
    }
