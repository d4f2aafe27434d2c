/** Inputs, outputs and gradients for a manifest, by the float64 references: what a runner is checked with. */
import { SpanwiseError } from '../errors.ts';
import { comparison, VECTORS, type Manifest, type ManifestPart } from '../manifest/types.ts';
import type { Kernel } from '../plan.ts';
import { randomTensors, type ReferenceCase } from './cases.ts';
import { references } from './index.ts';
import type { RefTensor, RefTensors } from './types.ts';

export interface Vector {
  shape: readonly number[];
  dtype: 'f32' | 'i32';
  data: Float32Array | Int32Array;
}

/**
 * Fills in where the values of a manifest's inputs, and the expected ones of its outputs, are in a file of vectors.
 * Upstream gradients are random in [-1, 1).
 * @returns the tensors of that file
 * @throws SpanwiseError for a kernel that has no reference
 */
export function addVectors(
  manifest: Manifest,
  kernel: Kernel,
  { inputs, params }: ReferenceCase,
): Map<string, Vector> {
  const reference = Object.hasOwn(references, kernel.name) ? references[kernel.name] : undefined;
  if (!reference) throw new SpanwiseError(`${kernel.name}: there is no reference to make vectors with`);
  const vectors = new Map<string, Vector>();
  const add = (key: string, { shape, data }: RefTensor) => {
    const whole = data instanceof Int32Array;
    vectors.set(key, {
      shape,
      ...(whole ? { dtype: 'i32', data } : { dtype: 'f32', data: Float32Array.from(data) }),
    });
    return { file: VECTORS, tensor: key };
  };
  const expect = (part: ManifestPart, expected: RefTensors): void => {
    for (const output of part.outputs)
      if (!output.saved) output.expected = add(`${part.name}.outputs.${output.name}`, expected[output.name]);
  };
  const [forward, backward] = manifest.parts as [ManifestPart, ManifestPart?];
  for (const input of forward.inputs) input.values = add(`forward.inputs.${input.name}`, inputs[input.name]);
  const outputs = reference.forward(inputs, params);
  expect(forward, outputs);
  if (backward) {
    const random = randomTensors(2);
    const grads: RefTensors = {};
    for (const [name, { shape, data }] of Object.entries(outputs))
      if (!(data instanceof Int32Array)) grads[`grad_${name}`] = random(...shape);
    for (const input of backward.inputs)
      if (input.from?.as === 'gradient')
        input.values = add(`backward.inputs.${input.name}`, grads[`grad_${input.from.name}`]);
    expect(backward, reference.backward?.(inputs, params, grads) ?? {});
  }
  manifest.vectors = comparison;
  return vectors;
}
