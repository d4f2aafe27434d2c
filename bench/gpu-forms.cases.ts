/** The cases that `bench gpu-forms` compiles: every kernel at the sizes of a base model, and its forms on a GPU. */
import { attention, planAttention, planAttentionBackward } from '../kernels/attention.ts';
import { backwardRequest } from '../kernels/backward-request.ts';
import { kernels } from '../kernels/index.ts';
import {
  defaultCaps,
  type Caps,
  type Dispatch,
  type Plan,
  type PlanRequest,
  type Shape,
} from '../kernels/plan.ts';
import {
  chooseSegmentForm,
  planSegmentAttention,
  planSegmentAttentionBackward,
  segmentAttention,
} from '../kernels/segment-attention.ts';
import { matmulForms, type MatmulForm } from '../kernels/shared/matmul-form.ts';
import { enumerateSpans } from '../src/tasks/spans/enumerate.ts';
import { CHOSEN, SUBGROUP_MATRIX } from './gpu-forms.rows.ts';

/** Inputs of a kernel by shape alone; host inputs have values too. */
export interface FormCase {
  name: string;
  kernel: string;
  shapes: Readonly<Record<string, Shape>>;
  params?: Readonly<Record<string, unknown>>;
  host?: Readonly<Record<string, Int32Array>>;
  /** Inputs that are stored so, of the backward too. */
  f16?: readonly string[];
}

/** Tokens of a row, features of a token, spans' widest, scales of segments. */
const [L, D, WIDTH] = [256, 768, 8];
const scales = [2, 3, 4, 5, 6];

const filled = (length: number, value: (i: number) => number): Int32Array =>
  Int32Array.from({ length }, (_, i) => value(i));
const times = <T>(count: number, of: (i: number) => readonly [string, T]): Record<string, T> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => of(i)));

function recurrent(
  gates: number,
  batch: number,
  length: number,
  d: number,
  h: number,
): Pick<FormCase, 'shapes' | 'params' | 'host'> {
  const of = (way: string): Record<string, Shape> => ({
    [`weight_ih_l0${way}`]: [gates * h, d],
    [`weight_hh_l0${way}`]: [gates * h, h],
    [`bias_ih_l0${way}`]: [gates * h],
    [`bias_hh_l0${way}`]: [gates * h],
  });
  return {
    shapes: { x: [batch, length, d], lengths: [batch], ...of(''), ...of('_reverse') },
    params: { bidirectional: true },
    host: { lengths: filled(batch, () => length) },
  };
}

/** The cases at `batch` rows of 256 tokens: every kernel at least once. */
export function formCases(batch: number): FormCase[] {
  const rows = [batch, L, D];
  const tokens = batch * L;
  const lengths = filled(batch, () => L);
  const spans = enumerateSpans(lengths, WIDTH);
  const spanShapes = { x: rows, width_embedding: [WIDTH, 25], spans: [spans.length / 3, 3] };
  const qkv = (width: number): Record<string, Shape> => ({
    ...{ q: [batch, L, width], k: [batch, L, width], v: [batch, L, width] },
    lengths: [batch],
  });
  const linear = (out: number, inputs: number): Record<string, Shape> => ({
    ...{ x: [batch, L, inputs], weight: [out, inputs], bias: [out] },
  });
  const nodes = { views: 2, count: 240 };
  const graph = [batch, nodes.views, nodes.count, nodes.count];
  const graphRows = [batch, nodes.count, D];
  const graphHost = { lengths: filled(batch, () => nodes.count) };
  const matrix = [4 * D, D];
  const cases: (Omit<FormCase, 'name' | 'kernel'> & { kernel: string; as?: string })[] = [
    { kernel: 'linear', as: 'linear 768x768', shapes: linear(D, D) },
    { kernel: 'linear', as: 'linear 768x768 f16', shapes: linear(D, D), f16: ['weight'] },
    {
      kernel: 'linear',
      as: 'linear 768x3072 gelu',
      shapes: linear(4 * D, D),
      params: { activation: 'gelu' },
    },
    {
      ...{ kernel: 'linear', as: 'linear 768x3072 gelu to f16', shapes: linear(4 * D, D) },
      ...{ params: { activation: 'gelu', dtype: 'f16' }, f16: ['weight', 'out', 'pre', 'grad_out'] },
    },
    { kernel: 'linear', as: 'linear 3072x768', shapes: linear(D, 4 * D) },
    { kernel: 'linear', as: 'linear 3072x768 of f16', shapes: linear(D, 4 * D), f16: ['x', 'weight'] },
    { kernel: 'linear', as: 'linear 64x64', shapes: { x: rows.with(2, 64), weight: [64, 64], bias: [64] } },
    { kernel: 'attention', as: 'attention 12x64', shapes: qkv(D), params: { heads: 12 }, host: { lengths } },
    {
      kernel: 'attention',
      as: 'attention 8x128',
      shapes: qkv(1024),
      params: { heads: 8 },
      host: { lengths },
    },
    {
      ...{ kernel: 'segment-attention', as: 'segment-attention shared 8x128' },
      ...{ shapes: { ...qkv(1024), weights: [5] }, params: { heads: 8, scales }, host: { lengths } },
    },
    {
      ...{ kernel: 'segment-attention', as: 'segment-attention per-scale 8x128', shapes: qkv(5 * 1024) },
      ...{ params: { heads: 8, scales, projections: 'per-scale' }, host: { lengths } },
    },
    {
      ...{ kernel: 'context-attention', params: { heads: 8 }, host: { lengths, spans } },
      shapes: { ...qkv(D), mask_query: [D], spans: spanShapes.spans },
    },
    {
      kernel: 'visibility-attention',
      shapes: { ...qkv(D), kinds: [batch, L], groups: [batch, L] },
      params: { heads: 12, sees: [0b101, 0b010, 0b001] },
      host: {
        lengths,
        kinds: filled(tokens, (i) => (i % L < 40 ? 0 : i % L < 60 ? 1 : 2)),
        groups: filled(tokens, (i) => (i % L < 60 ? -1 : (i % L) % 98)),
      },
    },
    {
      kernel: 'layer-norm',
      shapes: { x: rows, residual: rows, weight: [D], bias: [D] },
      params: { eps: 1e-12 },
    },
    { kernel: 'softmax', shapes: { x: [batch * 12 * L, L] } },
    {
      kernel: 'sliding-average-pool',
      shapes: { x: rows, lengths: [batch] },
      params: { scales },
      host: { lengths },
    },
    {
      ...{ kernel: 'embedding', shapes: { ids: [batch, L], table: [21128, D] } },
      host: { ids: filled(tokens, (i) => (i * 7919) % 21128) },
    },
    {
      kernel: 'span-enumerate',
      shapes: { lengths: [batch] },
      params: { maxWidth: WIDTH },
      host: { lengths },
    },
    { kernel: 'span-representation', shapes: spanShapes, host: { spans } },
    { kernel: 'span-score', shapes: { ...spanShapes, weight: [5, 2 * D + 25], bias: [5] }, host: { spans } },
    { kernel: 'range-max-pool', shapes: { x: rows, ranges: spanShapes.spans }, host: { ranges: spans } },
    { kernel: 'lstm', ...recurrent(4, batch, L, D, D / 2) },
    { kernel: 'gru', ...recurrent(3, batch, L, D, D / 2) },
    { kernel: 'gru', as: 'gru 100 short rows for one', ...recurrent(3, 100 * batch, 30, 64, 32) },
    {
      kernel: 'gaussian-kl',
      shapes: { mu: graphRows, sigma: graphRows, lengths: [batch] },
      params: { views: nodes.views },
      host: graphHost,
    },
    { kernel: 'graph-adjacency', shapes: { weights: graph, lengths: [batch] }, host: graphHost },
    {
      kernel: 'graph-convolution',
      shapes: { adjacency: graph, x: graphRows, lengths: [batch] },
      host: graphHost,
    },
    {
      ...{
        kernel: 'cross-entropy',
        shapes: { logits: [tokens, 9], targets: [tokens] },
        params: { ignoreIndex: -100 },
      },
      host: { targets: filled(tokens, (i) => i % 9) },
    },
    {
      ...{ kernel: 'binary-cross-entropy', shapes: { logits: [tokens, 5], targets: [tokens, 5] } },
      host: { targets: filled(tokens * 5, (i) => i % 2) },
    },
    { kernel: 'dropout', shapes: { x: rows }, params: { p: 0.1, seed: 1, offset: 2 } },
    { kernel: 'concat', shapes: { x0: rows, x1: rows } },
    { kernel: 'split', shapes: { x: [batch, L, 5 * D] }, params: { widths: [D, D, D, D, D] } },
    { kernel: 'weighted-sum', shapes: { weights: [6], ...times(6, (i) => [`x${i}`, rows]) } },
    { kernel: 'add', shapes: { a: rows, b: rows } },
    { kernel: 'mul', shapes: { a: rows, b: rows } },
    { kernel: 'scale', shapes: { x: rows }, params: { factor: 0.75 } },
    { kernel: 'sum', shapes: { x: rows } },
    { kernel: 'column-sum', shapes: { x: [tokens, D] } },
    {
      ...{ kernel: 'adamw', shapes: { param: matrix, grad: matrix, m: matrix, v: matrix } },
      params: { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, step: 3 },
    },
    { kernel: 'clip-grad-norm', shapes: times(4, (i) => [`grad${i}`, [D, D]]), params: { maxNorm: 1 } },
  ];
  return cases.map(({ as, ...one }) => ({ ...one, name: as ?? one.kernel }));
}

/** One way to plan a kernel: its forward, or its backward. */
interface Form {
  name: string;
  caps: Caps;
  plan?: (request: PlanRequest) => Plan;
  backward?: (request: PlanRequest) => Plan;
}

/** Forms of products that a GPU may be given; the others are a CPU's, or the choice itself. */
const gpuProducts: readonly MatmulForm[] = matmulForms.filter(
  (form) => !/^(default|direct-16|quads)/.test(form),
);
/** What attention has in strips, in bytes of scores. */
const STRIP_BYTES = 16 * 2 ** 20;

/**
 * The forms of a kernel on a GPU with these capabilities: what is chosen unless its subgroups' matrices are asked for, what is
 * chosen on a smaller GPU, and what else there is.
 */
function formsOf(kernel: string, asked: Caps): Form[] {
  const caps = { ...asked, subgroupMatrix: undefined };
  const { maxComputeWorkgroupStorageSize, maxStorageBuffersPerShaderStage } = defaultCaps;
  const small = {
    subgroupMinSize: 0,
    subgroupMaxSize: 0,
    maxComputeWorkgroupStorageSize,
    maxStorageBuffersPerShaderStage,
  };
  const forms: Form[] = [
    { name: CHOSEN, caps },
    { name: 'chosen by default limits without subgroups', caps: { ...caps, ...small } },
  ];
  if (kernel === 'linear')
    // Whatever the class of shapes, its answer is the form.
    for (const form of gpuProducts)
      forms.push({ name: form, caps: { ...caps, tuning: new Proxy({}, { get: () => form }) } });
  if (kernel === 'linear' && asked.subgroupMatrix) forms.push({ name: SUBGROUP_MATRIX, caps: asked });
  if (kernel === attention.name) {
    const strips = { scratchBytes: STRIP_BYTES };
    forms.push({
      ...{ name: 'strips', caps },
      plan: (request) => planAttention(request, strips),
      backward: (request) => planAttentionBackward(request, strips),
    });
  }
  if (kernel === segmentAttention.name)
    for (const [name, tokens] of [['strips', L] as const, ['flash', 16 * L] as const]) {
      const form = chooseSegmentForm({ tokens, scales }, caps);
      forms.push({
        ...{ name, caps },
        plan: (request) => planSegmentAttention(request, form),
        backward: (request) => planSegmentAttentionBackward(request, form),
      });
    }
  return forms;
}

/** The plans of a case, forward and backward, each in the form that is chosen unless `form` has another. */
export function passPlans(
  { kernel: name, shapes, params = {}, host = {}, f16 }: FormCase,
  caps: Caps,
  form: Pick<Form, 'plan' | 'backward'> = {},
): { pass: 'forward' | 'backward'; plan: Plan }[] {
  const kernel = kernels[name];
  const plan = form.plan ?? ((request: PlanRequest) => kernel.plan(request));
  const forward = plan({ shapes, params, caps, host, f16 });
  const made = [{ pass: 'forward' as const, plan: forward }];
  if (!kernel.backward) return made;
  const isHost = (input: string): boolean => host[input] !== undefined;
  const outputs = Object.fromEntries(Object.entries(forward.outputs).map(([n, { shape }]) => [n, shape]));
  const inputs = Object.fromEntries(Object.entries(shapes).filter(([n]) => !isHost(n)));
  const request = backwardRequest<Shape, Int32Array>(
    ...([
      kernel,
      { inputs, host, outputs, params },
      (output: string) => outputs[output],
      Object.keys(inputs),
    ] as const),
  );
  const hostShapes = Object.fromEntries(Object.keys(request.host).map((n) => [n, shapes[n]]));
  const backward = form.backward ?? ((asked: PlanRequest) => request.kernel.plan(asked));
  const asked = {
    shapes: { ...request.inputs, ...hostShapes },
    ...{ params: request.params, caps, host: request.host, wanted: request.wanted, f16 },
  };
  return [...made, { pass: 'backward' as const, plan: backward(asked) }];
}

/** The dispatches of a case in every form, forward and backward, on a GPU with `caps`. */
export const formDispatches = (
  one: FormCase,
  caps: Caps,
): { form: string; pass: 'forward' | 'backward'; dispatches: readonly Dispatch[] }[] =>
  formsOf(one.kernel, caps).flatMap((form) =>
    passPlans(one, form.caps, form).map(({ pass, plan }) => ({
      ...{ form: form.name, pass, dispatches: plan.dispatches },
    })),
  );
