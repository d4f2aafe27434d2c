// What the fused forms that own keys multiply and sum: rows of k and v with those of q and grad_out, tile by tile.
fn own_0(at: u32) -> lanes { return k[at]; }
fn stream_0(at: u32) -> lanes { return q[at]; }
fn own_1(at: u32) -> lanes { return v[at]; }
fn stream_1(at: u32) -> lanes { return grad_out[at]; }
#if GRAD_V
fn value_0(at: u32) -> lanes { return grad_out[at]; }
fn store_0(at: u32, x: lanes) { grad_v[at] = x; }
#endif
#if GRAD_K
fn value_$(GRAD_V)(at: u32) -> lanes { return q[at]; }
fn store_$(GRAD_V)(at: u32, x: lanes) { grad_k[at] = x; }
#endif
