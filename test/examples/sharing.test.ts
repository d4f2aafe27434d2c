/**
 * The examples of other runtimes on one device compute what the references do, without a copy. Each runs as its users run it,
 * in a folder whose node_modules has the packages that its first lines name. Peers lie where bench/peers has them.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import test from 'tape';
import { installPeer } from '../../bench/peers/install.ts';
import { OnnxGraph } from '../../bench/peers/onnx.ts';
import { references, type RefTensor } from '../../kernels/reference/index.ts';
import { relativeError } from '../../kernels/shared/relative-error.ts';
import { noBrowser, startBrowser } from '../web/browser.ts';

// Before any test is registered.
const noJaxJs = await installPeer('jax-js').then(
  () => false, // it is small
  (error: Error) => `it cannot be had: ${error.message.split('\n')[0]}`,
);

const folder = mkdtempSync(join(tmpdir(), 'spanwise-sharing-'));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));
cpSync('examples/sharing', folder, { recursive: true });

const peerFolder = (peer: string): string => resolve('bench', 'peers', peer, 'node_modules');

/** Puts a package where the examples look for it. */
function provide(name: string, path: string): void {
  const at = join(folder, 'node_modules', name);
  mkdirSync(dirname(at), { recursive: true });
  symlinkSync(path, at);
}
provide('spanwise', resolve('.'));
provide('webgpu', resolve('node_modules', 'webgpu'));

/** Why a test cannot run: a large peer is installed by hand, and by .ci/run. */
const missing = (peer: string): string | false =>
  !existsSync(peerFolder(peer)) && `not installed: npm install --prefix bench/peers/${peer} --ignore-scripts`;

/** What all examples compute, in float64 from their float32 inputs. */
function expected(): ArrayLike<number> {
  const wave = (shape: number[], frequency: number): RefTensor => {
    const element = (_: unknown, i: number) => Math.fround(Math.sin(frequency * (i + 1)));
    return { shape, data: Float64Array.from({ length: shape[0] * shape[1] }, element) };
  };
  const product = (x: RefTensor, weight: RefTensor, activation: string): RefTensor => {
    const [k, n] = weight.shape;
    const data = Float64Array.from({ length: n * k }, (_, i) => weight.data[(i % k) * n + Math.floor(i / k)]);
    return references.linear.forward({ x, weight: { shape: [n, k], data } }, { activation }).out;
  };
  const hidden = product(wave([12, 16], 0.7), wave([16, 16], 1.3), 'tanh');
  const h = { ...hidden, shape: [1, 12, 16] };
  const { out } = references['segment-attention'].forward(
    {
      ...{ q: h, k: h, v: h, weights: { shape: [2], data: Float64Array.of(0.5, 0.5) } },
      lengths: { shape: [1], data: Int32Array.of(12) },
    },
    { heads: 2, scales: [2, 3] },
  );
  const scores = product({ ...out, shape: [12, 16] }, wave([16, 3], 2.1), 'none');
  return references.softmax.forward({ x: scores }, {}).out.data;
}

function check(t: test.Test, said: string): void {
  type Said = { copies: number; reads: number; probabilities: number[] };
  const { copies, reads, probabilities } = JSON.parse(said) as Said;
  t.equal(copies, 0, 'no copy between the runtimes');
  t.ok(reads > 0, 'the copies of the other runtime are counted');
  t.equal(probabilities.length, 36);
  const error = relativeError(probabilities, expected());
  t.ok(error < 1e-5, `relative error ${error.toExponential(1)}`);
}

const node = async (file: string): Promise<string> => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(folder, file)]);
  return stderr || stdout;
};

test('jax-js', { skip: noJaxJs }, async (t) => {
  provide('@jax-js/jax', join(peerFolder('jax-js'), '@jax-js/jax'));
  check(t, await node('jax-js.mjs'));
});

test('TensorFlow.js', { skip: missing('tfjs') }, async (t) => {
  for (const name of ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-webgpu'])
    provide(name, join(peerFolder('tfjs'), name));
  check(t, await node('tfjs.mjs'));
});

/** `out` = a function of x · weight. */
function onnxLayer(op: string, out: string, k: number, n: number): Uint8Array {
  const graph = new OnnxGraph();
  graph.op(op, [graph.op('MatMul', ['x', 'weight'])], {}, out);
  const input = (...shape: number[]) => ({ shape, data: new Float32Array(0) });
  return graph.model({ x: input(12, k), weight: input(k, n) }, [out]);
}

test('ONNX Runtime in Chromium', { skip: missing('onnxruntime-web') || noBrowser() }, async (t) => {
  const ort = join(peerFolder('onnxruntime-web'), 'onnxruntime-web');
  provide('onnxruntime-web', ort);
  const { outputFiles } = await build({
    entryPoints: [join(folder, 'onnxruntime.js')],
    ...{ bundle: true, format: 'esm', platform: 'browser', write: false, logLevel: 'error' },
  });
  const files: Record<string, [type: string, content: () => string | Uint8Array]> = {
    '/': ['text/html', () => '<!doctype html><script type="module" src="page.js"></script>'],
    '/page.js': ['text/javascript', () => outputFiles[0].text],
    '/encoder.onnx': ['application/octet-stream', () => onnxLayer('Tanh', 'hidden', 16, 16)],
    '/head.onnx': ['application/octet-stream', () => onnxLayer('Softmax', 'probabilities', 16, 3)],
  };
  const server = createServer(({ url = '' }, response) => {
    const [type, content] = files[url] ?? [
      url.endsWith('.wasm') ? 'application/wasm' : 'text/javascript',
      () => (/^\/ort-wasm[\w.-]+$/.test(url) ? readFileSync(join(ort, 'dist', url)) : ''),
    ];
    response.writeHead(200, { 'content-type': type }).end(content());
  }).listen(0, '127.0.0.1');
  const browser = startBrowser();
  try {
    await new Promise((done) => server.once('listening', done));
    const { port } = server.address() as AddressInfo;
    const failed =
      "addEventListener('error', (e) => (document.title = e.message));" +
      "addEventListener('unhandledrejection', (e) => (document.title = String(e.reason)));";
    const page = await browser.open(`http://127.0.0.1:${port}/`, failed);
    await page.until('document.body?.textContent.startsWith("{") || document.title');
    t.equal(await page.value('document.title'), '', 'nothing failed');
    check(t, await page.value<string>('document.body.textContent'));
  } finally {
    await browser.close();
    server.close();
  }
});
