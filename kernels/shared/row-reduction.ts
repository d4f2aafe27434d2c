/** How kernels that reduce over rows (softmax, layer-norm, cross-entropy) spread a matrix over the device. */
import { ceilDiv, foldGrid, type Caps, type Dispatch } from '../plan.ts';

/** Constants of shaders/common/reduce.wgsl. */
export interface RowVariant {
  /** 1: a row per lane; 0: a row per workgroup. */
  ROW_PER_LANE: number;
  /** Lanes of a workgroup. */
  WG: number;
  /** Lanes that add up the slots of the others. */
  FAN: number;
  /** 1: columns are read as vec4f. */
  VEC: number;
}

/** Rows this short would leave most lanes of a workgroup idle. */
const SHORT_ROW = 16;
/** Reads per row from which 256 lanes beat 64. */
const LONG_ROW = 1024;

/**
 * Picks the variant for rows of `n` f32 (pure). A software device runs a lane per row: a barrier costs it 2.3 µs, and
 * small workgroups spread better over its threads. `vectorize` false: the shader reads single columns.
 */
export function chooseRows(n: number, caps: Caps, vectorize = true): RowVariant {
  const VEC = Number(vectorize && n % 4 === 0);
  if (caps.software) return { ROW_PER_LANE: 1, WG: 16, FAN: 1, VEC };
  if (n <= SHORT_ROW) return { ROW_PER_LANE: 1, WG: 64, FAN: 1, VEC };
  return n / (VEC ? 4 : 1) < LONG_ROW
    ? { ROW_PER_LANE: 0, WG: 64, FAN: 8, VEC }
    : { ROW_PER_LANE: 0, WG: 256, FAN: 16, VEC };
}

/** Constants, leading uniforms (rows, columns as read) and grid of a dispatch over `rows` rows of `n` f32. */
export function rowGrid(
  rows: number,
  n: number,
  caps: Caps,
  vectorize = true,
): Pick<Dispatch, 'constants' | 'workgroups'> & { uniforms: [rows: number, columns: number] } {
  const variant = chooseRows(n, caps, vectorize);
  return {
    constants: { ...variant },
    uniforms: [rows, variant.VEC ? n / 4 : n],
    workgroups: foldGrid(variant.ROW_PER_LANE ? ceilDiv(rows, variant.WG) : rows, caps),
  };
}
