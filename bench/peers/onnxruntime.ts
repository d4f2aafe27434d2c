/** onnxruntime (npm onnxruntime-node) on the CPU: what the same cores do natively. It trains nothing. */
import { OnnxGraph } from './onnx.ts';
import { installPeer } from './install.ts';
import type { Peer, PeerCase } from './peer.ts';

const PACKAGE = 'onnxruntime-node';
/** Errors alone. */
const LOG_SEVERITY = 3;

interface OrtTensor {
  data: Float32Array;
}
interface OnnxRuntime {
  Tensor: new (
    dtype: 'float32' | 'int32',
    data: Float32Array | Int32Array,
    shape: readonly number[],
  ) => OrtTensor;
  InferenceSession: {
    create(
      model: Uint8Array,
      options: Readonly<Record<string, unknown>>,
    ): Promise<{ run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Record<string, OrtTensor>> }>;
  };
}

/** Means of r neighbouring rows of x [n, L, d], transposed: [n, d, L−r+1]. */
const poolTransposed = (graph: OnnxGraph, x: string, r: number): string =>
  graph.op('AveragePool', [graph.op('Transpose', [x], { perm: [0, 2, 1] })], {
    kernel_shape: [r],
    strides: [1],
  });

/** softmax(q keysᵀ/√dh + bias) v, with the keys transposed already. */
function attention(
  graph: OnnxGraph,
  headSize: number,
  [q, keys, v]: readonly [q: string, keys: string, v: string],
  { bias, as }: { bias?: string; as?: string } = {},
): string {
  const scores = graph.op('Mul', [graph.op('MatMul', [q, keys]), graph.scalar(1 / Math.sqrt(headSize))]);
  const biased = bias === undefined ? scores : graph.op('Add', [scores, bias]);
  return graph.op('MatMul', [graph.op('Softmax', [biased], { axis: -1 }), v], {}, as);
}

/** The model of a case and its outputs; undefined for gradients. */
function modelOf({
  op,
  inputs,
  scales = [],
  eps = 0,
}: PeerCase): { model: Uint8Array; names: string[] } | undefined {
  const graph = new OnnxGraph();
  const names = op === 'sliding-average-pool' ? scales.map((r) => `out.${r}`) : ['out'];
  const swap = { perm: [0, 2, 1] };
  switch (op) {
    case 'matmul':
      graph.op('MatMul', ['x', graph.op('Transpose', ['weight'], { perm: [1, 0] })], {}, 'out');
      break;
    case 'attention': {
      const bias = inputs.bias && 'bias';
      const keys = graph.op('Transpose', ['k'], swap);
      attention(graph, inputs.q.shape[2], ['q', keys, 'v'], { bias, as: 'out' });
      break;
    }
    case 'segment-attention': {
      const axis = graph.ints([0]);
      const outs = scales.map((r) => {
        const values = graph.op('Transpose', [poolTransposed(graph, 'v', r)], swap);
        const out = attention(graph, inputs.q.shape[2], ['q', poolTransposed(graph, 'k', r), values]);
        return graph.op('Unsqueeze', [out, axis]);
      });
      const weights = graph.op('Reshape', ['weights', graph.ints([scales.length, 1, 1, 1])]);
      const weighted = graph.op('Mul', [graph.op('Concat', outs, { axis: 0 }), weights]);
      graph.op('ReduceSum', [weighted, axis], { keepdims: 0 }, 'out');
      break;
    }
    case 'sliding-average-pool': {
      const axis = graph.ints([0]);
      const rows = graph.op('Unsqueeze', ['x', axis]);
      for (const r of scales) {
        const pooled = graph.op('Transpose', [poolTransposed(graph, rows, r)], swap);
        graph.op('Squeeze', [pooled, axis], {}, `out.${r}`);
      }
      break;
    }
    case 'span-score': {
      const rows = [
        ['x', 'starts'],
        ['x', 'lasts'],
        ['width_embedding', 'widths'],
      ].map((of) => graph.op('Gather', of, { axis: 0 }));
      const weight = graph.op('Transpose', ['weight'], { perm: [1, 0] });
      const scores = graph.op('MatMul', [graph.op('Concat', rows, { axis: 1 }), weight]);
      graph.op('Add', [scores, 'bias'], {}, 'out');
      break;
    }
    case 'layer-norm':
      graph.op('LayerNormalization', ['x', 'weight', 'bias'], { axis: -1, epsilon: { float: eps } }, 'out');
      break;
    case 'softmax':
      graph.op('Softmax', ['x'], { axis: -1 }, 'out');
      break;
    default:
      return undefined;
  }
  return { model: graph.model(inputs, names), names };
}

/** Loads onnxruntime, installing it (290 MB) first where it is missing. Errors: it cannot be had. */
export async function loadOnnxRuntime(): Promise<Peer> {
  const installed = await installPeer('onnxruntime');
  const ort = installed.require(PACKAGE) as OnnxRuntime;
  return {
    name: 'onnxruntime-node',
    version: installed.versionOf(PACKAGE),
    runsOn: 'native CPU',
    async prepare(given) {
      const built = modelOf(given);
      if (!built) return undefined;
      const session = await ort.InferenceSession.create(built.model, {
        executionProviders: ['cpu'],
        logSeverityLevel: LOG_SEVERITY,
        // Threads that spin when they are done would slow down the side that runs next.
        extra: { session: { intra_op: { allow_spinning: '0' } } },
      });
      const feeds = Object.fromEntries(
        Object.entries(given.inputs).map(([name, { data, shape }]) => [
          name,
          new ort.Tensor(data instanceof Int32Array ? 'int32' : 'float32', data, shape),
        ]),
      );
      return async () => {
        const outputs = await session.run(feeds);
        return Object.fromEntries(built.names.map((name) => [name, outputs[name].data]));
      };
    },
  };
}
