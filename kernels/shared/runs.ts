/** Kernels over runs of a tensor's elements, one dispatch for all of them (shaders/common/runs.wgsl). */
import { ceilDiv, type Uniform } from '../plan.ts';

/** Lanes of a workgroup. */
export const LANES = 64;

const oneFloat = new Float32Array(1);
const itsBits = new Int32Array(oneFloat.buffer);

/** A float32 as an integer of the same bits. */
export function bitsOf(value: number): number {
  oneFloat[0] = value;
  return itsBits[0];
}

/** Elements in a row, and what else the shader's `Run` holds of them. */
export interface Run {
  first: number;
  size: number;
  more: readonly Uniform[];
}

/**
 * The table of runs, rows of (first workgroup, first element, size, more…), each run on workgroups of its own.
 * @param perGroup elements of a workgroup
 */
export function runTable(
  runs: readonly Run[],
  perGroup: number,
): { data: Int32Array; count: number; groups: number } {
  const some = runs.filter(({ size }) => size > 0);
  const width = 3 + (some[0]?.more.length ?? 0);
  const data = new Int32Array(width * some.length);
  let groups = 0;
  some.forEach(({ first, size, more }, row) => {
    data.set([groups, first, size], width * row);
    more.forEach((value, i) => {
      data[width * row + 3 + i] = typeof value === 'number' ? value : bitsOf(value.f32);
    });
    groups += ceilDiv(size, perGroup);
  });
  return { data, count: some.length, groups };
}
