/** `span-representation`: first token, last token and width of every span, side by side. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  hostOf,
  isAdded,
  isWanted,
  shapeOf,
  spec,
  type Dispatch,
  type Kernel,
  type PlanRequest,
  type Port,
  type TensorSpec,
} from './plan.ts';
import { lanesFor } from './shared/lanes.ts';
import { joinParts, segmentsByKey, segmentSum, type PlanPart, type Segments } from './shared/segments.ts';
import { segmentTables } from './shared/table-rules.ts';
import spanRepresentationWgsl from '../shaders/span-representation.wgsl';

/** The inputs that `span-representation` and `span-score` share. */
export const spanInputs: readonly Port[] = [
  { name: 'x', dtype: 'f32', shape: '[B, L, d]' },
  { name: 'width_embedding', dtype: 'f32', shape: '[maxWidth, dw]' },
  { name: 'spans', dtype: 'i32', shape: '[S, 3]', host: true },
];

/** Sizes by the names of docs/spec.md#span-representation, and where each span reads. */
export interface Spans {
  B: number;
  L: number;
  d: number;
  maxWidth: number;
  dw: number;
  S: number;
  spans: Int32Array;
  /** Row of x, seen as [B·L, d], of each span's first and last token. */
  first: Int32Array;
  last: Int32Array;
  /** Row of width_embedding of each span: its width − 1. */
  width: Int32Array;
}

/**
 * Checks `spanInputs` and reads the spans i32[S, 3] = (b, start, end).
 * Errors: shapes that do not fit; a span that is empty, outside x, or wider than maxWidth, with its row.
 */
export function bindSpans(kernel: string, request: PlanRequest): Spans {
  const [B, L, d] = shapeOf(kernel, request, 'x', 3);
  const [maxWidth, dw] = shapeOf(kernel, request, 'width_embedding', 2);
  const spans = hostOf(kernel, request, 'spans');
  const S = Math.ceil(spans.length / 3);
  expectShape(kernel, 'spans', shapeOf(kernel, request, 'spans'), [S, 3]);
  const first = new Int32Array(S);
  const last = new Int32Array(S);
  const width = new Int32Array(S);
  for (let s = 0; s < S; s++) {
    const b = spans[3 * s];
    const start = spans[3 * s + 1];
    const end = spans[3 * s + 2];
    const problem =
      b < 0 || b >= B || start < 0 || start >= end || end > L
        ? `not a span of x, B = ${B}, L = ${L}`
        : end - start > maxWidth && `wider than maxWidth = ${maxWidth}`;
    if (problem) throw new InputError(`${kernel}: spans row ${s} = (${b}, ${start}, ${end}) is ${problem}`);
    first[s] = b * L + start;
    last[s] = b * L + end - 1;
    width[s] = end - start - 1;
  }
  return { B, L, d, maxWidth, dw, S, spans, first, last, width };
}

/**
 * For sums over spans by token: row t of the B·L takes `firstItem(s)` of the spans s that start there, then
 * `lastItem(s)` of those that end there (element offsets into what is summed).
 */
export function segmentsByToken(
  { B, L, S, first, last }: Spans,
  firstItem: (span: number) => number,
  lastItem: (span: number) => number,
): Segments {
  const keys = new Int32Array(2 * S);
  keys.set(first);
  keys.set(last, S);
  const items = Int32Array.from(keys, (_, i) => (i < S ? firstItem(i) : lastItem(i - S)));
  return segmentsByKey(keys, items, B * L);
}

/**
 * out [S, 2d+dw] = [x_start ; x_(end−1) ; width_embedding_(end−start−1)] of each (b, start, end) of spans i32[S, 3];
 * x [B, L, d], width_embedding [maxWidth, dw] (docs/spec.md#span-representation). Rows of x that no span names may hold
 * anything.
 * Gradients: grad_x and grad_width_embedding sum the columns of grad_out by token and by width, in a fixed order.
 * Errors: a span that is empty, outside x, or wider than maxWidth, with its row.
 */
export const spanRepresentation: Kernel = {
  name: 'span-representation',
  doc: 'out = first token, last token and width embedding of each span, side by side',
  inputs: spanInputs,
  outputs: [{ name: 'out', dtype: 'f32', shape: '[S, 2d+dw]' }],
  params: [],
  tables: { spans: 'the host input spans, as it is: [S, 3]' },
  plan(request) {
    const { L, d, dw, S, spans } = bindSpans('span-representation', request);
    const row = 2 * d + dw;
    const lanes = lanesFor(d, dw);
    const size = (S * row) / lanes;
    const dispatch: Dispatch = {
      label: 'span-representation',
      shader: spanRepresentationWgsl,
      entryPoint: 'main',
      constants: { LANES: lanes },
      bindings: [
        { name: 'spans', access: 'read', tensor: 'spans' },
        { name: 'x', access: 'read', tensor: 'x' },
        { name: 'width_embedding', access: 'read', tensor: 'width_embedding' },
        { name: 'out', access: 'read_write', tensor: 'out' },
      ],
      uniforms: [size, L, d / lanes, dw / lanes],
      workgroups: foldGrid(ceilDiv(size, 64), request.caps),
      macs: 0,
      flops: 0,
      bytesRead: 4 * (S * row + spans.length),
      bytesWritten: 4 * S * row,
    };
    return {
      dispatches: size > 0 ? [dispatch] : [],
      scratch: {},
      outputs: { out: spec([S, row]) },
      data: { spans },
    };
  },
  backward: {
    name: 'span-representation-backward',
    doc: 'grad_x, grad_width_embedding = the columns of grad_out summed by token and by width',
    inputs: [...spanInputs, { name: 'grad_out', dtype: 'f32', shape: '[S, 2d+dw]' }],
    outputs: [
      { name: 'grad_x', dtype: 'f32', shape: '[B, L, d]' },
      { name: 'grad_width_embedding', dtype: 'f32', shape: '[maxWidth, dw]' },
    ],
    adds: ['grad_x', 'grad_width_embedding'],
    params: [],
    tables: {
      ...segmentTables(
        'grad_x',
        'a token, b L + i',
        'row s of grad_out at column 0 of the spans s that start there, then at column d of those that end there',
      ),
      ...segmentTables(
        'grad_width_embedding',
        'a width less 1',
        'row s of grad_out at column 2 d of the spans s of that width',
      ),
    },
    plan(request) {
      const name = 'span-representation-backward';
      const bound = bindSpans(name, request);
      const { B, L, d, maxWidth, dw, S, width } = bound;
      const row = 2 * d + dw;
      expectShape(name, 'grad_out', shapeOf(name, request, 'grad_out'), [S, row]);
      const parts: PlanPart[] = [];
      const outputs: Record<string, TensorSpec> = {};
      const sums = (n: number, segments: Segments, out: string): PlanPart =>
        segmentSum(name, 'grad_out', n, segments, out, request.caps, isAdded(request, out));
      if (isWanted(request, 'grad_x')) {
        outputs.grad_x = spec([B, L, d]);
        const tokens = segmentsByToken(
          bound,
          (s) => s * row,
          (s) => s * row + d,
        );
        parts.push(sums(d, tokens, 'grad_x'));
      }
      if (isWanted(request, 'grad_width_embedding')) {
        outputs.grad_width_embedding = spec([maxWidth, dw]);
        const widths = segmentsByKey(
          width,
          width.map((_, s) => s * row + 2 * d),
          maxWidth,
        );
        parts.push(sums(dw, widths, 'grad_width_embedding'));
      }
      return { ...joinParts(parts), outputs };
    },
  },
};
