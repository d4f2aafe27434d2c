/** Executes a kernel and its backward on a case, dispatch by dispatch. */
import { backwardRequest, visibleOutputs } from '../../../kernels/backward-request.ts';
import {
  sizeOf,
  type Caps,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Shape,
} from '../../../kernels/plan.ts';
import { randomTensors, type ReferenceCase } from '../../../kernels/reference/cases.ts';
import { narrowToHalves, widenHalves } from '../../../src/io/half.ts';
import { execute, placeTensors, type Counts } from './execute.ts';

export interface Counted {
  pass: 'forward' | 'backward';
  dispatch: Dispatch;
  /** Tables of its plan. */
  data: Plan['data'];
  counts: Counts;
}

export interface CountedRun {
  dispatches: Counted[];
  /** Every output and gradient by name. */
  results: Record<string, Float32Array | Int32Array>;
  /** The upstream gradients that the backward was given. */
  upstream: Record<string, Float32Array>;
}

interface Given {
  data: Float32Array | Int32Array;
  shape: Shape;
}

/** Values as f16 in words. */
const packed = (data: ArrayLike<number>): Int32Array =>
  new Int32Array(narrowToHalves(Float32Array.from(data)).buffer);

/** Lanes of a subgroup where `caps` name none. */
const SUBGROUP = 4;

/**
 * Forward, then backward with all gradients.
 * @param f16 the inputs that are stored so: their values are some that f16 holds
 */
export function countRun(
  kernel: Kernel,
  { inputs, params }: ReferenceCase,
  caps: Caps,
  f16: readonly string[] = [],
): CountedRun {
  const dispatches: Counted[] = [];
  const run = (
    pass: Counted['pass'],
    plan: Plan,
    given: Readonly<Record<string, Given>>,
  ): Record<string, Given> => {
    const data = Object.fromEntries(Object.entries(given).map(([name, x]) => [name, x.data]));
    const tensors = placeTensors(plan, data);
    for (const dispatch of plan.dispatches)
      dispatches.push({
        pass,
        dispatch,
        data: plan.data,
        counts: execute(dispatch, tensors, caps.subgroupMinSize || SUBGROUP),
      });
    return Object.fromEntries(
      Object.entries(plan.outputs).map(([name, { shape, dtype }]) => {
        const data = tensors[name];
        const halves = () => widenHalves(new Uint16Array(data.buffer, data.byteOffset, sizeOf(shape)));
        return [name, { shape, data: dtype === 'f16' ? halves() : data }];
      }),
    );
  };
  const tensors: Record<string, Given> = {};
  const host: Record<string, Given> = {};
  for (const [name, { shape, data }] of Object.entries(inputs))
    if (data instanceof Int32Array) host[name] = { shape, data };
    else if (f16.includes(name)) tensors[name] = { shape, data: packed(data) };
    else tensors[name] = { shape, data: Float32Array.from(data) };
  const request = (
    of: Readonly<Record<string, Given>>,
    hosts: Readonly<Record<string, Given>>,
  ): Pick<PlanRequest, 'shapes' | 'host' | 'caps' | 'f16'> => ({
    shapes: Object.fromEntries(Object.entries({ ...of, ...hosts }).map(([name, { shape }]) => [name, shape])),
    host: Object.fromEntries(Object.entries(hosts).map(([name, { data }]) => [name, data as Int32Array])),
    ...{ caps, f16 },
  });
  const plan = kernel.plan({ ...request(tensors, host), params });
  const outputs = run('forward', plan, tensors);
  const results = Object.fromEntries(
    visibleOutputs(kernel, outputs).map((name) => [name, outputs[name].data]),
  );
  if (!kernel.backward) return { dispatches, results, upstream: {} };
  const random = randomTensors(2);
  const upstream: Record<string, Float32Array> = {};
  const backward = backwardRequest<Given, Given>(
    kernel,
    { inputs: tensors, host, outputs, params },
    (name) => {
      const { shape } = outputs[name];
      const data = Float32Array.from(random(...shape).data);
      upstream[`grad_${name}`] = data;
      return { shape, data };
    },
    Object.keys(tensors),
  );
  const { wanted } = backward;
  const gradients = run(
    'backward',
    backward.kernel.plan({ ...request(backward.inputs, backward.host), params: backward.params, wanted }),
    backward.inputs,
  );
  for (const name of wanted) results[name] = gradients[name].data;
  return { dispatches, results, upstream };
}
