      // Part of the segment-attention scans, for one key: sum_r is the segment of r tokens that ends there.
      let past_0 = score_$ahead;
      let sum_1 = past_0;
#for m in 1..WINDOW
      let sum_$(m + 1) = sum_$m + past_$m;
#endfor
#if BACKWARD
      let past_grad_0 = grad_$ahead;
      let sum_grad_1 = past_grad_0;
#for m in 1..WINDOW
      let sum_grad_$(m + 1) = sum_grad_$m + past_grad_$m;
#endfor
#endif
