/** What the runtime knows of differentiation: the tape of src/ops is a Recorder. */
import type { Tensor } from './tensor.ts';

/** One operation that ran. */
export interface Node {
  op: string;
  /** Inputs that require a gradient. */
  inputs: readonly Tensor[];
  outputs: readonly Tensor[];
  /**
   * Gradients of `inputs`, given those of `outputs` (undefined where the loss does not depend on that output).
   * The tape adds to the returned tensors in place, so each is a new one, and no two share memory; a view of a given
   * gradient is fine.
   */
  backward(grads: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[];
  /** Tensors that only this node still needs once its backward has run. */
  saved: readonly Tensor[];
}

/** Keeps the operations that run while it is `Runtime.tape`. */
export interface Recorder {
  record(node: Node): void;
  /** Operations kept so far. */
  readonly length: number;
}
