/** What a convention is made of: terms, and what a dispatch is specialised with. */
import type { Dispatch } from '../../../kernels/plan.ts';

/** What is executed beyond the formulas. */
export interface Beyond {
  macs?: number;
  /** Those that are no multiply-adds; `flops` has two more for each of `macs`. */
  others?: number;
  bytesRead?: number;
  bytesWritten?: number;
}

export const constant = ({ constants }: Dispatch, name: string): number => Number(constants[name] ?? 0);
export const uniform = ({ uniforms }: Dispatch, i: number): number => {
  const value = uniforms[i];
  return typeof value === 'number' ? value : value.f32;
};

export const list = ({ constants }: Dispatch, name: string): readonly number[] =>
  constants[name] as readonly number[];

/** From all that is executed: multiply-adds, and other operations. */
export const beyondOf = ({ macs, flops }: Dispatch, all: { macs: number; others: number }): Beyond => ({
  macs: all.macs - macs,
  others: all.others - (flops - 2 * macs),
});
