    // Part of the segment-attention scans, first sweep: a NaN among the next n scores is one of their sum, and told there
    // once for all scales and keys.
    let among_0 = score_0;
#for ahead in 1..n
    let among_$ahead = among_$(ahead - 1) + score_$ahead;
#endfor
    nan = or_nan(nan, among_$(n - 1));
