    // Part of the fused segment forms, in their loop over tiles: the scores of a tile and backward the gradients of its
    // means go to workgroup memory, what is no pair as nothing.
    let open = open_pairs(block, own, first + tx);
    let score = product_0(block, first, lane) * params.scale;
    put_0(tx * QUADS + ty, select(vec4f(NO_TOKEN), score, open));
#if BACKWARD
    put_1(tx * QUADS + ty, select(vec4f(), product_1(block, first, lane), open));
#endif
    workgroupBarrier();
