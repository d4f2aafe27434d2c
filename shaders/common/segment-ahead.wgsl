    // Part of the segment-attention scans: the next n keys (STEPS: so many, then one by one) are read together, so that as
    // many loads are on their way.
#for ahead in 0..n
    let score_$ahead = scores[at + $(ahead)u * params.key_stride];
#if BACKWARD
    let grad_$ahead = grads[at + $(ahead)u * params.key_stride];
#endif
#endfor
