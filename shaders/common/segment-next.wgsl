      // Part of the segment-attention scans: on to the next key.
#for i in 1..WINDOW
      past_$(WINDOW - i) = past_$(WINDOW - i - 1);
#if BACKWARD
      past_grad_$(WINDOW - i) = past_grad_$(WINDOW - i - 1);
#endif
#endfor
      at += params.key_stride;
      key += 1u;
