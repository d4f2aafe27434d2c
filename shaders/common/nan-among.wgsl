    // Part of the scans over scores of attention and segment-attention, first sweep: a NaN among the n scores loaded is one
    // of their sum, where `nan` takes it from: once for all of them and all scales.
    let among_0 = score_0;
#for ahead in 1..n
    let among_$ahead = among_$(ahead - 1) + score_$ahead;
#endfor
    nan = or_nan(nan, among_$(n - 1));
