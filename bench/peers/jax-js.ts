/** jax-js (npm @jax-js/jax): NumPy and JAX for the browser, on WebGPU. In Node it runs on Dawn behind `shareDevice`. */
import { installPeer } from './install.ts';
import type { Peer, PeerCase } from './peer.ts';

const PACKAGE = '@jax-js/jax';

/** An array of jax-js: an operation consumes it, unless it is given `ref`. */
interface JaxArray {
  ref: JaxArray;
  shape: number[];
  reshape(shape: readonly number[]): JaxArray;
  slice(...index: (readonly number[])[]): JaxArray;
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray): JaxArray;
  sum(axis: number): JaxArray;
  dispose(): void;
  data(): Promise<Float32Array>;
}

type Body = (...inputs: JaxArray[]) => JaxArray[];

interface JaxJs {
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): void;
  blockUntilReady(arrays: JaxArray[]): Promise<unknown>;
  jit(body: Body): Body;
  vjp(body: (...inputs: JaxArray[]) => JaxArray, inputs: JaxArray[]): [JaxArray, (g: JaxArray) => JaxArray[]];
  nn: { softmax(x: JaxArray, axis: number): JaxArray };
  numpy: {
    array(values: Float32Array | Int32Array): JaxArray;
    concatenate(arrays: JaxArray[], axis: number): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    mean(a: JaxArray, axis: number, options: { keepdims: boolean }): JaxArray;
    sqrt(a: JaxArray): JaxArray;
    stack(arrays: JaxArray[]): JaxArray;
    take(a: JaxArray, indices: JaxArray, axis: number): JaxArray;
    transpose(a: JaxArray, axes?: number[]): JaxArray;
  };
}

/** The functions of all cases: inputs in the order of the case, outputs in the order of `names`. */
function bodyOf(jax: JaxJs, { op, inputs, scales = [], eps = 0 }: PeerCase): { names: string[]; body: Body } {
  const { nn, numpy } = jax;
  const attention = (q: JaxArray, k: JaxArray, v: JaxArray, bias?: JaxArray): JaxArray => {
    const headSize = q.shape[2];
    const scores = numpy.matmul(q, numpy.transpose(k, [0, 2, 1])).mul(1 / Math.sqrt(headSize));
    return numpy.matmul(nn.softmax(bias ? scores.add(bias) : scores, -1), v);
  };
  /** Means of r neighbours along `axis`. */
  const pool = (x: JaxArray, r: number, axis: number): JaxArray => {
    const size = x.shape[axis];
    const before: number[][] = Array.from({ length: axis }, () => []);
    let sum: JaxArray | undefined;
    for (let i = 0; i < r; i++) {
      const part = x.ref.slice(...before, [i, size - r + 1 + i]);
      sum = sum ? sum.add(part) : part;
    }
    x.dispose();
    return (sum as JaxArray).mul(1 / r);
  };
  const segmentAttention = (q: JaxArray, k: JaxArray, v: JaxArray, weights: JaxArray): JaxArray => {
    const outs = scales.map((r) => attention(q.ref, pool(k.ref, r, 1), pool(v.ref, r, 1)));
    for (const used of [q, k, v]) used.dispose();
    return numpy
      .stack(outs)
      .mul(weights.reshape([scales.length, 1, 1, 1]))
      .sum(0);
  };
  const withGradients =
    (forward: (...inputs: JaxArray[]) => JaxArray): Body =>
    (...all) => {
      const gradOut = all[all.length - 1];
      const [out, pull] = jax.vjp(forward, all.slice(0, -1));
      return [out, ...pull(gradOut)];
    };
  const gradients = Object.keys(inputs)
    .filter((name) => name !== 'grad_out')
    .map((name) => `grad_${name}`);
  const only = (body: (...inputs: JaxArray[]) => JaxArray) => ({
    names: ['out'],
    body: (...all: JaxArray[]) => [body(...all)],
  });
  switch (op) {
    case 'matmul':
      return only((x, weight) => numpy.matmul(x, numpy.transpose(weight)));
    case 'attention':
      return only(attention);
    case 'segment-attention':
      return only(segmentAttention);
    case 'attention-gradients':
      return { names: ['out', ...gradients], body: withGradients((q, k, v) => attention(q, k, v)) };
    case 'segment-attention-gradients':
      return { names: ['out', ...gradients], body: withGradients(segmentAttention) };
    case 'sliding-average-pool':
      return {
        names: scales.map((r) => `out.${r}`),
        body: (x) => {
          const outs = scales.map((r) => pool(x.ref, r, 0));
          x.dispose();
          return outs;
        },
      };
    case 'span-score':
      return only((x, table, weight, bias, starts, lasts, widths) => {
        const rows = [numpy.take(x.ref, starts, 0), numpy.take(x, lasts, 0), numpy.take(table, widths, 0)];
        return numpy.matmul(numpy.concatenate(rows, 1), numpy.transpose(weight)).add(bias);
      });
    case 'layer-norm':
      return only((x, weight, bias) => {
        const centred = x.ref.sub(numpy.mean(x, -1, { keepdims: true }));
        const variance = numpy.mean(centred.ref.mul(centred.ref), -1, { keepdims: true });
        return centred
          .div(numpy.sqrt(variance.add(eps)))
          .mul(weight)
          .add(bias);
      });
    case 'softmax':
      return only((x) => nn.softmax(x, -1));
  }
}

/**
 * Loads jax-js on the shared device, installing it first where it is missing.
 * Errors: it cannot be had (no network, no checkout), or it finds no WebGPU.
 */
export async function loadJaxJs(): Promise<Peer> {
  const installed = await installPeer('jax-js');
  const jax = installed.require(PACKAGE) as JaxJs;
  if (!(await jax.init('webgpu')).includes('webgpu')) throw new Error('it finds no WebGPU');
  jax.defaultDevice('webgpu');
  return {
    name: 'jax-js',
    version: installed.versionOf(PACKAGE),
    runsOn: 'webgpu, same device, jit',
    async prepare(given) {
      const arrays = Object.values(given.inputs).map(({ data, shape }) =>
        jax.numpy.array(data).reshape(shape),
      );
      await jax.blockUntilReady(arrays);
      const { names, body } = bodyOf(jax, given);
      const compiled = jax.jit(body);
      return async () => {
        const outputs = compiled(...arrays.map((array) => array.ref));
        const values = await Promise.all(outputs.map((output) => output.data()));
        return Object.fromEntries(names.map((name, i) => [name, values[i]]));
      };
    },
  };
}
