/** The peers by name. */
import { loadGpuJs } from './gpu-js.ts';
import { loadJaxJs } from './jax-js.ts';
import { loadOnnxRuntime } from './onnxruntime.ts';
import type { Peer } from './peer.ts';
import { loadTfjs } from './tfjs.ts';

/** Each loads a peer on the device of `shareDevice`. Errors: it cannot be had. */
export const peerLoaders: Readonly<Record<string, () => Promise<Peer>>> = {
  'jax-js': loadJaxJs,
  'gpu.js': loadGpuJs,
  'tfjs-webgpu': loadTfjs,
  'onnxruntime-node': loadOnnxRuntime,
};

/** Peers by name, in the order given; one that cannot be loaded says why. */
export async function loadPeers(
  names: readonly string[],
  log: (line: string) => void,
): Promise<Map<string, Peer | Error>> {
  const peers = new Map<string, Peer | Error>();
  for (const name of names) {
    log(`loading ${name}`);
    peers.set(name, await peerLoaders[name]().catch((error: unknown) => error as Error));
  }
  return peers;
}

/** The first line of why a peer cannot do something. */
export const reason = (error: unknown): string =>
  `cannot run: ${String((error as Error).message)
    .split('\n')[0]
    .slice(0, 200)}`;
