/** `sliding-average-pool`: means of r neighbouring rows, for all scales r in one pass over the input. */
import {
  ceilDiv,
  expectShape,
  foldGrid,
  shapeOf,
  spec,
  type Binding,
  type Caps,
  type Dispatch,
  type Kernel,
  type PlanRequest,
  type Shader,
  type Port,
  type Shape,
} from './plan.ts';
import { fill } from './shared/elementwise.ts';
import { lanesFor } from './shared/lanes.ts';
import { lengthsOf } from './shared/lengths.ts';
import { scalesParam } from './shared/scales.ts';
import { lengthsTable } from './shared/table-rules.ts';
import slidingAveragePoolWgsl from '../shaders/sliding-average-pool.wgsl';
import slidingAveragePoolBackwardWgsl from '../shaders/sliding-average-pool-backward.wgsl';

/** Scales of one dispatch: with `lengths` and x (or grad_x) they fill the 8 storage bindings of every device. */
const SCALES_PER_PASS = 6;
/** Invocations that keep a large GPU busy. */
const GPU_INVOCATIONS = 2 ** 16;

/**
 * Neighbouring rows of a column that one invocation makes, of `vectors` in all: the more, the less of the halo is
 * loaded twice. On a software device 8 was about as fast as 16 and 2 to 5 times as fast as 1; a GPU hides the loads by
 * invocations in flight, so it gets 8 only where that leaves enough of them.
 */
export const chooseTile = (vectors: number, caps: Caps): number =>
  caps.software ? 8 : ([8, 4, 2].find((tile) => vectors / tile >= GPU_INVOCATIONS) ?? 1);

const ports: readonly Port[] = [
  { name: 'x', dtype: 'f32', shape: '[B, L, d]' },
  { name: 'lengths', dtype: 'i32', shape: '[B]', host: true },
];
/** One tensor for each scale: out.2, out.3, … */
const outPort: Port = { name: 'out.<r>', dtype: 'f32', shape: '[B, max(0, L−r+1), d]', repeated: true };
const params = [{ name: 'scales', doc: 'widths of the windows: distinct positive integers' }];

interface Scale {
  r: number;
  outShape: Shape;
  /** Windows within their row's length, over the batch. */
  windows: number;
  /** The next smaller scale of the same pass; 0 for the smallest. */
  below: number;
}

interface Bound {
  shape: Shape;
  lengths: Int32Array;
  /** As given. */
  scales: Scale[];
  /** The scales that have rows at all, ascending, in passes. */
  passes: Scale[][];
}

function bind(kernel: string, request: PlanRequest): Bound {
  const shape = shapeOf(kernel, request, 'x', 3);
  const [b, l, d] = shape;
  const lengths = lengthsOf(kernel, request, b, l);
  const scales = scalesParam(kernel, request.params).map((r): Scale => ({
    r,
    outShape: [b, Math.max(0, l - r + 1), d],
    windows: lengths.reduce((sum, length) => sum + Math.max(0, length - r + 1), 0),
    below: 0,
  }));
  const present = b * d === 0 ? [] : scales.filter(({ r }) => r <= l).sort((p, q) => p.r - q.r);
  const passes = Array.from({ length: ceilDiv(present.length, SCALES_PER_PASS) }, (_, i) =>
    present.slice(i * SCALES_PER_PASS, (i + 1) * SCALES_PER_PASS),
  );
  for (const pass of passes) pass.forEach((scale, i) => (scale.below = i === 0 ? 0 : pass[i - 1].r));
  return { shape, lengths, scales, passes };
}

/** One pass but for bindings and costs: it makes `rows` of each batch row. */
function passOf(
  label: string,
  shader: Shader,
  { shape: [b, l, d] }: Bound,
  rows: number,
  pass: readonly Scale[],
  request: PlanRequest,
): Pick<Dispatch, 'label' | 'shader' | 'entryPoint' | 'constants' | 'uniforms' | 'workgroups' | 'macs'> {
  const lanes = lanesFor(d);
  const tile = chooseTile((b * rows * d) / lanes, request.caps);
  const tiles = ceilDiv(rows, tile);
  const size = (b * tiles * d) / lanes;
  return {
    label,
    shader,
    entryPoint: 'main',
    constants: { LANES: lanes, TILE: tile, SCALES: pass.map(({ r }) => r), COUNT: pass.length },
    uniforms: [size, d / lanes, l, tiles],
    workgroups: foldGrid(ceilDiv(size, 64), request.caps),
    macs: 0,
  };
}

const read = (name: string, tensor = name): Binding => ({ name, access: 'read', tensor });
const write = (name: string, tensor = name): Binding => ({ name, access: 'read_write', tensor });
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/**
 * out.<r> [B, max(0, L−r+1), d] for every r of `scales`: row j is the mean of rows j..j+r−1 of x [B, L, d], 0 where
 * j+r > lengths[b] (docs/spec.md#sliding-average-pool). Gradient: grad_x, 0 in padded rows. Padding of x and of
 * grad_out is never read.
 * Up to 6 scales take one pass over x, each 6 more another. Sums are direct, without a running sum's cancellation.
 * FLOPs with w_r windows within length, scales ascending, s the one below r in its pass (0 for the first): forward
 * Σ_r w_r d (r − max(s, 1) + 1), r's sum going on from s's; backward Σ_r w_r d (r − s + 2), one sum over every offset.
 * Errors: bad scales; lengths of another shape, or outside 0..L, with the row.
 */
export const slidingAveragePool: Kernel = {
  name: 'sliding-average-pool',
  doc: 'out.<r> = means of r neighbouring rows of x, for every r of scales; 0 where they reach into padding',
  inputs: ports,
  outputs: [outPort],
  params,
  tables: lengthsTable,
  plan(request) {
    const name = 'sliding-average-pool';
    const bound = bind(name, request);
    const [b, l, d] = bound.shape;
    const valid = sum([...bound.lengths]);
    return {
      dispatches: bound.passes.map((pass) => ({
        ...passOf(name, slidingAveragePoolWgsl, bound, l - pass[0].r + 1, pass, request),
        bindings: [read('lengths'), read('x'), ...pass.map(({ r }) => write(`out_${r}`, `out.${r}`))],
        flops: d * sum(pass.map(({ r, below, windows }) => windows * (r - Math.max(below, 1) + 1))),
        bytesRead: 4 * (b + valid * d),
        bytesWritten: 4 * b * d * sum(pass.map(({ r }) => l - r + 1)),
      })),
      scratch: {},
      outputs: Object.fromEntries(bound.scales.map(({ r, outShape }) => [`out.${r}`, spec(outShape)])),
      data: { lengths: bound.lengths },
    };
  },
  backward: {
    name: 'sliding-average-pool-backward',
    doc: 'grad_x = Σ over r of 1/r times the rows of grad_out.<r> whose window covers the row',
    inputs: [...ports, { ...outPort, name: 'grad_out.<r>' }],
    outputs: [{ name: 'grad_x', dtype: 'f32', shape: '[B, L, d]' }],
    params,
    tables: lengthsTable,
    plan(request) {
      const name = 'sliding-average-pool-backward';
      const bound = bind(name, request);
      for (const { r, outShape } of bound.scales)
        expectShape(name, `grad_out.${r}`, shapeOf(name, request, `grad_out.${r}`), outShape);
      const [b, l, d] = bound.shape;
      const size = b * l * d;
      const dispatches = bound.passes.map((ascending, i): Dispatch => {
        const pass = [...ascending].reverse();
        const elements = d * sum(pass.map(({ windows }) => windows));
        const again = Number(i > 0);
        const base = passOf(name, slidingAveragePoolBackwardWgsl, bound, l, pass, request);
        return {
          ...base,
          constants: { ...base.constants, NEXT: pass.map(({ below }) => below), ADD: again },
          bindings: [
            read('lengths'),
            ...pass.map(({ r }) => read(`grad_out_${r}`, `grad_out.${r}`)),
            write('grad_x'),
          ],
          flops: d * sum(pass.map(({ r, below, windows }) => windows * (r - below + 2))),
          bytesRead: 4 * (b + elements + again * size),
          bytesWritten: 4 * size,
        };
      });
      if (dispatches.length === 0 && size > 0) dispatches.push(fill(name, 'grad_x', size, 0, request.caps));
      return {
        dispatches,
        scratch: {},
        outputs: { grad_x: spec(bound.shape) },
        data: { lengths: bound.lengths },
      };
    },
  },
};
