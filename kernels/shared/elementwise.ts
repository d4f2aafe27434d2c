/** Elementwise kernels: `add`, `mul`, `scale`; and the `fill` dispatch that other plans use for their empty cases. */
import {
  ceilDiv,
  expectShape,
  f32,
  foldGrid,
  isWanted,
  numberParam,
  shapeOf,
  sizeOf,
  spec,
  type Binding,
  type Caps,
  type Dispatch,
  type Kernel,
  type Port,
} from '../plan.ts';
import elementwiseWgsl from '../../shaders/elementwise.wgsl';

const op = { fill: 0, add: 1, mul: 2, scale: 3, accumulate: 4, scaleAndAdd: 5, copyTwice: 6 };

function elementwise(
  label: string,
  code: number,
  size: number,
  reads: readonly [name: string, tensor: string][],
  out: string,
  factor: number,
  caps: Caps,
  offset = 0,
): Dispatch {
  const bindings: Binding[] = reads.map(([name, tensor]) => ({ name, access: 'read', tensor }));
  bindings.push({ name: 'out', access: 'read_write', tensor: out });
  return {
    label,
    shader: elementwiseWgsl,
    entryPoint: 'main',
    constants: { OP: code },
    bindings,
    uniforms: [size, f32(factor), f32(offset)],
    workgroups: foldGrid(ceilDiv(size, 64), caps),
    macs: 0,
    flops: { [op.fill]: 0, [op.copyTwice]: 0, [op.scaleAndAdd]: 2 * size }[code] ?? size,
    bytesRead: 4 * size * reads.length,
    bytesWritten: 4 * size,
  };
}

/** Writes `value` to the first `size` elements of an f32 tensor of the plan, in fours where they are multiples of four. */
export function fill(label: string, tensor: string, size: number, value: number, caps: Caps): Dispatch {
  const VEC = Number(size % 4 === 0);
  const { uniforms, ...rest } = elementwise(label, op.fill, size, [], tensor, value, caps);
  const values = VEC ? size / 4 : size;
  return {
    ...rest,
    constants: { ...rest.constants, VEC },
    uniforms: [values, ...uniforms.slice(1)],
    workgroups: foldGrid(ceilDiv(values, 64), caps),
  };
}

/** out = a + b over `size` elements of tensors of the plan. */
export const addDispatch = (
  label: string,
  a: string,
  b: string,
  out: string,
  size: number,
  caps: Caps,
): Dispatch =>
  elementwise(
    label,
    op.add,
    size,
    [
      ['a', a],
      ['b', b],
    ],
    out,
    0,
    caps,
  );

/** The same dispatch with a second output of as many elements. */
const withSecond = (dispatch: Dispatch, tensor: string, size: number): Dispatch => ({
  ...dispatch,
  bindings: [...dispatch.bindings, { name: 'second', access: 'read_write', tensor }],
  bytesWritten: dispatch.bytesWritten + 4 * size,
});

const pair: readonly Port[] = [
  { name: 'a', dtype: 'f32', shape: '[...]' },
  { name: 'b', dtype: 'f32', shape: '[...]' },
];
const out: Port = { name: 'out', dtype: 'f32', shape: '[...]' };
const gradOut: Port = { name: 'grad_out', dtype: 'f32', shape: '[...]' };
const gradPair: readonly Port[] = [
  { name: 'grad_a', dtype: 'f32', shape: '[...]' },
  { name: 'grad_b', dtype: 'f32', shape: '[...]' },
];

/** out = a + b, same shapes. Gradients: both are grad_out. */
export const add: Kernel = {
  name: 'add',
  doc: 'out = a + b, elementwise, same shapes',
  inputs: pair,
  outputs: [out],
  params: [],
  plan(request) {
    const shape = shapeOf('add', request, 'a');
    expectShape('add', 'b', shapeOf('add', request, 'b'), shape);
    return {
      dispatches: [addDispatch('add', 'a', 'b', 'out', sizeOf(shape), request.caps)],
      scratch: {},
      outputs: { out: spec(shape) },
      data: {},
    };
  },
  backward: {
    name: 'add-backward',
    doc: 'grad_a = grad_b = grad_out',
    inputs: [gradOut],
    outputs: gradPair,
    params: [],
    plan(request) {
      const shape = shapeOf('add-backward', request, 'grad_out');
      const size = sizeOf(shape);
      const names = gradPair.map((p) => p.name).filter((name) => isWanted(request, name));
      const [first, second] = names as [string?, string?];
      const code = second ? op.copyTwice : op.scale;
      const copy =
        first && elementwise('add-backward', code, size, [['a', 'grad_out']], first, 1, request.caps);
      return {
        dispatches: copy ? [second ? withSecond(copy, second, size) : copy] : [],
        scratch: {},
        outputs: Object.fromEntries(names.map((name) => [name, spec(shape)])),
        data: {},
      };
    },
  },
};

/** out = a * b, same shapes. Gradients: grad_a = grad_out * b, grad_b = grad_out * a. */
export const mul: Kernel = {
  name: 'mul',
  doc: 'out = a * b, elementwise, same shapes',
  inputs: pair,
  outputs: [out],
  params: [],
  plan(request) {
    const shape = shapeOf('mul', request, 'a');
    expectShape('mul', 'b', shapeOf('mul', request, 'b'), shape);
    const reads: [string, string][] = [
      ['a', 'a'],
      ['b', 'b'],
    ];
    return {
      dispatches: [elementwise('mul', op.mul, sizeOf(shape), reads, 'out', 0, request.caps)],
      scratch: {},
      outputs: { out: spec(shape) },
      data: {},
    };
  },
  backward: {
    name: 'mul-backward',
    doc: 'grad_a = grad_out * b, grad_b = grad_out * a',
    inputs: [...pair, gradOut],
    outputs: gradPair,
    params: [],
    plan(request) {
      const shape = shapeOf('mul-backward', request, 'grad_out');
      const sides: [name: string, other: string][] = [
        ['grad_a', 'b'],
        ['grad_b', 'a'],
      ];
      const wanted = sides.filter(([name]) => isWanted(request, name));
      return {
        dispatches: wanted.map(([name, other]) => {
          const reads: [string, string][] = [
            ['a', 'grad_out'],
            ['b', other],
          ];
          return elementwise('mul-backward', op.mul, sizeOf(shape), reads, name, 0, request.caps);
        }),
        scratch: {},
        outputs: Object.fromEntries(wanted.map(([name]) => [name, spec(shape)])),
        data: {},
      };
    },
  },
};

/** out = factor * x + offset. Gradient: grad_x = factor * grad_out. */
export const scale: Kernel = {
  name: 'scale',
  doc: 'out = factor * x + offset',
  inputs: [{ name: 'x', dtype: 'f32', shape: '[...]' }],
  outputs: [out],
  params: [
    { name: 'factor', doc: 'the multiplier' },
    { name: 'offset', doc: 'what is added', default: 0 },
  ],
  plan(request) {
    const shape = shapeOf('scale', request, 'x');
    const factor = numberParam('scale', request.params, 'factor');
    const offset = numberParam('scale', request.params, 'offset', 0);
    const code = offset === 0 ? op.scale : op.scaleAndAdd;
    return {
      dispatches: [
        elementwise('scale', code, sizeOf(shape), [['a', 'x']], 'out', factor, request.caps, offset),
      ],
      scratch: {},
      outputs: { out: spec(shape) },
      data: {},
    };
  },
  backward: {
    name: 'scale-backward',
    doc: 'grad_x = factor * grad_out',
    inputs: [gradOut],
    outputs: [{ name: 'grad_x', dtype: 'f32', shape: '[...]' }],
    params: [{ name: 'factor', doc: 'the multiplier' }],
    plan(request) {
      const shape = shapeOf('scale-backward', request, 'grad_out');
      const factor = numberParam('scale-backward', request.params, 'factor');
      return {
        dispatches: [
          elementwise(
            'scale-backward',
            op.scale,
            sizeOf(shape),
            [['a', 'grad_out']],
            'grad_x',
            factor,
            request.caps,
          ),
        ],
        scratch: {},
        outputs: { grad_x: spec(shape) },
        data: {},
      };
    },
  },
};

/** total += x, in place: how the tape adds gradients. Not differentiable. */
export const accumulate: Kernel = {
  name: 'accumulate',
  doc: 'total += x, in place',
  inputs: [
    { name: 'total', dtype: 'f32', shape: '[...]' },
    { name: 'x', dtype: 'f32', shape: '[...]' },
  ],
  outputs: [{ name: 'total', dtype: 'f32', shape: '[...]' }],
  params: [],
  plan(request) {
    const shape = shapeOf('accumulate', request, 'total');
    expectShape('accumulate', 'x', shapeOf('accumulate', request, 'x'), shape);
    const size = sizeOf(shape);
    return {
      dispatches: [
        {
          ...elementwise('accumulate', op.accumulate, size, [['a', 'x']], 'total', 0, request.caps),
          bytesRead: 8 * size,
        },
      ],
      scratch: {},
      outputs: { total: spec(shape) },
      data: {},
      inPlace: { total: 'total' },
    };
  },
};
