/** What the benchmarks ask of a peer. */

export interface PeerTensor {
  shape: readonly number[];
  data: Float32Array | Int32Array;
}

/**
 * What peers compute, H heads of dh columns, heads apart as suits them:
 * - `matmul`: x [M,K], weight [N,K] → out [M,N]
 * - `attention`: q [H,Lq,dh], k and v [H,Lk,dh], optionally bias [Lq,Lk] added to the scores → out [H,Lq,dh]
 * - `segment-attention`: q, k, v [H,L,dh], weights [S]; `scales` → out
 * - `…-gradients`: also grad_out → also grad_q, grad_k, grad_v (grad_weights)
 * - `sliding-average-pool`: x [L,d]; `scales` → out.<r> [L−r+1,d]
 * - `span-score`: x [L,d], width_embedding [maxWidth,dw], weight [N,2d+dw], bias [N], and i32[S] starts, lasts,
 *   widths (of each span its first and last token, its width − 1) → out [S,N]
 * - `layer-norm`: x [n,d], weight [d], bias [d]; `eps` → out
 * - `softmax`: x [n,d] → out
 */
export type PeerOp =
  | 'matmul'
  | 'attention'
  | 'attention-gradients'
  | 'segment-attention'
  | 'segment-attention-gradients'
  | 'sliding-average-pool'
  | 'span-score'
  | 'layer-norm'
  | 'softmax';

export interface PeerCase {
  op: PeerOp;
  inputs: Readonly<Record<string, PeerTensor>>;
  scales?: readonly number[];
  eps?: number;
}

/** Computes once and reads every output back whole. */
export type PeerRun = () => Promise<Readonly<Record<string, Float32Array>>>;

export interface Peer {
  name: string;
  version: string;
  runsOn: string;
  /** Puts the inputs where the peer computes. @returns undefined for what it does not offer */
  prepare(given: PeerCase): Promise<PeerRun | undefined>;
}
