/** The parameter `scales` of the kernels over segments. */
import { InputError } from '../errors.ts';
import type { Params } from '../plan.ts';

/** `scales`: lengths of segments in tokens, distinct, at least 1, in any order. Errors: InputError names the value. */
export function scalesParam(kernel: string, params: Params): number[] {
  const scales = params.scales;
  const valid =
    Array.isArray(scales) &&
    scales.length > 0 &&
    scales.every((r) => Number.isInteger(r) && r > 0) &&
    new Set(scales).size === scales.length;
  if (!valid)
    throw new InputError(
      `${kernel}: parameter "scales" must be distinct positive integers, got ${JSON.stringify(scales)}`,
    );
  return scales as number[];
}
