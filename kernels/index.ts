/** Every kernel by name: plans as plain data, for any WebGPU runtime. */
export * from './plan.ts';
export {
  backwardRequest,
  visibleOutputs,
  type BackwardRequest,
  type ForwardRun,
} from './backward-request.ts';
export * from './errors.ts';
export { wgslOf } from './wgsl.ts';
export { ShaderFiles } from './manifest/dispatch.ts';
export { exportKernel, exportPlan, type Exported, type PartOptions } from './manifest/export.ts';
export type * from './manifest/types.ts';
import { InputError } from './errors.ts';
import type { Kernel } from './plan.ts';
import * as all from './all.ts';

/** Every kernel by its name. */
export const kernels: Readonly<Record<string, Kernel>> = /* @__PURE__ */ Object.fromEntries(
  /* @__PURE__ */ Object.values(all).map((kernel) => [kernel.name, kernel]),
);

/** The kernel of that name. Errors: InputError that lists the names. */
export function kernelNamed(name: string): Kernel {
  const kernel = Object.hasOwn(kernels, name) ? kernels[name] : undefined;
  if (!kernel)
    throw new InputError(`there is no kernel "${name}" (there are: ${Object.keys(kernels).join(', ')})`);
  return kernel;
}
