/**
 * A plan as the runtime runs it: names resolved to places, pipelines found, costs added up, limits checked. Made once for a
 * plan, so that running it again touches no name; one that differs in values alone can take its place (`revise`).
 */
import { InputError, SpanwiseError } from '../../kernels/errors.ts';
import { bytesOf, type Caps, type Dispatch, type DType, type Plan, type Shape } from '../../kernels/plan.ts';
import { GpuValidationError, OutOfMemoryError } from './errors.ts';
import type { Place } from './host-tables.ts';
import type { Block } from './memory.ts';
import { noWork, type Phase, type PlanWork, type Work } from './meter.ts';
import type { Pipeline, Pipelines } from './pipelines.ts';
import { sameValue } from './same-value.ts';
import type { GPUBindGroup, GPUBuffer } from './webgpu.ts';

/** Most bytes of one dispatch's uniforms. */
export const UNIFORM_BYTES = 256;

/** An input, output or scratch tensor of a plan. */
export interface Operand {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly bytes: number;
}

export interface ReadyDispatch {
  dispatch: Dispatch;
  readonly pipeline: Pipeline;
  /** For each binding the place of its operand (inputs, then outputs, then scratch), or −1 − the index of a table. */
  readonly operands: readonly number[];
}

export interface ReadyPlan {
  plan: Plan;
  /** As many as there are, bound or not. */
  readonly inputs: number;
  readonly outputs: readonly Operand[];
  /** By output: the place of the input that it is written over, −1 for one of its own. */
  readonly inPlace: readonly number[];
  /** By output: whether a dispatch reads it. */
  readonly read: readonly boolean[];
  readonly scratch: readonly Operand[];
  readonly tables: Int32Array[];
  /** Those with work to do. */
  readonly dispatches: readonly ReadyDispatch[];
  /** The inputs that a dispatch reads or writes, each with the label and the name of the first that does. */
  readonly bound: readonly { place: number; label: string; name: string }[];
  readonly work: PlanWork;
  /** All its pipelines are: set by the runtime. */
  compiled: boolean;
  /** The last batch that it was recorded in. */
  lastUse: number;
  /** What it was run on of late, and of these the oldest, counted on and on (Recording). */
  readonly runs: Run[];
  oldest: number;
}

/** What the operands of a plan are in one run of it. */
export interface Operands {
  /** By place; undefined where no dispatch binds it. */
  readonly blocks: (Block | undefined)[];
  /** By place, of tensors that have a part of their block alone. */
  readonly parts: (Place | undefined)[];
  /** Of the plan's tables, by their index. */
  readonly tables: Place[];
}

/** Where the uniforms of a dispatch lie. */
export interface Slot {
  readonly buffer: GPUBuffer;
  /** Bytes from its first. */
  readonly offset: number;
}

/** A bind group, and the slot that its dispatch's uniforms lie in, if it has some: two of a batch cannot share it. */
export interface Kept {
  /**
   * Layout, then for each binding the block's number; before that, where it is a part of the block, −2 with its offset and
   * size; or of a table −1 with these.
   */
  readonly key: readonly number[];
  readonly group: GPUBindGroup;
  readonly slot: Slot | undefined;
  /** The last batch that it was in, and the dispatch there. */
  batch: number;
  dispatch: Dispatch;
  /** Another one of the same hash. */
  next: Kept | undefined;
}

/** A plan, what it runs on, and what its GPU time is charged to. */
export interface Run extends Readonly<Operands> {
  readonly plan: ReadyPlan;
  readonly phase: Phase;
  /** The bind groups of its dispatches, as of a state of those that are kept (BindGroups.state). */
  groups: readonly Kept[];
  state: number;
}

const operandOf = (name: string, shape: Shape, dtype: DType): Operand => {
  for (const d of shape) if (!Number.isInteger(d) || d < 0) throw new InputError(`[${shape}] is not a shape`);
  return { name, shape, dtype, bytes: bytesOf(shape, dtype) };
};

const hasWork = ({ workgroups }: Dispatch): boolean => workgroups.every((n) => n > 0);

/** Adds the cost of a dispatch. Errors: one that is not a finite number of at least 0. */
function addCost(to: Work, { label, macs, flops, bytesRead, bytesWritten }: Dispatch): void {
  for (const cost of [macs, flops, bytesRead, bytesWritten])
    if (!Number.isFinite(cost) || cost < 0)
      throw new SpanwiseError(`${label}: a dispatch without an exact cost`);
  to.dispatches++;
  to.macs += macs;
  to.flops += flops;
  to.bytesRead += bytesRead;
  to.bytesWritten += bytesWritten;
}

/**
 * @param inputs names, shapes and dtypes (f32 when absent) of the tensors that are given, in the order in which they will be
 * @param plan its tables must not change any more
 * @throws InputError for a binding of nothing, OutOfMemoryError for a tensor over the device's binding size,
 *   SpanwiseError for a cost that is not exact
 */
export function readyPlan(
  plan: Plan,
  inputs: readonly { name: string; shape?: Shape; dtype?: DType }[],
  pipelines: Pipelines,
  caps: Caps,
): ReadyPlan {
  const outputs = Object.entries(plan.outputs).map(([name, o]) => operandOf(name, o.shape, o.dtype));
  const scratch = Object.entries(plan.scratch).map(([name, s]) => operandOf(name, s.shape, s.dtype));
  const tables = Object.values(plan.data);
  /** What can be bound, and the place of each: the last one of a name counts. So few are found faster in lists. */
  const names: string[] = [];
  const places: number[] = [];
  const shapes: (Shape | undefined)[] = [];
  const dtypes: (DType | undefined)[] = [];
  for (const some of [inputs, outputs, scratch])
    for (const { name, shape, dtype } of some) {
      names.push(name);
      places.push(shapes.length);
      shapes.push(shape);
      dtypes.push(dtype);
    }
  const inPlace = outputs.map(({ name }) => {
    const over = plan.inPlace?.[name];
    if (over === undefined) return -1;
    const place = inputs.findIndex((input) => input.name === over);
    names.push(name);
    places.push(place);
    return place;
  });
  Object.keys(plan.data).forEach((name, i) => {
    names.push(name);
    places.push(-1 - i);
  });

  const limit = caps.maxStorageBufferBindingSize;
  const bound: { place: number; label: string; name: string }[] = [];
  const labels: { label: string; work: Work }[] = [];
  const dispatches = plan.dispatches.filter(hasWork).map((dispatch): ReadyDispatch => {
    const { label } = dispatch;
    if (dispatch.uniforms.length * 4 > UNIFORM_BYTES)
      throw new GpuValidationError(`${label}: more than ${UNIFORM_BYTES} bytes of uniforms`);
    const operands = dispatch.bindings.map(({ tensor }) => {
      const place = places[names.lastIndexOf(tensor)] as number | undefined;
      const shape = place === undefined || place < 0 ? undefined : shapes[place];
      if (place === undefined || (place >= 0 && !shape))
        throw new InputError(`${label}: nothing is bound to "${tensor}"`);
      const bytes = shape ? bytesOf(shape, dtypes[place]) : tables[-1 - place].byteLength;
      if (bytes > limit)
        throw new OutOfMemoryError(
          `${label}: ${shape ? `"${tensor}" [${shape}] is ${bytes}` : `a host table of ${bytes}`} bytes` +
            `${shape ? ',' : ' is'} over the device's maxStorageBufferBindingSize of ${limit}`,
        );
      if (place >= 0 && place < inputs.length && !bound.some((one) => one.place === place))
        bound.push({ place, label, name: tensor });
      return place;
    });
    let own = labels.find((one) => one.label === label);
    if (!own) labels.push((own = { label, work: noWork() }));
    addCost(own.work, dispatch);
    return { dispatch, pipeline: pipelines.of(dispatch), operands };
  });
  return {
    plan,
    inputs: inputs.length,
    outputs,
    inPlace,
    read: outputs.map(({ name }) =>
      plan.dispatches.some(({ bindings }) => bindings.some((b) => b.tensor === name && b.access === 'read')),
    ),
    scratch,
    tables,
    dispatches,
    bound,
    work: { labels, runs: { forward: 0, backward: 0, optimizer: 0 }, pending: false },
    compiled: false,
    lastUse: 0,
    runs: [],
    oldest: 0,
  };
}

/** What there is of each output of a plan, by its name. */
export function byName<T>({ outputs }: ReadyPlan, all: readonly T[]): Record<string, T> {
  const named: Record<string, T> = {};
  for (let i = 0; i < outputs.length; i++) named[outputs[i].name] = all[i];
  return named;
}

/**
 * Puts a plan in the place of one whose runs have all been submitted, where its uniforms and the values of its tables are
 * all that differs.
 * @returns whether that is so
 */
export function revise(ready: ReadyPlan, plan: Plan): boolean {
  const { plan: old, dispatches, tables } = ready;
  const names = Object.keys(plan.data);
  if (plan.dispatches.length !== dispatches.length) return false;
  if (!sameValue(names, Object.keys(old.data))) return false;
  if (names.some((name, i) => plan.data[name].length !== tables[i].length)) return false;
  for (const part of ['outputs', 'scratch', 'inPlace'] as const)
    if (!sameValue(plan[part], old[part])) return false;
  if (!plan.dispatches.every((dispatch, i) => sameButUniforms(dispatch, dispatches[i].dispatch)))
    return false;
  replace(ready, plan);
  return true;
}

/** The same for a plan that is known to differ in these alone (Kernel.renew). */
export function replace(ready: ReadyPlan, plan: Plan): void {
  const { dispatches, tables } = ready;
  let at = 0;
  for (const name in plan.data) tables[at++] = plan.data[name];
  if (plan.dispatches !== ready.plan.dispatches) {
    const some = plan.dispatches.filter(hasWork);
    for (let i = 0; i < dispatches.length; i++) dispatches[i].dispatch = some[i];
  }
  ready.plan = plan;
  ready.lastUse = Infinity; // until it is recorded
}

function sameButUniforms(a: Dispatch, b: Dispatch): boolean {
  if (a.uniforms.length !== b.uniforms.length) return false;
  for (const key in a)
    if (key !== 'uniforms' && !sameValue(a[key as keyof Dispatch], b[key as keyof Dispatch])) return false;
  return true;
}
