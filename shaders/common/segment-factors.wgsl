  // Part of the segment-attention scans, between their sweeps: factor_r = weight_r / (r total_r), and the row's gradients.
  // SLOTS: a scale for each weight, 0 for one longer than the keys. A total is at least 1, the largest segment's own term,
  // or there is no segment and every term below is 0.
#if WEIGHTS
  var weight = first_weight(row);
#endif
#if GRAD_WEIGHTS
  var weight_grad = first_weight_grad(row);
#endif
#for r in SLOTS
#if r
  var factor_$r = 1.0 / ($r.0 * or_nan(max(total_$r, 1.0), total_$r));
#if BACKWARD
  mean_grad_$r *= factor_$r;
#endif
#if WEIGHTS
  factor_$r *= weights[weight];
#endif
#if GRAD_WEIGHTS
  row_grads[weight_grad] = mean_grad_$r;
#endif
#elif GRAD_WEIGHTS
  row_grads[weight_grad] = 0.0;
#endif
#if WEIGHTS
  weight += 1u;
#endif
#if GRAD_WEIGHTS
  weight_grad += 1u;
#endif
#endfor
