/** Executes a kernel and its backward on a case, dispatch by dispatch. */
import { backwardRequest, visibleOutputs } from '../../../kernels/backward-request.ts';
import type { Caps, Dispatch, DType, Kernel, Plan, PlanRequest, Shape } from '../../../kernels/plan.ts';
import { randomTensors, type ReferenceCase } from '../../../kernels/reference/cases.ts';
import type { RefTensor } from '../../../kernels/reference/types.ts';
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
  /** Every output and gradient by name, f16 as the f32 that they are. */
  results: Record<string, Float32Array | Int32Array>;
  /** Those of them that are stored as f16. */
  halves: string[];
  /** The upstream gradients that the backward was given, rounded where they are f16. */
  upstream: Record<string, Float32Array>;
}

interface Given {
  data: Float32Array | Int32Array;
  shape: Shape;
  dtype: DType;
}

/** Values as a tensor; as f16 two to a word. */
function held({ shape, data }: RefTensor, f16: boolean): Given {
  if (data instanceof Int32Array) return { shape, data, dtype: 'i32' };
  const floats = Float32Array.from(data);
  if (!f16) return { shape, data: floats, dtype: 'f32' };
  return { shape, data: new Int32Array(narrowToHalves(floats).buffer), dtype: 'f16' };
}

const values = ({ data, dtype }: Given): Float32Array | Int32Array =>
  dtype === 'f16' ? widenHalves(new Uint16Array(data.buffer)) : data;

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
      Object.entries(plan.outputs).map(([name, { shape, dtype }]) => [
        name,
        { shape, dtype, data: tensors[name] },
      ]),
    );
  };
  const tensors: Record<string, Given> = {};
  const host: Record<string, Given> = {};
  for (const [name, tensor] of Object.entries(inputs)) {
    const given = held(tensor, f16.includes(name));
    (given.dtype === 'i32' ? host : tensors)[name] = given;
  }
  const request = (
    of: Readonly<Record<string, Given>>,
    hosts: Readonly<Record<string, Given>>,
  ): Pick<PlanRequest, 'shapes' | 'host' | 'caps' | 'f16'> => ({
    shapes: Object.fromEntries(Object.entries({ ...of, ...hosts }).map(([name, { shape }]) => [name, shape])),
    host: Object.fromEntries(Object.entries(hosts).map(([name, { data }]) => [name, data as Int32Array])),
    caps,
    f16: Object.keys(of).filter((name) => of[name].dtype === 'f16'),
  });
  const plan = kernel.plan({ ...request(tensors, host), params });
  const outputs = run('forward', plan, tensors);
  const results = Object.fromEntries(
    visibleOutputs(kernel, outputs).map((name) => [name, values(outputs[name])]),
  );
  const halves = Object.keys(results).filter((name) => outputs[name].dtype === 'f16');
  if (!kernel.backward) return { dispatches, results, halves, upstream: {} };
  const random = randomTensors(2);
  const upstream: Record<string, Float32Array> = {};
  const backward = backwardRequest<Given, Given>(
    kernel,
    { inputs: tensors, host, outputs, params },
    (name) => {
      const { shape, dtype } = outputs[name];
      const given = held(random(...shape), dtype === 'f16');
      upstream[`grad_${name}`] = values(given) as Float32Array;
      return given;
    },
    Object.keys(tensors),
  );
  const { wanted } = backward;
  const gradients = run(
    'backward',
    backward.kernel.plan({ ...request(backward.inputs, backward.host), params: backward.params, wanted }),
    backward.inputs,
  );
  for (const name of wanted) {
    results[name] = values(gradients[name]);
    if (gradients[name].dtype === 'f16') halves.push(name);
  }
  return { dispatches, results, halves, upstream };
}
