/** Plans of every kernel on its reference cases, and on a few that only plans need. */
import { defaultCaps, type Caps, type Kernel, type Plan, type PlanRequest } from '../../kernels/index.ts';
import { randomTensors, referenceCases, type ReferenceCase } from '../../kernels/reference/cases.ts';

/** Both sides of every choice by the kind of device. */
const devices: readonly Caps[] = [
  defaultCaps,
  { ...defaultCaps, software: true, subgroupMinSize: 4, subgroupMaxSize: 4 },
  {
    ...{ ...defaultCaps, f16: true, timestamps: true, subgroupMinSize: 32, subgroupMaxSize: 32 },
    subgroupMatrix: { m: 16, n: 16, k: 16 },
  },
];

const random = randomTensors(3);

/** More rows than the form row by row takes, of two steps each. */
const MANY = 256;
const weights = (suffix: string) => ({
  [`weight_ih_l0${suffix}`]: random(6, 3),
  [`weight_hh_l0${suffix}`]: random(6, 2),
  [`bias_ih_l0${suffix}`]: random(6),
  [`bias_hh_l0${suffix}`]: random(6),
});
const manyRows: ReferenceCase = {
  inputs: {
    x: random(MANY, 2, 3),
    ...weights(''),
    ...weights('_reverse'),
    lengths: { shape: [MANY], data: new Int32Array(MANY).fill(2) },
  },
  params: { bidirectional: true },
};

/** Cases for WGSL that no reference case needs. */
const more: Readonly<Record<string, ReferenceCase[]>> = {
  gru: [manyRows],
  // Large enough for the matrices of subgroups.
  linear: [{ inputs: { x: random(128, 32), weight: random(256, 32), bias: random(256) }, params: {} }],
  'segment-attention': [
    {
      inputs: {
        ...{ q: random(1, 40, 4), k: random(1, 40, 4), v: random(1, 40, 4), weights: random(2) },
        lengths: { shape: [1], data: Int32Array.of(38) },
      },
      params: { heads: 2, scales: [2, 35] },
    },
  ],
};

/** Plans of a kernel and its backward on its reference cases, with the names of what they are given. */
export function plansOf(kernel: Kernel): { plan: Plan; given: string[] }[] {
  return devices.flatMap((caps) =>
    [...referenceCases(kernel.name), ...(more[kernel.name] ?? [])].flatMap(({ inputs, params }) => {
      const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));
      const host = Object.fromEntries(
        Object.entries(inputs).flatMap(([name, { data }]) =>
          data instanceof Int32Array ? [[name, data]] : [],
        ),
      );
      const request: PlanRequest = { shapes, params, caps, host };
      const plan = kernel.plan(request);
      const forward = { plan, given: Object.keys(shapes) };
      if (!kernel.backward) return [forward];
      for (const [name, { shape }] of Object.entries(plan.outputs))
        Object.assign(shapes, { [name]: shape, [`grad_${name}`]: shape });
      return [forward, { plan: kernel.backward.plan(request), given: Object.keys(shapes) }];
    }),
  );
}
