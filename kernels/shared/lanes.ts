/** The vector width of kernels that copy, gather or add whole rows (shaders/common/lanes.wgsl). */

/** 4 where every row length, stride and offset (elements) is a multiple of 4, so that vec4 loads stay aligned; else 1. */
export const lanesFor = (...extents: readonly number[]): 1 | 4 =>
  extents.every((extent) => extent % 4 === 0) ? 4 : 1;
