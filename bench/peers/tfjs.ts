/** TensorFlow.js (npm @tensorflow/tfjs) with its WebGPU backend, on Dawn behind `shareDevice`. */
import { installPeer } from './install.ts';
import type { Peer, PeerCase } from './peer.ts';

const PACKAGE = '@tensorflow/tfjs';
const BACKEND = '@tensorflow/tfjs-backend-webgpu';

interface TfTensor {
  shape: number[];
  data(): Promise<Float32Array>;
}
type Body = (...inputs: TfTensor[]) => TfTensor[];
type Value = (...inputs: TfTensor[]) => TfTensor;

interface Tfjs {
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  tidy<T>(body: () => T): T;
  dispose(tensors: readonly TfTensor[]): void;
  tensor(data: Float32Array | Int32Array, shape: readonly number[], dtype: 'float32' | 'int32'): TfTensor;
  valueAndGrads(
    body: Value,
  ): (inputs: readonly TfTensor[], gradOut: TfTensor) => { value: TfTensor; grads: TfTensor[] };
  add(a: TfTensor, b: TfTensor | number): TfTensor;
  avgPool(x: TfTensor, window: [number, number], strides: number, padding: 'valid'): TfTensor;
  concat(tensors: TfTensor[], axis: number): TfTensor;
  gather(x: TfTensor, indices: TfTensor): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  moments(x: TfTensor, axis: number, keepDims: boolean): { mean: TfTensor; variance: TfTensor };
  mul(a: TfTensor, b: TfTensor | number): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  softmax(x: TfTensor): TfTensor;
  stack(tensors: TfTensor[]): TfTensor;
  sub(a: TfTensor, b: TfTensor): TfTensor;
  sum(x: TfTensor, axis: number): TfTensor;
}

/** The functions of all cases: inputs in the order of the case, outputs in the order of `names`. */
function bodyOf(tf: Tfjs, { op, inputs, scales = [], eps = 0 }: PeerCase): { names: string[]; body: Body } {
  const attention: Value = (q, k, v, bias?: TfTensor) => {
    const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(q.shape[2]));
    return tf.matMul(tf.softmax(bias ? tf.add(scores, bias) : scores), v);
  };
  /** Means of r neighbouring rows of x [n, L, d]. */
  const pool = (x: TfTensor, r: number): TfTensor => {
    const [n, L, d] = x.shape;
    return tf.reshape(tf.avgPool(tf.reshape(x, [n, L, 1, d]), [r, 1], 1, 'valid'), [n, L - r + 1, d]);
  };
  const segmentAttention: Value = (q, k, v, weights) => {
    const outs = scales.map((r) => attention(q, pool(k, r), pool(v, r)));
    return tf.sum(tf.mul(tf.stack(outs), tf.reshape(weights, [scales.length, 1, 1, 1])), 0);
  };
  const gradients = Object.keys(inputs)
    .filter((name) => name !== 'grad_out')
    .map((name) => `grad_${name}`);
  const withGradients = (forward: Value) => ({
    names: ['out', ...gradients],
    body: (...all: TfTensor[]) => {
      const { value, grads } = tf.valueAndGrads(forward)(all.slice(0, -1), all[all.length - 1]);
      return [value, ...grads];
    },
  });
  const only = (body: Value) => ({ names: ['out'], body: (...all: TfTensor[]) => [body(...all)] });
  switch (op) {
    case 'matmul':
      return only((x, weight) => tf.matMul(x, weight, false, true));
    case 'attention':
      return only(attention);
    case 'segment-attention':
      return only(segmentAttention);
    case 'attention-gradients':
      return withGradients((q, k, v) => attention(q, k, v));
    case 'segment-attention-gradients':
      return withGradients(segmentAttention);
    case 'sliding-average-pool':
      return {
        names: scales.map((r) => `out.${r}`),
        body: (x) => {
          const rows = tf.reshape(x, [1, ...x.shape]);
          return scales.map((r) => pool(rows, r));
        },
      };
    case 'span-score':
      return only((x, table, weight, bias, starts, lasts, widths) => {
        const rows = [tf.gather(x, starts), tf.gather(x, lasts), tf.gather(table, widths)];
        return tf.add(tf.matMul(tf.concat(rows, 1), weight, false, true), bias);
      });
    case 'layer-norm':
      return only((x, weight, bias) => {
        const { mean, variance } = tf.moments(x, 1, true);
        const normal = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps)));
        return tf.add(tf.mul(normal, weight), bias);
      });
    case 'softmax':
      return only((x) => tf.softmax(x));
  }
}

/** Runs `body` with the console silent: TensorFlow.js greets. */
function quietly<T>(body: () => T): T {
  const { info, warn } = console;
  console.info = console.warn = () => undefined;
  try {
    return body();
  } finally {
    Object.assign(console, { info, warn });
  }
}

/**
 * Loads TensorFlow.js on the shared device, installing it (300 MB) first where it is missing.
 * Errors: it cannot be had (no network, no checkout), or it finds no WebGPU.
 */
export async function loadTfjs(): Promise<Peer> {
  const installed = await installPeer('tfjs');
  const tf = quietly(() => {
    const loaded = installed.require(PACKAGE) as Tfjs;
    installed.require(BACKEND);
    return loaded;
  });
  if (!(await tf.setBackend('webgpu'))) throw new Error('it finds no WebGPU');
  await tf.ready();
  return {
    name: 'tfjs-webgpu',
    version: installed.versionOf(BACKEND),
    runsOn: 'webgpu, same device',
    async prepare(given) {
      const tensors = Object.values(given.inputs).map(({ data, shape }) =>
        tf.tensor(data, shape, data instanceof Int32Array ? 'int32' : 'float32'),
      );
      const { names, body } = bodyOf(tf, given);
      return async () => {
        const outputs = tf.tidy(() => body(...tensors));
        const values = await Promise.all(outputs.map((output) => output.data()));
        tf.dispose(outputs);
        return Object.fromEntries(names.map((name, i) => [name, values[i]]));
      };
    },
  };
}
