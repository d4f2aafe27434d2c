/** `weighted-sum`: tensors of one shape, each times a learned number, added up: CEREM's mix of scales. */
import { InputError } from './errors.ts';
import { columnSum } from './column-sum.ts';
import { fill } from './shared/elementwise.ts';
import { lanesFor } from './shared/lanes.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  isWanted,
  shapeOf,
  sizeOf,
  spec,
  type Binding,
  type Dispatch,
  type Kernel,
  type PlanRequest,
  type Port,
  type Shape,
} from './plan.ts';
import weightedSumWgsl from '../shaders/weighted-sum.wgsl';

/** As many tensors as a shader has bindings for beside the weights and the result. */
export const MAX_TERMS = 6;
const WORKGROUP = 64;
/** Elements of each tensor that an invocation adds to its partial sums; they leave 1/16 of the input to `column-sum`. */
const STEPS = 16;

const mode = { sum: 0, gradTerms: 1, gradWeights: 2 };
const names = Array.from({ length: MAX_TERMS }, (_, i) => `x${i}`);
const inputs: readonly Port[] = [
  { name: 'weights', dtype: 'f32', shape: '[n]' },
  ...names.map((name, i): Port => ({ name, dtype: 'f32', shape: '[...]', optional: i > 0 })),
];

/** The shape of the terms and their number. Errors: another number of weights than terms, shapes that differ. */
function bind(kernel: string, request: PlanRequest): { shape: Shape; terms: string[] } {
  const shape = shapeOf(kernel, request, 'x0');
  const terms = names.slice(0, names.findLastIndex((name) => request.shapes[name]) + 1);
  for (const name of terms) expectShape(kernel, name, shapeOf(kernel, request, name), shape);
  const weights = shapeOf(kernel, request, 'weights', 1);
  if (weights[0] !== terms.length)
    throw new InputError(`${kernel}: input "weights" has ${weights[0]} values for ${terms.length} tensors`);
  return { shape, terms };
}

/** out = Σ weights · terms, or each grad_<term> = weight · grad_out of those wanted. */
function combine(request: PlanRequest, label: string, size: number, terms: string[]): Dispatch[] {
  const backward = label !== 'weighted-sum';
  const parts = terms
    .map((name, weight) => ({ name, weight }))
    .filter(({ name }) => !backward || isWanted(request, `grad_${name}`));
  if (parts.length === 0 || size === 0) return [];
  const n = parts.length;
  const lanes = lanesFor(size);
  const [read, write] = ['read', 'read_write'] as const;
  const sides = parts.map(({ name }, i): Binding =>
    backward
      ? { name: `grad_x${i}`, access: write, tensor: `grad_${name}` }
      : { name: `x${i}`, access: read, tensor: name },
  );
  return [
    {
      label,
      shader: weightedSumWgsl,
      entryPoint: 'main',
      constants: {
        MODE: backward ? mode.gradTerms : mode.sum,
        LANES: lanes,
        COUNT: n,
        PARTS: parts.map((_, i) => i),
      },
      bindings: [
        { name: 'weights', access: read, tensor: 'weights' },
        backward
          ? { name: 'grad_out', access: read, tensor: 'grad_out' }
          : { name: 'out', access: write, tensor: 'out' },
        ...sides,
      ],
      uniforms: [size / lanes, ...parts.map(({ weight }) => weight)],
      workgroups: foldGrid(ceilDiv(size / lanes, WORKGROUP), request.caps),
      macs: backward ? 0 : n * size,
      flops: (backward ? 1 : 2) * n * size,
      bytesRead: 4 * ((backward ? 1 : n) * size + n),
      bytesWritten: 4 * (backward ? n : 1) * size,
    },
  ];
}

/**
 * out = Σ_i weights[i] · x_i, elementwise over tensors of one shape (x0, x1, … one to six, without a gap in the
 * numbers): the paper's W_stack × T_linear (CEREM, section 4.2). Gradients: grad_x_i = weights[i] · grad_out,
 * grad_weights[i] = Σ grad_out · x_i in a fixed order.
 * Errors: a gap in the numbers, shapes that differ, another number of weights than tensors.
 */
export const weightedSum: Kernel = {
  name: 'weighted-sum',
  doc: 'out = sum over i of weights[i] * x_i, elementwise',
  inputs,
  outputs: [{ name: 'out', dtype: 'f32', shape: '[...]' }],
  params: [],
  plan(request) {
    const { shape, terms } = bind('weighted-sum', request);
    return {
      dispatches: combine(request, 'weighted-sum', sizeOf(shape), terms),
      scratch: {},
      outputs: { out: spec(shape) },
      data: {},
    };
  },
  backward: {
    name: 'weighted-sum-backward',
    doc: 'grad_x_i = weights[i] * grad_out, grad_weights[i] = sum of grad_out * x_i',
    inputs: [...inputs, { name: 'grad_out', dtype: 'f32', shape: '[...]' }],
    outputs: inputs.map((port) => ({ ...port, name: `grad_${port.name}` })),
    params: [],
    plan(request) {
      const name = 'weighted-sum-backward';
      const { shape, terms } = bind(name, request);
      expectShape(name, 'grad_out', shapeOf(name, request, 'grad_out'), shape);
      const wanted = terms.map((term) => `grad_${term}`).filter((grad) => isWanted(request, grad));
      const weights = isWanted(request, 'grad_weights')
        ? weightGradient(request, name, sizeOf(shape), terms)
        : { dispatches: [], scratch: {} };
      return {
        dispatches: [...combine(request, name, sizeOf(shape), terms), ...weights.dispatches],
        scratch: weights.scratch,
        outputs: {
          ...(isWanted(request, 'grad_weights') ? { grad_weights: spec([terms.length]) } : {}),
          ...Object.fromEntries(wanted.map((grad) => [grad, spec(shape)])),
        },
        data: {},
      };
    },
  },
};

/** grad_weights[i] = Σ grad_out · x_i: sums of STEPS elements an invocation, then `column-sum` over them. */
function weightGradient(request: PlanRequest, label: string, size: number, terms: string[]) {
  const n = terms.length;
  if (size === 0) return { dispatches: [fill(label, 'grad_weights', n, 0, request.caps)], scratch: {} };
  const groups = ceilDiv(size, WORKGROUP * STEPS);
  const rows = groups * WORKGROUP;
  const total = columnSum(label, 'partial', rows, n, 'grad_weights', 'sums', request.caps);
  const dispatch: Dispatch = {
    label,
    shader: weightedSumWgsl,
    entryPoint: 'main',
    constants: { MODE: mode.gradWeights, LANES: 1, COUNT: n, PARTS: terms.map((_, i) => i), STEPS },
    bindings: [
      { name: 'partial', access: 'read_write', tensor: 'partial' },
      { name: 'grad_out', access: 'read', tensor: 'grad_out' },
      ...terms.map((tensor): Binding => ({ name: tensor, access: 'read', tensor })),
    ],
    uniforms: [size, groups],
    workgroups: foldGrid(groups, request.caps),
    macs: n * size,
    flops: 2 * n * size,
    bytesRead: 4 * (n + 1) * size,
    bytesWritten: 4 * n * rows,
  };
  return {
    dispatches: [dispatch, ...total.dispatches],
    scratch: { partial: spec([rows, n]), ...total.scratch },
  };
}
