/** `concat`: up to four tensors side by side along the last axis. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  isWanted,
  shapeOf,
  spec,
  type Binding,
  type Dispatch,
  type Kernel,
  type PlanRequest,
  type Port,
  type Shape,
} from './plan.ts';
import { lanesFor } from './lanes.ts';
import { rowsOf } from './matmul.ts';

const names = ['x0', 'x1', 'x2', 'x3'];
const inputs: readonly Port[] = names.map((name, i) => ({
  name,
  dtype: 'f32',
  shape: `[..., n${i}]`,
  optional: i > 0,
}));

interface Part {
  name: string;
  shape: Shape;
  /** First column in out, and number of columns. */
  start: number;
  width: number;
}

interface Bound {
  parts: Part[];
  rows: number;
  total: number;
  outShape: Shape;
}

function bind(kernel: string, request: PlanRequest): Bound {
  const count = Math.max(1, names.findLastIndex((name) => request.shapes[name]) + 1);
  const leading = shapeOf(kernel, request, 'x0').slice(0, -1);
  let total = 0;
  const parts = names.slice(0, count).map((name): Part => {
    const shape = shapeOf(kernel, request, name);
    if (shape.length === 0)
      throw new InputError(`${kernel}: input "${name}" is a scalar, it has no last axis`);
    const width = shape[shape.length - 1];
    expectShape(kernel, name, shape, [...leading, width]);
    const start = total;
    total += width;
    return { name, shape, start, width };
  });
  return { parts, rows: rowsOf(parts[0].shape), total, outShape: [...leading, total] };
}

/** The copy between out (or grad_out) and `parts`; none where there is nothing to copy. */
function copy(
  kernel: string,
  bound: Bound,
  parts: readonly Part[],
  backward: boolean,
  request: PlanRequest,
): Dispatch[] {
  const { rows, total } = bound;
  const moved = parts.filter(({ width }) => rows * width > 0);
  if (moved.length === 0) return [];
  const lanes = lanesFor(...bound.parts.map(({ width }) => width));
  const copied = rows * moved.reduce((sum, { width }) => sum + width, 0);
  const [read, write] = ['read', 'read_write'] as const;
  const sides: Binding[] = moved.map(({ name }, i) =>
    backward
      ? { name: `grad_x${i}`, access: write, tensor: `grad_${name}` }
      : { name: `x${i}`, access: read, tensor: name },
  );
  return [
    {
      label: kernel,
      shader: 'concat',
      entryPoint: 'main',
      constants: {
        LANES: lanes,
        BACKWARD: Number(backward),
        COUNT: moved.length,
        PARTS: moved.map((_, i) => i),
      },
      bindings: backward
        ? [{ name: 'grad_out', access: read, tensor: 'grad_out' }, ...sides]
        : [...sides, { name: 'out', access: write, tensor: 'out' }],
      uniforms: [
        (rows * total) / lanes,
        total / lanes,
        ...moved.flatMap(({ start, width }) => [start / lanes, width / lanes]),
      ],
      workgroups: foldGrid(ceilDiv((rows * total) / lanes, 64), request.caps),
      macs: 0,
      flops: 0,
      bytesRead: 4 * copied,
      bytesWritten: 4 * copied,
    },
  ];
}

/**
 * out [..., n0+n1+…] = x0 [..., n0], x1 [..., n1], … (one to four, without a gap in the numbers) side by side.
 * Gradient: the columns of grad_out that each input filled.
 * Errors: a gap in the numbers, a scalar, leading axes that differ.
 */
export const concat: Kernel = {
  name: 'concat',
  doc: 'out = x0, x1, … side by side along the last axis',
  inputs,
  outputs: [{ name: 'out', dtype: 'f32', shape: '[..., n0+n1+…]' }],
  params: [],
  plan(request) {
    const bound = bind('concat', request);
    return {
      dispatches: copy('concat', bound, bound.parts, false, request),
      scratch: {},
      outputs: { out: spec(bound.outShape) },
      data: {},
    };
  },
  backward: {
    name: 'concat-backward',
    doc: 'grad_x0, grad_x1, … = the columns of grad_out that each input filled',
    inputs: [...inputs, { name: 'grad_out', dtype: 'f32', shape: '[..., n0+n1+…]' }],
    outputs: inputs.map((port) => ({ ...port, name: `grad_${port.name}` })),
    params: [],
    plan(request) {
      const name = 'concat-backward';
      const bound = bind(name, request);
      expectShape(name, 'grad_out', shapeOf(name, request, 'grad_out'), bound.outShape);
      const parts = bound.parts.filter((part) => isWanted(request, `grad_${part.name}`));
      return {
        dispatches: copy(name, bound, parts, true, request),
        scratch: {},
        outputs: Object.fromEntries(parts.map((part) => [`grad_${part.name}`, spec(part.shape)])),
        data: {},
      };
    },
  },
};
