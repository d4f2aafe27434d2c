/** Dropout on the encoder's output while a model trains. */
import type { Tensor } from '../gpu/tensor.ts';
import { dropout } from '../ops/index.ts';

export interface Regularisation {
  p: number;
  seed: number;
  /** Must differ at every pass of one seed (see the kernel `dropout`). */
  offset: number;
}

/** x as training sees it; x itself without regularisation. */
export const regularise = (x: Tensor, regularisation?: Regularisation): Tensor =>
  regularisation ? dropout(x, regularisation.p, regularisation.seed, regularisation.offset) : x;
