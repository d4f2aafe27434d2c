// What one invocation moves at a time: a vec4 where all rows and offsets are whole vec4s (LANES = 4), else one element.
// kernels/shared/lanes.ts chooses; lanes() is zero in both.
#if LANES == 4
alias lanes = vec4f;
alias int_lanes = vec4i;
#else
alias lanes = f32;
alias int_lanes = i32;
#endif
