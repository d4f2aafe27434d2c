/** What operations on two tensors of one shape are tested with. */
import test from 'tape';
import { defaultCaps, InputError, kernelNamed } from '../../kernels/index.ts';
import { random, testKernel } from './harness.ts';

/** Shapes of elements, one a lane. */
export const shapes = [[0], [], [1], [7], [63], [64], [65], [3, 5, 11]];

export function testBinary(name: string): void {
  testKernel(
    name,
    shapes.map((shape) => ({ name: `[${shape}]`, inputs: { a: random(shape), b: random(shape) } })),
  );

  test(`${name} refuses what does not fit`, (t) => {
    const plan = (shapes: Record<string, number[]>) =>
      kernelNamed(name).plan({ shapes, params: {}, caps: defaultCaps, host: {} });
    t.throws(() => plan({ a: [2, 3], b: [3, 2] }), InputError);
    t.throws(() => plan({ a: [2, 3], b: [6] }), /input "b" must have shape \[2,3\], got \[6\]/);
    t.throws(() => plan({ a: [2] }), /input "b" is missing/);
    t.end();
  });
}
