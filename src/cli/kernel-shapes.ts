/** `--shapes` of the commands that plan a kernel: shapes of float inputs, values of integer inputs. */
import { InputError } from '../../kernels/errors.ts';
import { defaultCaps, expectSize, type Caps, type Kernel, type Shape } from '../../kernels/plan.ts';
import { inputPort } from '../ops/run-kernel.ts';

export interface GivenInputs {
  shapes: Record<string, Shape>;
  host: Record<string, Int32Array>;
}

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/** Shape and elements of nested lists of 32-bit integers; undefined where they are ragged or hold anything else. */
function nestedIntegers(value: unknown): { shape: number[]; data: number[] } | undefined {
  if (typeof value === 'number') return (value | 0) === value ? { shape: [], data: [value] } : undefined;
  if (!Array.isArray(value)) return undefined;
  const items = value.map(nestedIntegers);
  const inner = items[0]?.shape ?? [];
  if (items.some((item) => item?.shape.join() !== inner.join())) return undefined;
  return { shape: [items.length, ...inner], data: items.flatMap((item) => item?.data ?? []) };
}

/**
 * `--shapes`: the shape of each float input, the values of each integer input.
 * @throws InputError naming the input, also one that is larger than a device of these capabilities binds
 */
export function parseShapes(
  kernel: Kernel,
  given: Record<string, unknown>,
  caps: Caps = defaultCaps,
): GivenInputs {
  const shapes: Record<string, Shape> = {};
  const host: Record<string, Int32Array> = {};
  for (const [name, value] of Object.entries(given)) {
    if (inputPort(kernel, name, '--shapes').host) {
      const integers = nestedIntegers(value);
      if (!integers)
        throw new InputError(
          `--shapes: "${name}" takes its integers of 32 bits, e.g. [3,2], got ${JSON.stringify(value)}`,
        );
      shapes[name] = integers.shape;
      host[name] = Int32Array.from(integers.data);
    } else if (isCounts(value)) shapes[name] = value;
    else throw new InputError(`--shapes: "${name}" takes a shape, e.g. [2,8], got ${JSON.stringify(value)}`);
  }
  for (const [name, shape] of Object.entries(shapes))
    expectSize('--shapes', name, shape, caps.maxStorageBufferBindingSize / 4);
  return { shapes, host };
}
