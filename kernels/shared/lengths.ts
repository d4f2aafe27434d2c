/** The input `lengths` i32[B] of kernels over padded rows, checked. */
import { InputError } from '../errors.ts';
import { expectShape, hostOf, shapeOf, type PlanRequest } from '../plan.ts';

/** Fails, naming the row, on a length that is negative or over `longest` (where that is finite). */
export function checkLengths(kernel: string, lengths: ArrayLike<number>, longest = Infinity): void {
  const allowed = longest === Infinity ? 'not 0 or more' : `not in 0..${longest}`;
  for (let row = 0; row < lengths.length; row++)
    if (lengths[row] < 0 || lengths[row] > longest)
      throw new InputError(`${kernel}: lengths row ${row} is ${lengths[row]}, ${allowed}`);
}

/**
 * The valid leading tokens of each of `rows` rows of at most `longest`.
 * @throws InputError where they are missing, of another shape than [rows], or not in 0..longest (it names the row)
 */
export function lengthsOf(kernel: string, request: PlanRequest, rows: number, longest: number): Int32Array {
  expectShape(kernel, 'lengths', shapeOf(kernel, request, 'lengths'), [rows]);
  const lengths = hostOf(kernel, request, 'lengths');
  checkLengths(kernel, lengths, longest);
  return lengths;
}
