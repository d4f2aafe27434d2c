  // Part of the segment-attention scans, between their sweeps: factor_r = weight_r / (r total_r), and the row's gradients.
  // A total is at least 1, the largest segment's own term, or there is no segment and every term below is 0.
#if WEIGHTS
  var weight = first_weight(row);
#endif
#if GRAD_WEIGHTS
  var weight_grad = first_weight_grad(row);
#endif
#for r in SCALES
  var factor_$r = 1.0 / ($r.0 * max(total_$r, 1.0));
#if BACKWARD
  mean_grad_$r *= factor_$r;
#endif
#if GRAD_WEIGHTS
  row_grads[weight_grad] = mean_grad_$r;
  weight_grad += 1u;
#endif
#if WEIGHTS
  factor_$r *= weights[weight];
  weight += 1u;
#endif
#endfor
