    // Part of the fused segment forms, after segment-ends and segment-row: tile C becomes C and tile D dS, in place. Each
    // lane makes what the segments that end at its four keys give to these and to HALO keys before them; then fours of keys
    // are added to the tile, one four of every lane after the other, so that no two lanes meet and every sum has one order.
#for i in 0..4 * PREV + 4
    var c_$i = 0.0;
    var d_$i = 0.0;
#endfor
#for u in 0..4
    {
      let sum_1 = s_$(4 * PREV + u);
      let sum_grad_1 = z_$(4 * PREV + u);
#for m in 1..WINDOW
      let sum_$(m + 1) = sum_$m + s_$(4 * PREV + u - m);
      let sum_grad_$(m + 1) = sum_grad_$m + z_$(4 * PREV + u - m);
#endfor
      // From the farthest key to this one: the segments of more than k tokens cover the key that is k back.
      var carry = 0.0;
      var carry_grad = 0.0;
#for n in 0..WINDOW
#for r in SCALES
#if r == WINDOW - n
#if PER_SCALE
      if (factor_$r != 0.0) {
#else
      {
#endif
        let below = sum_$r * (1.0 / $r.0) - lse_$r;
        let p = factor_$r * or_nan(exp2(below), below);
        carry += p;
#if BACKWARD
        carry_grad = fma(p, sum_grad_$r * (1.0 / $r.0) - mean_grad_$r, carry_grad);
#endif
      }
#endif
#endfor
      c_$(4 * PREV + u - WINDOW + 1 + n) += carry;
      d_$(4 * PREV + u - WINDOW + 1 + n) += carry_grad;
#endfor
    }
#endfor
#for n in 0..PREV + 1
    workgroupBarrier(); // the scores are read; the fours before are added
    if (chunk >= $(n)u) {
#if ELEMENTS
#for i in 0..4
      let at_$i = (4u * (chunk - $(n)u) + $(i)u) * OWN + row;
#if GIVES_C
      tile_0[at_$i] = c_$(4 * (PREV - n) + i) + select(0.0, tile_0[at_$i], $(n)u > 0u);
#else
      tile_0[at_$i] = d_$(4 * (PREV - n) + i) + select(0.0, tile_0[at_$i], $(n)u > 0u);
#endif
#endfor
#else
      let at = row * QUADS + chunk - $(n)u;
#for t in 0..GIVES_C + GIVES_D
#if t < GIVES_C
      let four_$t = vec4f(c_$(4 * (PREV - n)), c_$(4 * (PREV - n) + 1), c_$(4 * (PREV - n) + 2), c_$(4 * (PREV - n) + 3));
#else
      let four_$t = vec4f(d_$(4 * (PREV - n)), d_$(4 * (PREV - n) + 1), d_$(4 * (PREV - n) + 2), d_$(4 * (PREV - n) + 3));
#endif
      tile_$t[at] = four_$t + select(vec4f(), tile_$t[at], $(n)u > 0u);
#endfor
#endif
    }
#endfor
    workgroupBarrier();
