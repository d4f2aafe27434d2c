/** Compositions of kernels as data: one description gives the run, its exact cost and its memory. */
import { sizeOf, type Caps, type Kernel, type Params, type Plan, type PlanRequest } from '../kernels/plan.ts';
import type { Shape } from '../kernels/plan.ts';
import type { Runtime, Tensor } from '../src/node.ts';
import type { HostInts } from '../src/ops/apply.ts';

/** One kernel; `inputs` and `outputs` go from its ports to the composition's names. An output without one is dropped. */
export interface Step {
  kernel: Kernel;
  inputs: Readonly<Record<string, string>>;
  outputs: Readonly<Record<string, string>>;
  params?: Params;
  host?: Readonly<Record<string, HostInts>>;
  /** Plans in place of the kernel, in another form. */
  plan?: (request: PlanRequest) => Plan;
}

export interface Composition {
  steps: readonly Step[];
  /** Names of what is asked for; all else that steps make goes as soon as no later step reads it. */
  results: readonly string[];
}

export interface Cost {
  macs: number;
  flops: number;
  /** Read and written. */
  bytes: number;
  /** The most that is held at once beside inputs and results: tensors between the steps, and scratch. */
  scratchBytes: number;
}

type Shapes = Readonly<Record<string, Shape>>;
const bytesOf = (shape: Shape): number => 4 * sizeOf(shape);

function planOf(step: Step, shapes: Shapes, caps: Caps): Plan {
  const own: Record<string, Shape> = {};
  for (const [port, name] of Object.entries(step.inputs)) own[port] = shapes[name];
  const host: Record<string, Int32Array> = {};
  for (const [port, { data, shape }] of Object.entries(step.host ?? {})) {
    own[port] = shape;
    host[port] = data;
  }
  const request = { shapes: own, params: step.params ?? {}, caps, host, wanted: Object.keys(step.outputs) };
  return (step.plan ?? ((r) => step.kernel.plan(r)))(request);
}

/** The names that no step after number `at` reads, of those that steps up to it made, results left out. */
function finished({ steps, results }: Composition, at: number): string[] {
  const needed = new Set([...results, ...steps.slice(at + 1).flatMap((step) => Object.values(step.inputs))]);
  return Object.values(steps[at].inputs)
    .concat(Object.values(steps[at].outputs))
    .filter((name) => !needed.has(name));
}

/** Records all steps. @returns the results by name, which the caller releases */
export function runComposition(
  runtime: Runtime,
  composition: Composition,
  inputs: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = { ...inputs };
  composition.steps.forEach((step, at) => {
    const shapes = Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
    const given = Object.entries(step.inputs).map(([port, name]) => [port, tensors[name]]);
    const made = runtime.run(planOf(step, shapes, runtime.caps), Object.fromEntries(given));
    for (const [port, tensor] of Object.entries(made))
      if (port in step.outputs) tensors[step.outputs[port]] = tensor;
      else tensor.release();
    for (const name of finished(composition, at))
      if (!(name in inputs)) {
        tensors[name]?.release();
        delete tensors[name];
      }
  });
  return Object.fromEntries(composition.results.map((name) => [name, tensors[name]]));
}

/** The cost of the plans that `runComposition` would run, and the shapes of all that they make. Touches no device. */
export function costOf(composition: Composition, inputs: Shapes, caps: Caps): Cost & { shapes: Shapes } {
  const shapes: Record<string, Shape> = { ...inputs };
  const held = new Map<string, number>();
  const cost = { macs: 0, flops: 0, bytes: 0, scratchBytes: 0 };
  composition.steps.forEach((step, at) => {
    const plan = planOf(step, shapes, caps);
    for (const dispatch of plan.dispatches) {
      cost.macs += dispatch.macs;
      cost.flops += dispatch.flops;
      cost.bytes += dispatch.bytesRead + dispatch.bytesWritten;
    }
    let now = Object.values(plan.scratch).reduce((sum, { shape }) => sum + bytesOf(shape), 0);
    for (const [port, { shape }] of Object.entries(plan.outputs)) {
      const name = step.outputs[port];
      if (name !== undefined) shapes[name] = shape;
      if (name === undefined) now += bytesOf(shape);
      else if (!composition.results.includes(name)) held.set(name, bytesOf(shape));
    }
    for (const bytes of held.values()) now += bytes;
    cost.scratchBytes = Math.max(cost.scratchBytes, now);
    for (const name of finished(composition, at)) held.delete(name);
  });
  return { ...cost, shapes };
}
