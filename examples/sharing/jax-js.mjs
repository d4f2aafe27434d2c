// jax-js and Spanwise on one GPUDevice: a layer of jax-js, segment attention, a layer of jax-js again, and no copy in between.
//   npm install spanwise @jax-js/jax@0.1.25
import { hostInts, kernelNamed, openRuntime } from 'spanwise/node';
import { globals } from 'webgpu';
import { countCopies, wave } from './copies.mjs';

const runtime = await openRuntime();
const { device } = runtime;
const counted = countCopies(device);

// jax-js asks `navigator.gpu` for a device: it is given ours.
Object.assign(globalThis, globals);
const { adapterInfo: info, features, limits } = device;
const adapter = { info, features, limits, requestDevice: async () => device };
const gpu = { requestAdapter: async () => adapter };
Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Node.js', gpu }, configurable: true });
const jax = await import('@jax-js/jax');
await jax.init('webgpu');
jax.defaultDevice('webgpu');

/** An array of jax-js as a tensor of ours; the array is to be kept as long. */
const toSpanwise = async (array) => runtime.wrap(await array.ref.gpuBuffer(), array.shape);

const [tokens, width, classes] = [12, 16, 3];
const array = (shape, frequency) => jax.numpy.array(wave(shape, frequency)).reshape(shape);
const x = array([tokens, width], 0.7);
const encoder = array([width, width], 1.3);
const head = array([width, classes], 2.1);
const weights = runtime.upload(new Float32Array([0.5, 0.5]), [2]);

const hidden = jax.numpy.tanh(jax.numpy.matmul(x, encoder)).reshape([1, tokens, width]); // jax-js
const h = await toSpanwise(hidden);

// jax-js takes no buffer of others in: we write into one of its own, that nothing else has seen.
const attended = array([1, tokens, width], 0);
runtime.kernel(
  kernelNamed('segment-attention'), // Spanwise
  { q: h, k: h, v: h, weights },
  {
    params: { heads: 2, scales: [2, 3] },
    host: { lengths: hostInts(Int32Array.of(tokens)) },
    out: { out: await toSpanwise(attended) },
  },
);
await runtime.flush();

const scores = jax.numpy.matmul(attended.reshape([tokens, width]), head); // jax-js
const probabilities = jax.nn.softmax(scores, -1);
await probabilities.ref.gpuBuffer(); // it is computed, and not read

const { copies } = counted;
const values = [...(await probabilities.data())];
console.log(JSON.stringify({ copies, reads: counted.copies - copies, probabilities: values }));
runtime.close();
