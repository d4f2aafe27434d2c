/**
 * Work on tensors as a part of a manifest (docs/export.md): it is recorded on a dry device, so that buffers, bindings and
 * order are those of a runtime on a device of the same capabilities.
 */
import {
  expanded,
  exportDispatch,
  hostInputs,
  requirements,
  totalsOf,
  type BoundTo,
  type Expanded,
  type ShaderFiles,
} from '../../kernels/manifest/dispatch.ts';
import type { ManifestPart, ManifestTable, ManifestTensor } from '../../kernels/manifest/types.ts';
import { SpanwiseError } from '../../kernels/errors.ts';
import { boundBytes, ruleOf, type Caps, type Kernel } from '../../kernels/plan.ts';
import type { HostTensor } from '../io/safetensors.ts';
import { dryDevice } from './dry-device.ts';
import type { Asked, HostValues, KernelPlan } from './kernel-plan.ts';
import type { Pipeline } from './pipelines.ts';
import type { ReadyPlan, Run } from './ready-plan.ts';
import { Runtime } from './runtime.ts';
import type { Tensor } from './tensor.ts';

/** What was done on the runtime. */
export interface Work {
  /** Tensors that the host filled, by the names that they have in `file`. */
  weights: ReadonlyMap<string, Tensor>;
  /** Integers that went in. */
  host: Readonly<Record<string, HostValues>>;
  outputs: Readonly<Record<string, Tensor>>;
}

export interface Recorded {
  part: ManifestPart;
  /** Those weights that a dispatch binds. */
  weights: Map<string, HostTensor>;
}

/** A runtime that knows which kernel a plan is of. */
class KnowingRuntime extends Runtime {
  readonly kernels = new Map<ReadyPlan, Kernel>();

  override plan(asked: Asked): KernelPlan {
    const plan = super.plan(asked);
    this.kernels.set(plan.ready, plan.kernel);
    return plan;
  }
}

const info = { name: 'recorded', vendor: '', architecture: '', driver: '', software: false, features: [] };

/**
 * Records work as a part.
 * @param work does it, with one flush at most behind it
 * @param file of the weights
 * @throws SpanwiseError where dispatches read what the host wrote and is no weight
 */
export async function recordPart(
  name: string,
  doc: string,
  caps: Caps,
  work: (runtime: Runtime) => Promise<Work>,
  file: string,
  shaders: ShaderFiles,
): Promise<Recorded> {
  /** By buffer, what the host wrote. */
  const written = new Map<GPUBuffer, Uint8Array>();
  const device = dryDevice({ caps, info }, (buffer, offset, data, first = 0, size = data.byteLength) => {
    let bytes = written.get(buffer);
    if (!bytes) written.set(buffer, (bytes = new Uint8Array(buffer.size)));
    bytes.set(new Uint8Array(ArrayBuffer.isView(data) ? data.buffer : data, first, size), offset);
  });
  const runs: Run[] = [];
  const runtime = new KnowingRuntime(device, { observe: (batch) => void runs.push(...(batch as Run[])) });
  try {
    const { weights, host, outputs } = await work(runtime);
    await runtime.flush();
    const { kernels } = runtime;
    const memory = new Map(
      runs.flatMap(({ blocks }) => blocks).flatMap((b) => (b ? [[`memory${b.id}`, b]] : [])),
    );
    const place = (tensor: Tensor, called: string): ManifestTensor => {
      const { shape, dtype, block, offset, bytes } = tensor;
      return { name: called, shape, dtype, buffer: `memory${block.id}`, offset, bytes };
    };
    const bound = [...weights]
      .filter(([, { block }]) => memory.has(`memory${block.id}`))
      .map(([called, tensor]) => ({ ...place(tensor, called), values: { file, tensor: called } }));
    const names = new Map(bound.map((tensor) => [`${tensor.buffer} ${tensor.offset}`, tensor.name]));
    const tables = tablesOf(runs, kernels);
    const ends = [...tables.values()].map(({ offset, size }) => offset + size);
    const buffers = [...memory].map(([called, { size }]) => ({ name: called, bytes: boundBytes(size) }));
    if (ends.length > 0) buffers.push({ name: 'tables', bytes: Math.max(...ends) });

    const known = new Map<Pipeline, Expanded>();
    const dispatches = runs.flatMap((run, step) =>
      run.plan.dispatches.map(({ dispatch, pipeline, operands }) => {
        let shader = known.get(pipeline);
        if (!shader) known.set(pipeline, (shader = expanded(dispatch)));
        const boundTo = operands.map((at, i): BoundTo | undefined => {
          const table = at < 0 ? tables.get(run.plan.tables[-1 - at]) : undefined;
          if (table) return { tensor: table.name, buffer: 'tables', offset: table.offset, size: table.size };
          const block = run.blocks[at];
          if (!block) return undefined;
          const { offset, size } = run.parts[at] ?? { offset: 0, size: block.boundSize };
          const buffer = `memory${block.id}`;
          const own = `${step}.${dispatch.label}.${dispatch.bindings[i].tensor}`;
          return { tensor: names.get(`${buffer} ${offset}`) ?? own, buffer, offset, size };
        });
        return exportDispatch(dispatch, shader, boundTo, shaders);
      }),
    );
    const weighed = new Set(bound.map(({ buffer }) => buffer));
    for (const [called, { buffer }] of memory)
      if (written.has(buffer) && !weighed.has(called))
        throw new SpanwiseError(`${name}: the host wrote a tensor that is no weight`);

    const subgroups = { min: caps.subgroupMinSize, max: caps.subgroupMaxSize };
    const values = ({ buffer, offset, bytes, shape }: ManifestTensor): HostTensor => {
      const whole = written.get(memory.get(buffer)!.buffer)!;
      return { shape, dtype: 'f32', data: new Float32Array(whole.buffer, offset, bytes / 4) };
    };
    return {
      part: {
        ...{ name, doc, params: {} },
        requires: requirements(dispatches, [...known.values()], buffers, subgroups),
        host: hostInputs(host),
        ...{ buffers, inputs: bound },
        outputs: Object.entries(outputs).map(([called, tensor]) => place(tensor, called)),
        scratch: [],
        tables: [...tables.values()].map(({ size: _, ...table }) => table),
        dispatches,
        totals: totalsOf(dispatches, buffers),
      },
      weights: new Map(bound.map((tensor) => [tensor.name, values(tensor)])),
    };
  } finally {
    runtime.close();
  }
}

/** The host tables of runs, each once, where they lie in the buffer of tables. */
function tablesOf(
  runs: readonly Run[],
  kernels: ReadonlyMap<ReadyPlan, Kernel>,
): Map<Int32Array, ManifestTable & { size: number }> {
  const tables = new Map<Int32Array, ManifestTable & { size: number }>();
  runs.forEach(({ plan, tables: places }, step) => {
    const kernel = kernels.get(plan);
    Object.keys(plan.plan.data).forEach((name, i) => {
      const values = plan.tables[i];
      if (tables.has(values) || !kernel) return;
      const called = `${step}.${kernel.name}.${name}`;
      tables.set(values, {
        ...{ name: called, shape: [values.length], dtype: 'i32', buffer: 'tables' },
        ...{ ...places[i], bytes: values.byteLength, rule: ruleOf(kernel, name), values: [...values] },
      });
    });
  });
  return tables;
}
