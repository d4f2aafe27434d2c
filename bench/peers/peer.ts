/** A matrix product as a peer offers it. */

/** x [M, K] · weight [N, K]ᵀ → [M, N]. */
export interface Product {
  M: number;
  K: number;
  N: number;
  x: Float32Array;
  weight: Float32Array;
}

export interface Peer {
  name: string;
  version: string;
  runsOn: string;
  /** Puts the inputs on the device. @returns computes the product and reads all of it back */
  product(given: Product): Promise<() => Promise<Float32Array>>;
}
