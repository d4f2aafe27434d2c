/** Plans as manifests (docs/export.md): pure, without a device. */
import { backwardRequest, visibleOutputs } from '../backward-request.ts';
import { InputError, SpanwiseError } from '../errors.ts';
import {
  boundBytes,
  checkCaps,
  checkParams,
  portOf,
  ruleOf,
  bytesOf,
  type Kernel,
  type Params,
  type Plan,
  type PlanRequest,
  type Shape,
  type TensorSpec,
} from '../plan.ts';
import {
  expanded,
  exportDispatch,
  hostInputs,
  requirements,
  ShaderFiles,
  totalsOf,
  type BoundTo,
} from './dispatch.ts';
import {
  MANIFEST_VERSION,
  type InputSource,
  type Manifest,
  type ManifestBuffer,
  type ManifestInput,
  type ManifestPart,
  type ManifestTensor,
} from './types.ts';

/** What a part says beside its plan. */
export interface PartOptions {
  name: string;
  doc?: string;
  params?: Params;
  /** The tensors that the plan reads, in the caller's order; not its host inputs. */
  inputs: Readonly<Record<string, TensorSpec & { from?: InputSource }>>;
  host?: Readonly<Record<string, { shape: Shape; data: Int32Array }>>;
  /** Outputs that are kept for a backward part alone. */
  saved?: readonly string[];
  /** What each table holds, by its name. */
  rule?: (table: string) => string;
  /** Sizes of subgroups that the plan was made for. */
  subgroups?: { min: number; max: number };
}

/** The part of a manifest that a plan is. Its WGSL goes to `shaders`. Errors: SpanwiseError for a binding of nothing. */
export function exportPlan(plan: Plan, options: PartOptions, shaders: ShaderFiles): ManifestPart {
  const buffers: ManifestBuffer[] = [];
  const tensors = new Map<string, ManifestTensor>();
  const place = (name: string, { shape, dtype }: TensorSpec): ManifestTensor => {
    if (tensors.has(name)) throw new SpanwiseError(`${options.name}: there are two tensors "${name}"`);
    const bytes = bytesOf(shape, dtype);
    const tensor = { name, shape, dtype, buffer: name, offset: 0, bytes };
    buffers.push({ name, bytes: boundBytes(bytes) });
    tensors.set(name, tensor);
    return tensor;
  };
  const inputs = Object.entries(options.inputs).map(([name, input]): ManifestInput => ({
    ...place(name, input),
    ...(input.from && { from: input.from }),
  }));
  const outputs = Object.entries(plan.outputs).map(([name, output]) => {
    const over = plan.inPlace?.[name];
    const shared = over === undefined ? undefined : tensors.get(over);
    if (shared) tensors.set(name, { ...shared, name });
    const tensor = shared ? { ...shared, name } : place(name, output);
    const saved = options.saved?.includes(name);
    return { ...tensor, ...(shared && { inPlace: over }), ...(saved && { saved }) };
  });
  const scratch = Object.entries(plan.scratch).map(([name, spec]) => place(name, spec));
  const work = plan.dispatches.filter(({ workgroups }) => workgroups.every((count) => count > 0));
  const declared = work.map((dispatch) => [dispatch, expanded(dispatch)] as const);
  const columnsOf = (table: string) => {
    for (const [{ bindings }, { declarations }] of declared) {
      const at = bindings.findIndex(({ tensor }) => tensor === table);
      if (at >= 0) return declarations.structOf(declarations.elementOf(declarations.variables[at].type));
    }
    return undefined;
  };
  const tables = Object.entries(plan.data).map(([name, values]) => {
    const columns = columnsOf(name);
    const rule = options.rule?.(name) ?? '';
    const tensor = place(name, { shape: [values.length], dtype: 'i32' });
    return { ...tensor, rule, ...(columns && { columns }), values: [...values] };
  });
  const boundTo = (name: string): BoundTo | undefined => {
    const tensor = tensors.get(name);
    return tensor && { tensor: name, buffer: tensor.buffer, offset: 0, size: boundBytes(tensor.bytes) };
  };
  const dispatches = declared.map(([dispatch, shader]) =>
    exportDispatch(
      dispatch,
      shader,
      dispatch.bindings.map(({ tensor }) => boundTo(tensor)),
      shaders,
    ),
  );
  return {
    name: options.name,
    doc: options.doc ?? '',
    params: options.params ?? {},
    requires: requirements(
      dispatches,
      declared.map(([, shader]) => shader),
      buffers,
      options.subgroups,
    ),
    host: hostInputs(options.host ?? {}),
    ...{ buffers, inputs, outputs, scratch, tables, dispatches },
    totals: totalsOf(dispatches, buffers),
  };
}

export interface Exported {
  manifest: Manifest;
  /** WGSL by file name. */
  shaders: Record<string, string>;
}

/** Errors: InputError for inputs and options that there are not, and for what is no shape, or no capabilities. */
function checkRequest(kernel: Kernel, { shapes, caps }: PlanRequest, options: object): void {
  checkCaps(caps, `${kernel.name}: caps`);
  const option = Object.keys(options).find((name) => name !== 'grad');
  if (option !== undefined)
    throw new InputError(`${kernel.name}: there is no option "${option}" (there is: grad)`);
  for (const [name, shape] of Object.entries(shapes)) {
    if (!portOf(kernel.inputs, name))
      throw new InputError(
        `${kernel.name}: "${name}" is not an input (it takes ${kernel.inputs.map((port) => port.name).join(', ')})`,
      );
    if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0))
      throw new InputError(`${kernel.name}: input "${name}": [${shape}] is not a shape`);
  }
}

/**
 * The manifest of a kernel for a request, and with `grad` of the gradients of all its float inputs too.
 * @throws InputError for an input, a parameter or an option that there is not, for what is no shape or no capabilities, for
 *   what is stored as f16, and all that its plan refuses; SpanwiseError for `grad` of a kernel without gradients
 */
export function exportKernel(
  kernel: Kernel,
  request: PlanRequest,
  options: { grad?: boolean } = {},
): Exported {
  const { shapes, params, caps, host, f16 = [] } = request;
  const { grad = false } = options;
  checkRequest(kernel, request, options);
  checkParams(kernel, params);
  const plan = kernel.plan({ shapes, params, caps, host });
  for (const name of [...f16, ...Object.keys(plan.outputs)])
    if (f16.includes(name) || plan.outputs[name].dtype === 'f16')
      throw new InputError(`${kernel.name}: "${name}" is f16, and a manifest has none but f32 and i32`);
  const shaders = new ShaderFiles();
  const subgroups = { min: caps.subgroupMinSize, max: caps.subgroupMaxSize };
  const visible = visibleOutputs(kernel, plan.outputs);
  const specOf = (name: string): TensorSpec => ({
    shape: shapes[name],
    dtype: portOf(kernel.inputs, name)?.dtype ?? 'f32',
  });
  const given = Object.keys(shapes).filter((name) => !host[name]);
  const inputs = Object.fromEntries(given.map((name) => [name, specOf(name)]));
  const values = Object.fromEntries(
    Object.entries(host).map(([name, data]) => [name, { shape: shapes[name], data }]),
  );
  const rule = (of: Kernel) => (table: string) => ruleOf(of, table);
  const parts = [
    exportPlan(
      plan,
      {
        ...{ name: 'forward', doc: kernel.doc, params, inputs, host: values, subgroups, rule: rule(kernel) },
        saved: Object.keys(plan.outputs).filter((name) => !visible.includes(name)),
      },
      shaders,
    ),
  ];
  if (grad) {
    type Source = TensorSpec & { from: InputSource };
    const sources = (specs: Readonly<Record<string, TensorSpec>>, as: InputSource['as']) =>
      Object.fromEntries(
        Object.entries(specs).map(([name, { shape, dtype }]): [string, Source] => [
          name,
          { shape, dtype, from: { part: 'forward', as, name } },
        ]),
      );
    const outputs = sources(plan.outputs, 'output');
    const asked = backwardRequest<Source, (typeof values)[string]>(
      kernel,
      { inputs: sources(inputs, 'input'), host: values, outputs, params },
      (name) => ({ ...outputs[name], from: { part: 'forward', as: 'gradient', name } }),
      given.filter((name) => inputs[name].dtype === 'f32'),
    );
    const { kernel: backward, wanted } = asked;
    const backwardPlan = backward.plan({
      shapes: Object.fromEntries(
        Object.entries({ ...asked.inputs, ...asked.host }).map(([name, { shape }]) => [name, shape]),
      ),
      ...{ params: asked.params, caps, wanted },
      host: Object.fromEntries(Object.entries(asked.host).map(([name, { data }]) => [name, data])),
    });
    parts.push(
      exportPlan(
        backwardPlan,
        {
          ...{ name: 'backward', doc: backward.doc, subgroups, rule: rule(backward) },
          ...{ params: asked.params, inputs: asked.inputs, host: asked.host },
        },
        shaders,
      ),
    );
  }
  const { name, doc } = kernel;
  return {
    manifest: { format: 'spanwise-manifest', version: MANIFEST_VERSION, name, doc, parts },
    shaders: shaders.texts,
  };
}
