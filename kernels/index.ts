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
import { adamw } from './adamw.ts';
import { attention } from './attention.ts';
import { binaryCrossEntropy } from './binary-cross-entropy.ts';
import { clipGradNorm } from './clip-grad-norm.ts';
import { columnSumKernel, sum } from './column-sum.ts';
import { concat } from './concat.ts';
import { contextAttention } from './context-attention.ts';
import { crossEntropy } from './cross-entropy.ts';
import { dropout } from './dropout.ts';
import { add, mul, scale } from './elementwise.ts';
import { embedding } from './embedding.ts';
import { gaussianKl } from './gaussian-kl.ts';
import { graphAdjacency } from './graph-adjacency.ts';
import { graphConvolution } from './graph-convolution.ts';
import { layerNorm } from './layer-norm.ts';
import { gru } from './gru.ts';
import { linear } from './linear.ts';
import { lstm } from './lstm.ts';
import { rangeMaxPool } from './range-max-pool.ts';
import { slidingAveragePool } from './sliding-average-pool.ts';
import { segmentAttention } from './segment-attention.ts';
import { softmax } from './softmax.ts';
import { spanEnumerate } from './span-enumerate.ts';
import { spanRepresentation } from './span-representation.ts';
import { spanScore } from './span-score.ts';
import { split } from './split.ts';
import { visibilityAttention } from './visibility-attention.ts';
import { weightedSum } from './weighted-sum.ts';

export const kernels: Readonly<Record<string, Kernel>> = Object.fromEntries(
  [
    adamw,
    add,
    attention,
    binaryCrossEntropy,
    clipGradNorm,
    columnSumKernel,
    concat,
    contextAttention,
    crossEntropy,
    dropout,
    embedding,
    gaussianKl,
    graphAdjacency,
    graphConvolution,
    gru,
    layerNorm,
    linear,
    lstm,
    mul,
    rangeMaxPool,
    scale,
    segmentAttention,
    slidingAveragePool,
    softmax,
    spanEnumerate,
    spanRepresentation,
    spanScore,
    split,
    sum,
    visibilityAttention,
    weightedSum,
  ].map((kernel) => [kernel.name, kernel]),
);

/** The kernel of that name. Errors: InputError that lists the names. */
export function kernelNamed(name: string): Kernel {
  const kernel = Object.hasOwn(kernels, name) ? kernels[name] : undefined;
  if (!kernel)
    throw new InputError(`there is no kernel "${name}" (there are: ${Object.keys(kernels).join(', ')})`);
  return kernel;
}
