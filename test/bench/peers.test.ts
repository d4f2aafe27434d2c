import test from 'tape';
import { OnnxGraph } from '../../bench/peers/onnx.ts';
import { peersCases } from '../../bench/peers.cases.ts';
import { relativeError } from '../../kernels/shared/relative-error.ts';
import { openRuntime } from '../../src/node.ts';

// First of all: without a GPU the process starts again on the software device.
const runtime = await openRuntime();
test.onFinish(() => runtime.close());

test('a case is the same for Spanwise and for peers', async (t) => {
  const one = peersCases['cross-attention']();
  const expected = one.expected().out;
  const ours = await one.ours(runtime)();
  t.ok(relativeError(ours.out, expected) < 1e-5);

  // Head 3 of query 5, as a peer computes it from what it is given.
  const { q, k, v, bias } = one.given.inputs;
  const [h, i, [, keys, dh]] = [3, 5, k.shape];
  const queries = q.shape[1];
  const scores = Array.from({ length: keys }, (_, j) => {
    let dot = 0;
    for (let c = 0; c < dh; c++) dot += q.data[(h * queries + i) * dh + c] * k.data[(h * keys + j) * dh + c];
    return dot / Math.sqrt(dh) + bias.data[i * keys + j];
  });
  const most = Math.max(...scores);
  const exps = scores.map((score) => Math.exp(score - most));
  const sum = exps.reduce((a, b) => a + b);
  const row = Array.from({ length: dh }, (_, c) =>
    exps.reduce((out, p, j) => out + (p / sum) * v.data[(h * keys + j) * dh + c], 0),
  );
  const at = (h * queries + i) * dh;
  t.ok(relativeError(row, one.expectedOfPeers().out.subarray(at, at + dh)) < 1e-6);

  const spans = peersCases['span-score']().given.inputs;
  t.deepEqual([spans.starts.data[10], spans.lasts.data[10], spans.widths.data[10]], [1, 1, 0]);
  t.equal(peersCases.softmax().given.op, 'softmax');
});

test('an ONNX model is the protocol buffer that it should be', (t) => {
  const graph = new OnnxGraph();
  graph.op('Relu', ['x'], {}, 'out');
  const model = Buffer.from(graph.model({ x: { shape: [300], data: new Float32Array(300) } }, ['out']));
  const hex = [
    ...['080a', '3a35'], // ir_version 10; graph of 53 bytes
    ...['0a0e', '0a0178', '12036f7574', '220452656c75'], // node: input x, output out, Relu
    '120463617365', // graph name
    ...['5a10', '0a0178', '120b0a0908011205', '0a0308ac02'], // input x: float [300]
    ...['620b', '0a036f7574', '12040a020801'], // output out: float
    ...['4204', '0a00', '1015'], // opset 21
  ].join('');
  t.equal(model.toString('hex'), hex);
  t.end();
});
