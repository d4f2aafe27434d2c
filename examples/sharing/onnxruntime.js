// ONNX Runtime and Spanwise on one GPUDevice, in a browser: an encoder in ONNX, segment attention, a head in ONNX, and no copy
// in between.
//   npm install spanwise onnxruntime-web@1.30.0
//   npx esbuild onnxruntime.js --bundle --format=esm --outfile=page.js
// The page loads page.js as a module; beside it lie encoder.onnx, head.onnx and the ort-wasm-* files of onnxruntime-web/dist.
import * as ort from 'onnxruntime-web/webgpu';
import { hostInts, openDevice, Runtime, segmentAttention } from 'spanwise';
import { countCopies, wave } from './copies.mjs';

const opened = await openDevice(navigator.gpu);
const { device } = opened;
const counted = countCopies(device);
const runtime = new Runtime(opened);

ort.env.wasm.wasmPaths = new URL('.', location.href).href;
ort.env.wasm.numThreads = 1;
const options = { executionProviders: [{ name: 'webgpu', device }], preferredOutputLocation: 'gpu-buffer' };
const encoder = await ort.InferenceSession.create('encoder.onnx', options);
const head = await ort.InferenceSession.create('head.onnx', options);

/** A tensor of ours for ONNX Runtime, under a shape; ours is to be kept as long. */
const toOnnx = (tensor, dims = tensor.shape) =>
  ort.Tensor.fromGpuBuffer(tensor.buffer, { dataType: 'float32', dims });

const [tokens, width, classes] = [12, 16, 3];
const upload = (shape, frequency) => runtime.upload(wave(shape, frequency), shape);
const x = upload([tokens, width], 0.7);
const encoderWeight = upload([width, width], 1.3);
const headWeight = upload([width, classes], 2.1);
const weights = runtime.upload(new Float32Array([0.5, 0.5]), [2]);
await runtime.flush();

const { hidden } = await encoder.run({ x: toOnnx(x), weight: toOnnx(encoderWeight) }); // ONNX Runtime
const h = runtime.wrap(hidden.gpuBuffer, [1, tokens, width]);
const lengths = hostInts(Int32Array.of(tokens));
const attended = segmentAttention(h, h, h, { heads: 2, scales: [2, 3], lengths, weights }); // Spanwise
await runtime.flush();
const { probabilities } = await head.run({
  x: toOnnx(attended, [tokens, width]),
  weight: toOnnx(headWeight),
}); // ONNX Runtime

const { copies } = counted;
const values = [...(await probabilities.getData())];
document.body.textContent = JSON.stringify({
  copies,
  reads: counted.copies - copies,
  probabilities: values,
});
