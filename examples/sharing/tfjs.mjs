// TensorFlow.js and Spanwise on one GPUDevice: a layer of TensorFlow.js, segment attention, a layer of TensorFlow.js again,
// and no copy in between.
//   npm install spanwise @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-webgpu@4.22.0
import { hostInts, openRuntime, segmentAttention } from 'spanwise/node';
import { globals } from 'webgpu';
import { countCopies, wave } from './copies.mjs';

const runtime = await openRuntime();
const { device } = runtime;
const counted = countCopies(device);

// What TensorFlow.js expects of a browser. `navigator.gpu` is asked for no device: it is given ours.
Object.assign(globalThis, globals);
Object.defineProperty(globalThis, 'navigator', {
  value: { userAgent: 'Node.js', gpu: {} },
  configurable: true,
});
const { default: tf } = await import('@tensorflow/tfjs-core');
const { WebGPUBackend } = (await import('@tensorflow/tfjs-backend-webgpu')).default;
const backend = new WebGPUBackend(device, device.adapterInfo);
tf.registerBackend('shared', () => backend);
tf.copyRegisteredKernels('webgpu', 'shared'); // its kernels are registered for the name of a backend
await tf.setBackend('shared');

/** Submits what TensorFlow.js has encoded: before what we submit. */
function submit() {
  backend.endComputePassEncoder();
  backend.submitQueue();
}

/** A tensor of TensorFlow.js as one of ours. `dataToGPU()` would be its public way, and a copy. */
function toSpanwise(tensor) {
  submit();
  return runtime.wrap(backend.tensorMap.get(tensor.dataId).resource, tensor.shape);
}

/** The other way. TensorFlow.js does not destroy a buffer that it did not make. */
async function toTensorFlow(tensor) {
  await runtime.flush();
  return tf.tensor({ buffer: tensor.buffer, zeroCopy: true }, tensor.shape);
}

const [tokens, width, classes] = [12, 16, 3];
const x = tf.tensor(wave([tokens, width], 0.7), [tokens, width]);
const encoder = tf.tensor(wave([width, width], 1.3), [width, width]);
const head = tf.tensor(wave([width, classes], 2.1), [width, classes]);
const weights = runtime.upload(new Float32Array([0.5, 0.5]), [2]);

const hidden = tf.tanh(tf.matMul(x, encoder)); // TensorFlow.js
const h = toSpanwise(tf.reshape(hidden, [1, tokens, width]));
const lengths = hostInts(Int32Array.of(tokens));
const attended = segmentAttention(h, h, h, { heads: 2, scales: [2, 3], lengths, weights }); // Spanwise
const scores = tf.matMul(tf.reshape(await toTensorFlow(attended), [tokens, width]), head); // TensorFlow.js
const probabilities = tf.softmax(scores);
submit();

const { copies } = counted;
const values = [...(await probabilities.data())];
console.log(JSON.stringify({ copies, reads: counted.copies - copies, probabilities: values }));
runtime.close();
