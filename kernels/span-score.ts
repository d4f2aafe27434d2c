/**
 * `span-score`: span-representation · weightᵀ + bias without the [S, 2d+dw] matrix. The product splits into one of
 * the first token, one of the last and one of the width; each is made once per token or width, and a span adds three
 * rows of N. With 10 spans a token that is a tenth of the multiply-adds and next to none of the memory.
 */
import {
  ceilDiv,
  expectShape,
  foldGrid,
  isAdded,
  isF16,
  isWanted,
  shapeOf,
  sizeOf,
  spec,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
  type Shape,
  type TensorSpec,
} from './plan.ts';
import { columnSum } from './column-sum.ts';
import { fill } from './shared/elementwise.ts';
import { lanesFor } from './shared/lanes.ts';
import { matmul } from './shared/matmul.ts';
import { joinParts, segmentsByKey, segmentSum, type PlanPart } from './shared/segments.ts';
import { bindSpans, spanInputs, type Spans } from './span-representation.ts';
import { segmentTables } from './shared/table-rules.ts';
import spanScoreWgsl from '../shaders/span-score.wgsl';

const inputs: readonly Port[] = [
  ...spanInputs,
  { name: 'weight', dtype: 'f32', shape: '[N, 2d+dw]', f16: true },
  { name: 'bias', dtype: 'f32', shape: '[N]' },
];

interface Bound extends Spans {
  N: number;
  /** Row length of weight, 2d + dw: its columns are for the first token, the last and the width. */
  row: number;
}

function bind(kernel: string, request: PlanRequest): Bound {
  const spans = bindSpans(kernel, request);
  const row = 2 * spans.d + spans.dw;
  const weight = shapeOf(kernel, request, 'weight', 2);
  expectShape(kernel, 'weight', weight, [weight[0], row]);
  expectShape(kernel, 'bias', shapeOf(kernel, request, 'bias'), [weight[0]]);
  return { ...spans, N: weight[0], row };
}

/** out[s] = tokens[0, first] + tokens[1, last] + widths[width]. */
function gatherAdd({ L, B, N, S }: Bound, request: PlanRequest): Dispatch {
  const lanes = lanesFor(N);
  const size = (S * N) / lanes;
  return {
    label: 'span-score',
    shader: spanScoreWgsl,
    entryPoint: 'main',
    constants: { LANES: lanes },
    bindings: [
      { name: 'spans', access: 'read', tensor: 'spans' },
      { name: 'tokens', access: 'read', tensor: 'tokens' },
      { name: 'widths', access: 'read', tensor: 'widths' },
      { name: 'out', access: 'read_write', tensor: 'out' },
    ],
    uniforms: [size, N / lanes, L, B * L],
    workgroups: foldGrid(ceilDiv(size, 64), request.caps),
    macs: 0,
    flops: 2 * S * N,
    bytesRead: 4 * (3 * S * N + 3 * S),
    bytesWritten: 4 * S * N,
  };
}

/**
 * Sums of grad_out over spans, in scratch `sums` [2·B·L + maxWidth, N]: by first token, by last token, by width. They
 * are the gradients of the projections that the forward adds.
 */
function spanSums(kernel: string, bound: Bound, request: PlanRequest): PlanPart {
  const { B, L, S, N, maxWidth, first, last, width } = bound;
  const rows = 2 * B * L + maxWidth;
  const keys = new Int32Array(3 * S);
  const items = new Int32Array(3 * S);
  for (let s = 0; s < S; s++) {
    keys[s] = first[s];
    keys[S + s] = B * L + last[s];
    keys[2 * S + s] = 2 * B * L + width[s];
    items[s] = items[S + s] = items[2 * S + s] = s * N;
  }
  const segments = segmentsByKey(keys, items, rows);
  const sums = segmentSum(kernel, 'grad_out', N, segments, 'sums', request.caps);
  return { ...sums, scratch: { ...sums.scratch, sums: spec([rows, N]) } };
}

/**
 * Scratch `clean` [B·L, d]: x with the rows that no span names set to 0, so that what padding holds (NaN times 0
 * included) cannot reach grad_weight. Undefined where every row is named and x can be used as it is.
 */
function cleanTokens(kernel: string, bound: Bound, request: PlanRequest): PlanPart | undefined {
  const { B, L, d, first, last } = bound;
  const isNamed = new Uint8Array(B * L);
  for (const token of first) isNamed[token] = 1;
  for (const token of last) isNamed[token] = 1;
  const starts = new Int32Array(B * L + 1);
  for (let token = 0; token < B * L; token++) starts[token + 1] = starts[token] + isNamed[token];
  const named = starts[B * L];
  if (named === B * L) return undefined;
  const items = new Int32Array(named);
  for (let token = 0; token < B * L; token++) if (isNamed[token]) items[starts[token]] = token * d;
  const copy = segmentSum(kernel, 'x', d, { starts, items }, 'clean', request.caps);
  return { ...copy, scratch: { ...copy.scratch, clean: spec([B * L, d]) } };
}

/** grad_x = sums₀ · W_first + sums₁ · W_last. */
function gradX(label: string, { B, L, d, N, row }: Bound, request: PlanRequest): Dispatch[] {
  if (d === 0) return [];
  return [0, 1].map((side) =>
    matmul(
      {
        label,
        ...{ m: B * L, n: d, k: N },
        a: { tensor: 'sums', row: N, offset: side * B * L * N },
        b: { tensor: 'weight', row, offset: side * d, f16: isF16(request, 'weight') },
        c: { tensor: 'grad_x', row: d },
        accumulate: side === 1,
      },
      request.caps,
    ),
  );
}

/** grad_weight, column by column: [sums₀ᵀ · x ; sums₁ᵀ · x ; sums₂ᵀ · width_embedding]. */
function gradWeight(kernel: string, bound: Bound, request: PlanRequest): PlanPart {
  const { B, L, d, dw, N, row, maxWidth } = bound;
  const clean = d > 0 ? cleanTokens(kernel, bound, request) : undefined;
  const dispatches: Dispatch[] = [];
  if (d > 0)
    dispatches.push(
      matmul(
        {
          label: kernel,
          ...{ m: N, n: d, k: B * L, outer: 2 },
          a: { tensor: 'sums', row: N, outer: B * L * N },
          b: { tensor: clean ? 'clean' : 'x', row: d },
          c: { tensor: 'grad_weight', row, outer: d },
          transA: true,
        },
        request.caps,
      ),
    );
  if (dw > 0)
    dispatches.push(
      matmul(
        {
          label: kernel,
          ...{ m: N, n: dw, k: maxWidth },
          a: { tensor: 'sums', row: N, offset: 2 * B * L * N },
          b: { tensor: 'width_embedding', row: dw },
          c: { tensor: 'grad_weight', row, offset: 2 * d },
          transA: true,
        },
        request.caps,
      ),
    );
  return joinParts([...(clean ? [clean] : []), { dispatches, scratch: {}, data: {} }]);
}

/** grad_width_embedding = sums₂ · W_width. */
function gradWidthEmbedding(label: string, bound: Bound, request: PlanRequest): Dispatch[] {
  const { B, L, d, dw, N, row, maxWidth } = bound;
  if (dw === 0) return [];
  return [
    matmul(
      {
        label,
        ...{ m: maxWidth, n: dw, k: N },
        a: { tensor: 'sums', row: N, offset: 2 * B * L * N },
        b: { tensor: 'weight', row, offset: 2 * d, f16: isF16(request, 'weight') },
        c: { tensor: 'grad_width_embedding', row: dw },
        accumulate: isAdded(request, 'grad_width_embedding'),
      },
      request.caps,
    ),
  ];
}

function backwardPlan(kernel: string, request: PlanRequest): Plan {
  const bound = bind(kernel, request);
  const { B, L, d, dw, maxWidth, S, N, row } = bound;
  expectShape(kernel, 'grad_out', shapeOf(kernel, request, 'grad_out'), [S, N]);
  const shapes: Record<string, Shape> = {
    grad_x: [B, L, d],
    grad_width_embedding: [maxWidth, dw],
    grad_weight: [N, row],
    grad_bias: [N],
  };
  const wanted = Object.keys(shapes).filter((name) => isWanted(request, name));
  const outputs: Record<string, TensorSpec> = {};
  for (const name of wanted) outputs[name] = spec(shapes[name]);
  if (S * N === 0) {
    const zero = wanted.filter((name) => sizeOf(shapes[name]) > 0 && !isAdded(request, name));
    const dispatches = zero.map((name) => fill(kernel, name, sizeOf(shapes[name]), 0, request.caps));
    return { dispatches, scratch: {}, outputs, data: {} };
  }
  const parts: PlanPart[] = [];
  const addDispatches = (dispatches: Dispatch[]) => parts.push({ dispatches, scratch: {}, data: {} });
  if (wanted.some((name) => name !== 'grad_bias')) parts.push(spanSums(kernel, bound, request));
  if (wanted.includes('grad_x')) addDispatches(gradX(kernel, bound, request));
  if (wanted.includes('grad_width_embedding')) addDispatches(gradWidthEmbedding(kernel, bound, request));
  if (wanted.includes('grad_weight')) parts.push(gradWeight(kernel, bound, request));
  if (wanted.includes('grad_bias'))
    parts.push({
      ...columnSum(kernel, 'grad_out', S, N, 'grad_bias', 'bias_partial', request.caps),
      data: {},
    });
  return { ...joinParts(parts), outputs };
}

/**
 * out [S, N] = span-representation · weightᵀ + bias (docs/spec.md#span-score); x [B, L, d], width_embedding [maxWidth,
 * dw], spans i32[S, 3], weight [N, 2d+dw], bias [N]. Rows of x that no span names may hold anything; their gradient is
 * 0.
 * Scratch: projections [2·B·L + maxWidth, N]; backward as much, and a copy of x where some row is not named.
 * Errors: a span that is empty, outside x, or wider than maxWidth, with its row; weight or bias that do not fit.
 */
export const spanScore: Kernel = {
  name: 'span-score',
  doc: 'out = span-representation · weightᵀ + bias, without the [S, 2d+dw] matrix',
  inputs,
  outputs: [{ name: 'out', dtype: 'f32', shape: '[S, N]' }],
  params: [],
  tables: { spans: 'the host input spans, as it is: [S, 3]' },
  plan(request): Plan {
    const { caps } = request;
    const bound = bind('span-score', request);
    const { B, L, d, dw, maxWidth, S, N, row, spans } = bound;
    const outputs = { out: spec([S, N]) };
    if (S * N === 0) return { dispatches: [], scratch: {}, outputs, data: {} };
    const tokens = matmul(
      {
        label: 'span-score',
        ...{ m: B * L, n: N, k: d, outer: 2 },
        a: { tensor: 'x', row: d },
        b: { tensor: 'weight', row, outer: d, f16: isF16(request, 'weight') },
        c: { tensor: 'tokens', row: N, outer: B * L * N },
        transB: true,
      },
      caps,
    );
    const widths = matmul(
      {
        label: 'span-score',
        ...{ m: maxWidth, n: N, k: dw },
        a: { tensor: 'width_embedding', row: dw },
        b: { tensor: 'weight', row, offset: 2 * d, f16: isF16(request, 'weight') },
        c: { tensor: 'widths', row: N },
        transB: true,
        bias: 'bias',
      },
      caps,
    );
    return {
      dispatches: [tokens, widths, gatherAdd(bound, request)],
      scratch: { tokens: spec([2, B * L, N]), widths: spec([maxWidth, N]) },
      outputs,
      data: { spans },
    };
  },
  backward: {
    name: 'span-score-backward',
    doc: 'gradients of x, width_embedding, weight and bias from sums of grad_out by token and by width',
    inputs: [...inputs, { name: 'grad_out', dtype: 'f32', shape: '[S, N]' }],
    outputs: [
      { name: 'grad_x', dtype: 'f32', shape: '[B, L, d]' },
      { name: 'grad_width_embedding', dtype: 'f32', shape: '[maxWidth, dw]' },
      { name: 'grad_weight', dtype: 'f32', shape: '[N, 2d+dw]' },
      { name: 'grad_bias', dtype: 'f32', shape: '[N]' },
    ],
    adds: ['grad_width_embedding'],
    params: [],
    tables: {
      ...segmentTables(
        'sums',
        'a first token b L + i, B L + a last token, or 2 B L + a width less 1',
        'row s of grad_out of the spans s that have it',
      ),
      ...segmentTables(
        'clean',
        'a token, b L + i',
        'row b L + i of x where a span starts or ends at that token',
      ),
    },
    plan: (request) => backwardPlan('span-score-backward', request),
  },
};
