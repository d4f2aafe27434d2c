    // Part of the fused segment forms: what the query of a lane's row of the tile has of every scale: the log-sum-exp of its
    // means, its weight / r, and backward the sum of p y. SLOTS: a scale for each weight, 0 for one longer than the keys.
    // PER_SCALE: a head has one scale. Past the length all is 0.
    let row_at = (block.batch * params.heads + block.head) * tokens + query;
    let grad_at = ((block.batch * tokens + query) * params.heads + block.head) * $(STATS)u;
#if !PER_SCALE
    let weight_at = block.batch * params.weight_batch + block.head * params.weight_head + query * params.weight_query;
#endif
    var slot = 0u;
#for r in SLOTS
#if r
    var lse_$r = 0.0;
    var factor_$r = 0.0;
    var mean_grad_$r = 0.0;
#if PER_SCALE
    if (query < length && block.head / params.set_heads == slot) {
      factor_$r = 1.0 / $r.0;
#else
    if (query < length) {
      factor_$r = weights[weight_at + slot] / $r.0;
#endif
#if PER_SCALE
      lse_$r = stats[params.lse_at + row_at];
#else
      lse_$r = stats[params.lse_at + slot * params.rows + row_at];
#endif
#if BACKWARD && PER_SCALE
      mean_grad_$r = stats[grad_at];
#elif BACKWARD
      mean_grad_$r = stats[grad_at + slot];
#endif
    }
#endif
    slot += 1u;
#endfor
