// What one invocation moves at a time: a vec4f where all rows and offsets are whole vec4s (LANES = 4), else one f32.
// kernels/lanes.ts chooses; lanes() is zero in both.
#if LANES == 4
alias lanes = vec4f;
#else
alias lanes = f32;
#endif
