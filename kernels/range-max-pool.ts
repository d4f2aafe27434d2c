/** `range-max-pool`: the maximum over ranges of rows; the gradient goes to the first maximal row. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  hostOf,
  shapeOf,
  spec,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
} from './plan.ts';
import { fill } from './shared/elementwise.ts';
import { lanesFor } from './shared/lanes.ts';
import { segmentsByKey, type Segments } from './shared/segments.ts';
import rangeMaxPoolWgsl from '../shaders/range-max-pool.wgsl';
import rangeMaxPoolBackwardWgsl from '../shaders/range-max-pool-backward.wgsl';

const inputs: readonly Port[] = [
  { name: 'x', dtype: 'f32', shape: '[B, L, d]' },
  { name: 'ranges', dtype: 'i32', shape: '[R, 3]', host: true },
];
const argmaxPort: Port = { name: 'argmax', dtype: 'i32', shape: '[R, d]' };

interface Bound {
  b: number;
  l: number;
  d: number;
  count: number;
  ranges: Int32Array;
  /** Rows of x in all ranges, and ranges that have any. */
  covered: number;
  filled: number;
}

function bind(kernel: string, request: PlanRequest): Bound {
  const [b, l, d] = shapeOf(kernel, request, 'x', 3);
  const ranges = hostOf(kernel, request, 'ranges');
  const count = Math.ceil(ranges.length / 3);
  expectShape(kernel, 'ranges', shapeOf(kernel, request, 'ranges'), [count, 3]);
  let covered = 0;
  let filled = 0;
  for (let r = 0; r < count; r++) {
    const batch = ranges[3 * r];
    const start = ranges[3 * r + 1];
    const end = ranges[3 * r + 2];
    if (batch < 0 || batch >= b || start < 0 || start > l || end < 0 || end > l)
      throw new InputError(
        `${kernel}: ranges row ${r} = (${batch}, ${start}, ${end}) is outside x, B = ${b}, L = ${l}`,
      );
    covered += Math.max(0, end - start);
    filled += Number(start < end);
  }
  return { b, l, d, count, ranges, covered, filled };
}

/** The ranges that cover each row of x, in order. */
function coveringRanges({ b, l, count, ranges, covered }: Bound): Segments {
  const rows = new Int32Array(covered);
  const owners = new Int32Array(covered);
  let at = 0;
  for (let r = 0; r < count; r++)
    for (let row = ranges[3 * r + 1]; row < ranges[3 * r + 2]; row++) {
      rows[at] = ranges[3 * r] * l + row;
      owners[at++] = r;
    }
  return segmentsByKey(rows, owners, b * l);
}

/**
 * out [R, d] = max of x [B, L, d] over rows start..end−1 of each (b, start, end) of ranges i32[R, 3]; 0 where
 * end ≤ start (docs/spec.md#range-max-pool). Saved: `argmax` i32 [R, d], the first maximal row, −1 for an empty range.
 * Gradient: grad_x, to the rows in argmax. FLOPs count one per comparison of two values.
 * Errors: a range outside x, with its row.
 */
export const rangeMaxPool: Kernel = {
  name: 'range-max-pool',
  doc: 'out = the maximum of x over rows start..end-1 of each range; 0 for an empty one',
  inputs,
  outputs: [
    { name: 'out', dtype: 'f32', shape: '[R, d]' },
    { ...argmaxPort, saved: true },
  ],
  params: [],
  tables: { ranges: 'the host input ranges, as it is: [R, 3]' },
  plan(request) {
    const { l, d, count, ranges, covered, filled } = bind('range-max-pool', request);
    const lanes = lanesFor(d);
    const size = (count * d) / lanes;
    return {
      dispatches:
        size === 0
          ? []
          : [
              {
                label: 'range-max-pool',
                shader: rangeMaxPoolWgsl,
                entryPoint: 'main',
                constants: { LANES: lanes },
                bindings: [
                  { name: 'ranges', access: 'read', tensor: 'ranges' },
                  { name: 'x', access: 'read', tensor: 'x' },
                  { name: 'out', access: 'read_write', tensor: 'out' },
                  { name: 'argmax', access: 'read_write', tensor: 'argmax' },
                ],
                uniforms: [size, d / lanes, l],
                workgroups: foldGrid(ceilDiv(size, 64), request.caps),
                macs: 0,
                flops: (covered - filled) * d,
                bytesRead: 4 * (covered * d + ranges.length),
                bytesWritten: 8 * count * d,
              },
            ],
      scratch: {},
      outputs: { out: spec([count, d]), argmax: spec([count, d], 'i32') },
      data: { ranges },
    };
  },
  backward: {
    name: 'range-max-pool-backward',
    doc: 'grad_x = grad_out at the first maximal row of each range, summed over ranges',
    inputs: [...inputs, argmaxPort, { name: 'grad_out', dtype: 'f32', shape: '[R, d]' }],
    outputs: [{ name: 'grad_x', dtype: 'f32', shape: '[B, L, d]' }],
    params: [],
    tables: {
      starts:
        '[B L + 1]: for each row of x where its list in covering begins; at the end, how long covering is',
      covering: 'for each row of x the numbers of the ranges that it lies in, ascending',
    },
    plan(request): Plan {
      const name = 'range-max-pool-backward';
      const bound = bind(name, request);
      const { b, l, d, count, covered, filled } = bound;
      for (const input of ['argmax', 'grad_out'])
        expectShape(name, input, shapeOf(name, request, input), [count, d]);
      const outputs = { grad_x: spec([b, l, d]) };
      const elements = b * l * d;
      if (covered * d === 0) {
        const zero = elements > 0 ? [fill(name, 'grad_x', elements, 0, request.caps)] : [];
        return { dispatches: zero, scratch: {}, outputs, data: {} };
      }
      const { starts, items: covering } = coveringRanges(bound);
      const lanes = lanesFor(d);
      return {
        dispatches: [
          {
            label: name,
            shader: rangeMaxPoolBackwardWgsl,
            entryPoint: 'main',
            constants: { LANES: lanes },
            bindings: [
              { name: 'starts', access: 'read', tensor: 'starts' },
              { name: 'covering', access: 'read', tensor: 'covering' },
              { name: 'argmax', access: 'read', tensor: 'argmax' },
              { name: 'grad_out', access: 'read', tensor: 'grad_out' },
              { name: 'grad_x', access: 'read_write', tensor: 'grad_x' },
            ],
            uniforms: [elements / lanes, d / lanes, l],
            workgroups: foldGrid(ceilDiv(elements / lanes, 64), request.caps),
            macs: 0,
            flops: covered * d,
            bytesRead: 8 * filled * d + 4 * (starts.length + covered),
            bytesWritten: 4 * elements,
          },
        ],
        scratch: {},
        outputs,
        data: { starts, covering },
      };
    },
  },
};
