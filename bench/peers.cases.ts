/** What `bench peers` compares: the data of each case, what float64 gives, and how Spanwise computes it. */
import { backwardRequest, visibleOutputs } from '../kernels/backward-request.ts';
import { attention } from '../kernels/attention.ts';
import { layerNorm } from '../kernels/layer-norm.ts';
import { linear } from '../kernels/linear.ts';
import type { Kernel, Params } from '../kernels/plan.ts';
import { references } from '../kernels/reference/index.ts';
import type { RefTensor, RefTensors } from '../kernels/reference/types.ts';
import { segmentAttention } from '../kernels/segment-attention.ts';
import { slidingAveragePool } from '../kernels/sliding-average-pool.ts';
import { softmax } from '../kernels/softmax.ts';
import { spanScore } from '../kernels/span-score.ts';
import type { Runtime, Tensor } from '../src/node.ts';
import { enumerateSpans } from '../src/tasks/spans/enumerate.ts';
import { randomValues } from './harness.ts';
import type { PeerCase, PeerOp, PeerRun, PeerTensor } from './peers/peer.ts';

const HEADS = 8;
const HEAD_SIZE = 96;
const D = HEADS * HEAD_SIZE;
const L = 256;
const KEYS = 192;
const SCALES = [2, 3, 4, 5, 6];
const EPS = 1e-5;
const MAX_WIDTH = 10;
const WIDTH_SIZE = 25;
const CLASSES = 6;
/** Added to the score of a pair that may not attend. */
const MASKED = -1e9;

export interface PeersCase {
  name: string;
  /** What peers get; heads apart. */
  given: PeerCase;
  /** Float64 outputs by name as Spanwise lays them out. */
  expected(): Readonly<Record<string, Float64Array>>;
  /** The same in the layout of the peers. */
  expectedOfPeers(): Readonly<Record<string, Float64Array>>;
  /** Uploads, then computes with Spanwise's kernels and reads every output back. */
  ours(runtime: Runtime): PeerRun;
}

const floats = (seed: number, ...shape: number[]): PeerTensor => ({ shape, data: randomValues(shape, seed) });
const ints = (shape: readonly number[], data: Int32Array): PeerTensor => ({ shape, data });

/** [1, L, H·dh] → [H, L, dh]. */
function byHeads<T extends Float32Array | Float64Array>(values: T): T {
  const out = values.slice() as T;
  const rows = values.length / D;
  for (let i = 0; i < rows; i++)
    for (let h = 0; h < HEADS; h++)
      for (let c = 0; c < HEAD_SIZE; c++)
        out[(h * rows + i) * HEAD_SIZE + c] = values[i * D + h * HEAD_SIZE + c];
  return out;
}

const toReference = ({ shape, data }: PeerTensor): RefTensor => ({
  shape,
  data: data instanceof Int32Array ? data : Float64Array.from(data),
});

interface Definition {
  name: string;
  op: PeerOp;
  kernel: Kernel;
  params?: Params;
  /** As the kernel takes them; those of its host ports too. */
  inputs: Readonly<Record<string, PeerTensor>>;
  /** Also the backward, with `grad_out`. */
  gradients?: boolean;
  /** Inputs and outputs whose heads the peers have apart, [1, L, D] here. */
  heads?: boolean;
  /** Inputs of the peers where they are not those of the kernel. */
  ofPeers?: (inputs: Definition['inputs']) => Readonly<Record<string, PeerTensor>>;
  more?: Pick<PeerCase, 'scales' | 'eps'>;
}

/** Every output of the definition, read together. */
async function readAll(tensors: Readonly<Record<string, Tensor>>): Promise<Record<string, Float32Array>> {
  const values = await Promise.all(Object.values(tensors).map((tensor) => tensor.read()));
  return Object.fromEntries(Object.keys(tensors).map((name, i) => [name, values[i] as Float32Array]));
}

function oursOf({ kernel, params = {}, inputs, gradients }: Definition, runtime: Runtime): PeerRun {
  const isHost = new Set(kernel.inputs.filter((port) => port.host).map((port) => port.name));
  const host: Record<string, { data: Int32Array; shape: readonly number[] }> = {};
  const tensors: Record<string, Tensor> = {};
  for (const [name, { shape, data }] of Object.entries(inputs))
    if (isHost.has(name)) host[name] = { shape, data: data as Int32Array };
    else tensors[name] = runtime.upload(data, shape);
  const { grad_out: gradOut, ...forwardInputs } = tensors;
  return () =>
    runtime.scope(() => {
      const outputs = runtime.kernel(kernel, forwardInputs, { params, host });
      const visible = visibleOutputs(kernel, outputs);
      const results = Object.fromEntries(visible.map((name) => [name, outputs[name]]));
      if (!gradients) return readAll(results);
      const forward = { inputs: forwardInputs, host, outputs, params };
      const request = backwardRequest(kernel, forward, () => gradOut, Object.keys(forwardInputs));
      return readAll({ ...results, ...runtime.kernel(request.kernel, request.inputs, request) });
    });
}

function expectedOf({ kernel, params = {}, inputs, gradients }: Definition): Record<string, Float64Array> {
  const reference = references[kernel.name];
  const { grad_out, ...given }: RefTensors = Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [name, toReference(tensor)]),
  );
  const outputs = {
    ...reference.forward(given, params),
    ...(gradients ? reference.backward?.(given, params, { grad_out }) : {}),
  };
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float64Array]));
}

function caseOf(definition: Definition): PeersCase {
  const { name, op, inputs, heads, more, ofPeers } = definition;
  let expected: Record<string, Float64Array> | undefined;
  const exact = () => (expected ??= expectedOf(definition));
  const apart = ({ shape, data }: PeerTensor): PeerTensor =>
    heads && shape.length === 3
      ? { shape: [HEADS, shape[1], HEAD_SIZE], data: byHeads(data as Float32Array) }
      : { shape, data };
  const entries = Object.entries(ofPeers ? ofPeers(inputs) : inputs).map(([key, tensor]) => [
    key,
    apart(tensor),
  ]);
  return {
    name,
    given: { op, inputs: Object.fromEntries(entries), ...more },
    expected: exact,
    expectedOfPeers: () =>
      heads
        ? Object.fromEntries(
            Object.entries(exact()).map(([key, data]) => [key, data.length % D === 0 ? byHeads(data) : data]),
          )
        : exact(),
    ours: (runtime) => oursOf(definition, runtime),
  };
}

const matmulCase = (M: number, K: number, N: number): Definition => ({
  ...{ name: `matmul-${M}x${K}x${N}`, op: 'matmul', kernel: linear },
  inputs: { x: floats(1, M, K), weight: floats(2, N, K) },
});

const lengths = (tokens: number): PeerTensor => ints([1], Int32Array.of(tokens));
/** Without what only Spanwise's kernels take. */
const withoutLengths = ({ lengths: _lengths, ...rest }: Definition['inputs']): Definition['inputs'] => rest;

function attentionCase(gradients: boolean): Definition {
  const name = gradients ? 'self-attention-gradients' : 'self-attention';
  return {
    ...{ name, op: gradients ? 'attention-gradients' : 'attention', kernel: attention },
    ...{ params: { heads: HEADS }, gradients, heads: true },
    inputs: {
      ...{ q: floats(1, 1, L, D), k: floats(2, 1, L, D), v: floats(3, 1, L, D) },
      ...(gradients ? { grad_out: floats(4, 1, L, D) } : {}),
    },
  };
}

function segmentCase(gradients: boolean): Definition {
  const name = gradients ? 'segment-attention-gradients' : 'segment-attention';
  return {
    ...{ name, op: name, kernel: segmentAttention, gradients, heads: true },
    params: { heads: HEADS, scales: SCALES },
    more: { scales: SCALES },
    inputs: {
      ...{ q: floats(1, 1, L, D), k: floats(2, 1, L, D), v: floats(3, 1, L, D), weights: floats(5, 5) },
      lengths: lengths(L),
      ...(gradients ? { grad_out: floats(4, 1, L, D) } : {}),
    },
    ofPeers: withoutLengths,
  };
}

/** About two thirds of the pairs may attend; the first key always. */
function crossAttentionCase(): Definition {
  const mask = Int32Array.from({ length: L * KEYS }, (_, i) => Number(i % KEYS === 0 || (7 * i) % 3 !== 0));
  return {
    ...{ name: 'cross-attention', op: 'attention', kernel: attention, heads: true },
    params: { heads: HEADS },
    inputs: {
      ...{ q: floats(1, 1, L, D), k: floats(2, 1, KEYS, D), v: floats(3, 1, KEYS, D) },
      mask: ints([1, L, KEYS], mask),
    },
    ofPeers: ({ mask: _mask, ...rest }) => ({
      ...rest,
      bias: { shape: [L, KEYS], data: Float32Array.from(mask, (m) => (m === 0 ? MASKED : 0)) },
    }),
  };
}

function spanCase(): Definition {
  const spans = enumerateSpans([L], MAX_WIDTH);
  const S = spans.length / 3;
  const column = (of: (start: number, end: number) => number): PeerTensor =>
    ints(
      [S],
      Int32Array.from({ length: S }, (_, i) => of(spans[3 * i + 1], spans[3 * i + 2])),
    );
  return {
    ...{ name: 'span-score', op: 'span-score', kernel: spanScore },
    inputs: {
      x: floats(1, 1, L, D),
      width_embedding: floats(2, MAX_WIDTH, WIDTH_SIZE),
      weight: floats(3, CLASSES, 2 * D + WIDTH_SIZE),
      bias: floats(4, CLASSES),
      spans: ints([S, 3], spans),
    },
    ofPeers: ({ spans: _spans, x, ...rest }) => ({
      ...{ x: { shape: [L, D], data: x.data }, ...rest },
      starts: column((start) => start),
      lasts: column((_start, end) => end - 1),
      widths: column((start, end) => end - start - 1),
    }),
  };
}

function poolCase(): Definition {
  return {
    ...{ name: 'sliding-average-pool', op: 'sliding-average-pool', kernel: slidingAveragePool },
    ...{ params: { scales: SCALES }, more: { scales: SCALES } },
    inputs: { x: floats(1, 1, L, D), lengths: lengths(L) },
    ofPeers: ({ x }) => ({ x: { shape: [L, D], data: x.data } }),
  };
}

/** The cases by name; their data are made when they are asked for. */
export const peersCases: Readonly<Record<string, () => PeersCase>> = {
  'matmul-512x512x512': () => caseOf(matmulCase(512, 512, 512)),
  'matmul-256x768x3072': () => caseOf(matmulCase(256, 768, 3072)),
  'self-attention': () => caseOf(attentionCase(false)),
  'self-attention-gradients': () => caseOf(attentionCase(true)),
  'segment-attention': () => caseOf(segmentCase(false)),
  'segment-attention-gradients': () => caseOf(segmentCase(true)),
  'sliding-average-pool': () => caseOf(poolCase()),
  'cross-attention': () => caseOf(crossAttentionCase()),
  'span-score': () => caseOf(spanCase()),
  'layer-norm': () =>
    caseOf({
      ...{
        name: 'layer-norm',
        op: 'layer-norm',
        kernel: layerNorm,
        params: { eps: EPS },
        more: { eps: EPS },
      },
      inputs: { x: floats(1, L, D), weight: floats(2, D), bias: floats(3, D) },
    }),
  softmax: () =>
    caseOf({
      ...{ name: 'softmax', op: 'softmax', kernel: softmax },
      inputs: { x: floats(1, HEADS * L, L) },
    }),
};
