/** `concat`: up to seven tensors side by side along the last axis. `split` copies the other way (split.ts). */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  isAdded,
  isWanted,
  shapeOf,
  spec,
  type Binding,
  type Caps,
  type Dispatch,
  type Kernel,
  type PlanRequest,
  type Port,
  type Shape,
} from './plan.ts';
import { lanesFor } from './shared/lanes.ts';
import { rowsOf } from './shared/matmul.ts';
import concatWgsl from '../shaders/concat.wgsl';

/** As many as a shader has bindings for beside the joined tensor. */
export const MAX_PARTS = 7;
const names = Array.from({ length: MAX_PARTS }, (_, i) => `x${i}`);
const inputs: readonly Port[] = names.map((name, i) => ({
  name,
  dtype: 'f32',
  shape: `[..., n${i}]`,
  optional: i > 0,
}));

/** Columns of a joined matrix that a tensor of their own holds. */
export interface Columns {
  tensor: string;
  /** First column in the joined matrix, and number of columns. */
  start: number;
  width: number;
  /** Added to what the tensor holds. */
  add?: boolean;
}

interface Part {
  name: string;
  shape: Shape;
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

/**
 * The copy between a joined matrix [rows, total] and tensors of some of its columns, in one dispatch; none where there
 * is nothing to copy. `apart`: from the joined one to the parts.
 */
export function copyColumns(
  label: string,
  joined: string,
  rows: number,
  total: number,
  parts: readonly Columns[],
  apart: boolean,
  caps: Caps,
): Dispatch[] {
  const moved = parts.filter(({ width }) => rows * width > 0);
  if (moved.length === 0) return [];
  const lanes = lanesFor(total, ...moved.flatMap(({ start, width }) => [start, width]));
  const copied = rows * moved.reduce((sum, { width }) => sum + width, 0);
  const added = rows * moved.reduce((sum, { width, add }) => sum + (add ? width : 0), 0);
  const [read, write] = ['read', 'read_write'] as const;
  const sides: Binding[] = moved.map(({ tensor }, i) =>
    apart ? { name: `grad_x${i}`, access: write, tensor } : { name: `x${i}`, access: read, tensor },
  );
  return [
    {
      label,
      shader: concatWgsl,
      entryPoint: 'main',
      constants: {
        LANES: lanes,
        BACKWARD: Number(apart),
        COUNT: moved.length,
        PARTS: moved.map((_, i) => i),
        ADD: moved.map(({ add }) => Number(add ?? false)),
      },
      bindings: apart
        ? [{ name: 'grad_out', access: read, tensor: joined }, ...sides]
        : [...sides, { name: 'out', access: write, tensor: joined }],
      uniforms: [
        (rows * total) / lanes,
        total / lanes,
        ...moved.flatMap(({ start, width }) => [start / lanes, width / lanes]),
      ],
      workgroups: foldGrid(ceilDiv((rows * total) / lanes, 64), caps),
      macs: 0,
      flops: added,
      bytesRead: 4 * (copied + added),
      bytesWritten: 4 * copied,
    },
  ];
}

/**
 * out [..., n0+n1+…] = x0 [..., n0], x1 [..., n1], … (one to seven, without a gap in the numbers) side by side.
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
    const parts = bound.parts.map((part) => ({ ...part, tensor: part.name }));
    return {
      dispatches: copyColumns('concat', 'out', bound.rows, bound.total, parts, false, request.caps),
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
    adds: names.map((name) => `grad_${name}`),
    params: [],
    plan(request) {
      const name = 'concat-backward';
      const bound = bind(name, request);
      expectShape(name, 'grad_out', shapeOf(name, request, 'grad_out'), bound.outShape);
      const parts = bound.parts
        .map((part) => ({ ...part, tensor: `grad_${part.name}` }))
        .map((part) => ({ ...part, add: isAdded(request, part.tensor) }))
        .filter(({ tensor }) => isWanted(request, tensor));
      return {
        dispatches: copyColumns(name, 'grad_out', bound.rows, bound.total, parts, true, request.caps),
        scratch: {},
        outputs: Object.fromEntries(parts.map(({ tensor, shape }) => [tensor, spec(shape)])),
        data: {},
      };
    },
  },
};
