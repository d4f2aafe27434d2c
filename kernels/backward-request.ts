/** What a kernel's backward is run with, from a run of its forward: by the names of ports, on whatever stands for tensors. */
import { SpanwiseError } from './errors.ts';
import { portOf, type Kernel, type Params } from './plan.ts';

/** A run of a forward kernel. `T` stands for a device tensor, `H` for a host input: tensors, shapes, host values. */
export interface ForwardRun<T, H> {
  inputs: Readonly<Record<string, T>>;
  host: Readonly<Record<string, H>>;
  /** Saved ones too. */
  outputs: Readonly<Record<string, T>>;
  params: Params;
}

/** A run of a backward kernel. */
export interface BackwardRequest<T, H> {
  kernel: Kernel;
  inputs: Record<string, T>;
  host: Record<string, H>;
  params: Params;
  /** The gradients to make, `grad_<input>`. */
  wanted: string[];
}

/** The entries of `all` that `keep` keeps by name. */
function pick<T>(all: Readonly<Record<string, T>>, keep: (name: string) => boolean): Record<string, T> {
  const picked: Record<string, T> = {};
  for (const name in all) if (keep(name)) picked[name] = all[name];
  return picked;
}

/** The outputs that a caller sees: not those kept for the backward kernel alone. */
export const visibleOutputs = (kernel: Kernel, outputs: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(outputs).filter((name) => !portOf(kernel.outputs, name)?.saved);

/**
 * The request for the gradients of the inputs named in `of`: those inputs, outputs, host values and parameters of the
 * run that the backward kernel has ports for, repeated ones too (`x0` for x2, `out.<r>` for out.3).
 * @param upstream the gradient of an output; asked only for visible outputs whose gradient the backward takes
 * @throws SpanwiseError for a kernel without a backward, or whose backward gives no gradient of such an input
 */
export function backwardRequest<T, H>(
  kernel: Kernel,
  run: ForwardRun<T, H>,
  upstream: (output: string) => T,
  of: readonly string[],
): BackwardRequest<T, H> {
  const { backward } = kernel;
  if (!backward) throw new SpanwiseError(`${kernel.name}: has no backward`);
  const takes = (name: string): boolean => portOf(backward.inputs, name) !== undefined;
  const inputs = pick({ ...run.inputs, ...run.outputs }, takes);
  for (const output of visibleOutputs(kernel, run.outputs))
    if (takes(`grad_${output}`)) inputs[`grad_${output}`] = upstream(output);
  for (const name of of)
    if (!portOf(backward.outputs, `grad_${name}`))
      throw new SpanwiseError(`${kernel.name}: its backward gives no gradient of "${name}"`);
  return {
    kernel: backward,
    inputs,
    host: pick(run.host, takes),
    params: pick(run.params, (name) => backward.params.some((param) => param.name === name)),
    wanted: of.map((name) => `grad_${name}`),
  };
}
