/** `dropout`: a mask from a counter-based generator, so that the backward recomputes it instead of keeping it. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  f32,
  foldGrid,
  integerParam,
  numberParam,
  shapeOf,
  sizeOf,
  spec,
  type Kernel,
  type Plan,
  type PlanRequest,
} from './plan.ts';
import { fill } from './shared/elementwise.ts';
import { lanesFor } from './shared/lanes.ts';
import dropoutWgsl from '../shaders/dropout.wgsl';

const params = [
  { name: 'p', doc: 'probability of dropping an element, 0 to 1' },
  { name: 'seed', doc: 'first word of the Philox key, u32' },
  {
    name: 'offset',
    doc: 'second word of the Philox counter, u32: a fresh one for every use of the seed',
    live: true,
  },
];

function wordParam(kernel: string, request: PlanRequest, name: string): number {
  const value = integerParam(kernel, request.params, name);
  if (value >= 2 ** 32)
    throw new InputError(`${kernel}: parameter "${name}" must be below 2^32, got ${value}`);
  return value;
}

function dropPlan(kernel: string, request: PlanRequest, input: string, output: string): Plan {
  const shape = shapeOf(kernel, request, input);
  const size = sizeOf(shape);
  const p = numberParam(kernel, request.params, 'p');
  if (p < 0 || p > 1) throw new InputError(`${kernel}: parameter "p" must be from 0 to 1, got ${p}`);
  const seed = wordParam(kernel, request, 'seed');
  const offset = wordParam(kernel, request, 'offset');
  const rest = { scratch: {}, outputs: { [output]: spec(shape) }, data: {} };
  // p = 1 has neither a threshold that fits 32 bits nor a finite factor.
  if (p === 1) return { dispatches: [fill(kernel, output, size, 0, request.caps)], ...rest };
  return {
    dispatches: [
      {
        label: kernel,
        shader: dropoutWgsl,
        entryPoint: 'main',
        constants: { LANES: lanesFor(size) },
        bindings: [
          { name: 'x', access: 'read', tensor: input },
          { name: 'out', access: 'read_write', tensor: output },
        ],
        uniforms: [size, Math.floor(p * 2 ** 32), seed, offset, f32(1 / (1 - p))],
        workgroups: foldGrid(ceilDiv(size, 256), request.caps),
        macs: 0,
        flops: size,
        bytesRead: 4 * size,
        bytesWritten: 4 * size,
      },
    ],
    ...rest,
  };
}

/**
 * out = x [...] with elements dropped at random and the others times 1/(1−p) (docs/spec.md#dropout: Philox 4x32-10,
 * counter (i>>2, offset, 0, 0), key (seed, 0)). p = 0 is the identity. Gradient: the same mask and factor on grad_out.
 * FLOPs count the one multiplication per element, not the generator's integer operations.
 * Errors: p outside [0, 1], seed or offset not a u32.
 */
export const dropout: Kernel = {
  name: 'dropout',
  doc: 'out = x with elements dropped with probability p, the others times 1/(1-p)',
  inputs: [{ name: 'x', dtype: 'f32', shape: '[...]' }],
  outputs: [{ name: 'out', dtype: 'f32', shape: '[...]' }],
  params,
  plan: (request) => dropPlan('dropout', request, 'x', 'out'),
  backward: {
    name: 'dropout-backward',
    doc: 'grad_x = grad_out with the same mask and factor',
    inputs: [{ name: 'grad_out', dtype: 'f32', shape: '[...]' }],
    outputs: [{ name: 'grad_x', dtype: 'f32', shape: '[...]' }],
    params,
    plan: (request) => dropPlan('dropout-backward', request, 'grad_out', 'grad_x'),
  },
};
