/** A tensor of the float64 references: float64 values, or int32 for ids, lengths, spans, ranges, masks, targets. */
export interface RefTensor {
  shape: readonly number[];
  data: Float64Array | Int32Array;
}

export type RefTensors = Record<string, RefTensor>;
export type RefParams = Readonly<Record<string, unknown>>;

/**
 * A kernel in plain float64 TypeScript, slow and obvious. Names and shapes are those of docs/spec.md#kernels.
 * `backward` takes the same inputs plus `grad_<output>` for every float output and returns `grad_<input>` for
 * every float input that is present.
 */
export interface Reference {
  forward(inputs: RefTensors, params: RefParams): RefTensors;
  backward?(inputs: RefTensors, params: RefParams, grads: RefTensors): RefTensors;
}
