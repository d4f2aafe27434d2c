/** The passes that `bench gate --time` times: the cases of `bench kernels`, forward and backward. */
import { visibleOutputs } from '../kernels/backward-request.ts';
import { kernels } from '../kernels/index.ts';
import { defaultCaps } from '../kernels/plan.ts';
import type { TimedPass } from './gate.time.ts';
import { randomValues } from './harness.ts';
import { kernelCases, type KernelCase } from './kernels.cases.ts';

function passesOf({ kernel: name, shape, inputs, params = {} }: KernelCase): TimedPass[] {
  const kernel = kernels[name];
  const given = Object.entries(inputs()).map(([input, { shape: of, data }]) => {
    return [input, { shape: of, data: data instanceof Int32Array ? data : Float32Array.from(data) }] as const;
  });
  const { outputs } = kernel.plan({
    shapes: Object.fromEntries(given.map(([input, { shape: of }]) => [input, of])),
    host: Object.fromEntries(
      given.flatMap(([input, { data }]) => (data instanceof Int32Array ? [[input, data]] : [])),
    ),
    ...{ params, caps: defaultCaps },
  });
  const gradients = Object.fromEntries(
    visibleOutputs(kernel, outputs).map((output) => [output, randomValues(outputs[output].shape, 1)]),
  );
  const one = { kernel: name, inputs: Object.fromEntries(given), params, gradients };
  return (kernel.backward ? (['forward', 'backward'] as const) : (['forward'] as const)).map((pass) => ({
    ...{ ...one, name: `${name} ${shape}, ${pass}`, pass },
  }));
}

/** The passes of the kernels named; of all where none is. */
export const timedPasses = (names: ReadonlySet<string>): TimedPass[] =>
  kernelCases.filter(({ kernel }) => names.has(kernel)).flatMap(passesOf);
