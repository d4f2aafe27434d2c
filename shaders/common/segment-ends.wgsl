    // Part of the fused segment forms: a lane has one query of the tile and the segments of every scale that end at four
    // keys of it. s_i (backward z_i): the scores (mean's gradients) of key 4 chunk + i - 4 PREV, as far as they reach back.
#for i in 4 * PREV - HALO..4 * PREV + 4
    var s_$i = NO_TOKEN;
    var z_$i = 0.0;
    if (4u * chunk + $(i)u >= $(4 * PREV)u) {
#if ELEMENTS
      let at = (4u * chunk + $(i)u - $(4 * PREV)u) * OWN + row;
      s_$i = tile_0[at];
#if BACKWARD
      z_$i = tile_1[at];
#endif
#else
      let at = row * QUADS + chunk + $(i / 4)u - $(PREV)u;
      s_$i = tile_0[at][$(i % 4)];
#if BACKWARD
      z_$i = tile_1[at][$(i % 4)];
#endif
#endif
    }
#endfor
