/** Plans as manifests (docs/export.md): pure, without a device. */
import { backwardRequest, visibleOutputs } from '../backward-request.ts';
import { SpanwiseError } from '../errors.ts';
import {
  boundBytes,
  checkParams,
  portOf,
  ruleOf,
  sizeOf,
  type Dispatch,
  type Kernel,
  type Params,
  type Plan,
  type PlanRequest,
  type Shape,
  type TensorSpec,
} from '../plan.ts';
import { wgslOf } from '../wgsl.ts';
import { declarationsOf, type Declarations } from './declarations.ts';
import {
  MANIFEST_VERSION,
  type InputSource,
  type Manifest,
  type ManifestBuffer,
  type ManifestDispatch,
  type ManifestInput,
  type ManifestPart,
  type ManifestTensor,
  type ManifestUniforms,
  type Requirements,
} from './types.ts';

/** WGSL texts by the names that dispatches have for them. */
export class ShaderFiles {
  readonly #texts = new Map<string, string>();
  readonly #names = new Map<string, string>();

  /** The file of a text: `softmax.wgsl`, and for another text of that stem `softmax-2.wgsl`. */
  add(stem: string, text: string): string {
    const known = this.#names.get(text);
    if (known) return known;
    let name = `${stem}.wgsl`;
    for (let i = 2; this.#texts.has(name); i++) name = `${stem}-${i}.wgsl`;
    this.#texts.set(name, text);
    this.#names.set(text, name);
    return name;
  }

  get texts(): Record<string, string> {
    return Object.fromEntries(this.#texts);
  }
}

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
    const bytes = 4 * sizeOf(shape);
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
  const declared = new Map<Dispatch, Declarations>();
  const work = plan.dispatches.filter(({ workgroups }) => workgroups.every((count) => count > 0));
  for (const dispatch of work) declared.set(dispatch, declarationsOf(wgslOf(dispatch), dispatch.entryPoint));
  const columnsOf = (table: string) => {
    for (const [{ bindings }, { variables, elementOf, structOf }] of declared) {
      const at = bindings.findIndex(({ tensor }) => tensor === table);
      if (at >= 0) return structOf(elementOf(variables[at].type));
    }
    return undefined;
  };
  const tables = Object.entries(plan.data).map(([name, values]) => {
    const columns = columnsOf(name);
    const rule = options.rule?.(name) ?? '';
    const tensor = place(name, { shape: [values.length], dtype: 'i32' });
    return { ...tensor, rule, ...(columns && { columns }), values: [...values] };
  });
  const dispatches = [...declared].map(([dispatch, declarations]) =>
    exportDispatch(dispatch, declarations, buffers, tensors, shaders),
  );
  const sum = (key: 'macs' | 'flops' | 'bytesRead' | 'bytesWritten'): number =>
    dispatches.reduce((total, dispatch) => total + dispatch[key], 0);
  return {
    name: options.name,
    doc: options.doc ?? '',
    params: options.params ?? {},
    requires: requirements(dispatches, [...declared.values()], buffers, options.subgroups),
    host: Object.entries(options.host ?? {}).map(([name, { shape, data }]) => ({
      ...{ name, shape, values: [...data] },
    })),
    ...{ buffers, inputs, outputs, scratch, tables, dispatches },
    totals: {
      dispatches: dispatches.length,
      ...{ macs: sum('macs'), flops: sum('flops') },
      ...{ bytesRead: sum('bytesRead'), bytesWritten: sum('bytesWritten') },
      bufferBytes: buffers.reduce((total, { bytes }) => total + bytes, 0),
    },
  };
}

function exportDispatch(
  dispatch: Dispatch,
  { variables, workgroupSize, elementOf, structOf }: Declarations,
  buffers: readonly ManifestBuffer[],
  tensors: ReadonlyMap<string, ManifestTensor>,
  shaders: ShaderFiles,
): ManifestDispatch {
  const { label, entryPoint, workgroups, macs, flops, bytesRead, bytesWritten } = dispatch;
  const bindings = dispatch.bindings.map(({ name, access, tensor }, i) => {
    const place = tensors.get(tensor);
    const variable = variables[i];
    if (!place || variable?.name !== name || variable.space !== `storage, ${access}`)
      throw new SpanwiseError(`${label}: nothing is bound to "${name}", or not as its WGSL says`);
    const { group, binding } = variable;
    const size = buffers.find((buffer) => buffer.name === place.buffer)?.bytes ?? 0;
    return {
      ...{ group, binding, name, access, element: elementOf(variable.type), tensor },
      ...{ buffer: place.buffer, offset: 0, size },
    };
  });
  const uniform = variables[dispatch.bindings.length];
  return {
    label,
    shader: shaders.add(dispatch.shader, wgslOf(dispatch)),
    ...{ entryPoint, workgroups, workgroupSize, bindings },
    ...(uniform && { uniforms: exportUniforms(dispatch, uniform, structOf(uniform.type) ?? []) }),
    ...{ macs, flops, bytesRead, bytesWritten },
  };
}

function exportUniforms(
  { label, uniforms }: Dispatch,
  { group, binding, name }: Declarations['variables'][number],
  fields: readonly { name: string; type: string; offset: number }[],
): ManifestUniforms {
  if (fields.length !== uniforms.length)
    throw new SpanwiseError(`${label}: uniforms are not as its WGSL says`);
  const bytes = boundBytes(4 * fields.length);
  const words = new Uint32Array(bytes / 4);
  const floats = new Float32Array(words.buffer);
  uniforms.forEach((uniform, i) => {
    if (typeof uniform === 'number') words[i] = uniform;
    else floats[i] = uniform.f32;
  });
  const valueAt = (type: string, i: number): number =>
    type === 'f32' ? floats[i] : type === 'i32' ? words[i] | 0 : words[i];
  return {
    ...{ group, binding, name, bytes },
    fields: fields.map((field, i) => ({ ...field, value: valueAt(field.type, i) })),
    words: [...words],
  };
}

/** Names in WebGPU of what WGSL enables. */
const features: Readonly<Record<string, string>> = { subgroups: 'subgroups', f16: 'shader-f16' };

function requirements(
  dispatches: readonly ManifestDispatch[],
  declared: readonly Declarations[],
  buffers: readonly ManifestBuffer[],
  subgroups: PartOptions['subgroups'],
): Requirements {
  const most = (values: readonly number[]): number => Math.max(0, ...values);
  const enabled = [...new Set(declared.flatMap(({ enables }) => enables))];
  const side = (axis: 0 | 1 | 2): number => most(declared.map(({ workgroupSize }) => workgroupSize[axis]));
  return {
    features: enabled.map((name) => features[name]),
    limits: {
      maxStorageBuffersPerShaderStage: most(dispatches.map(({ bindings }) => bindings.length)),
      maxComputeWorkgroupStorageSize: most(declared.map(({ workgroupBytes }) => workgroupBytes)),
      maxComputeInvocationsPerWorkgroup: most(declared.map(({ workgroupSize: [x, y, z] }) => x * y * z)),
      ...{
        maxComputeWorkgroupSizeX: side(0),
        maxComputeWorkgroupSizeY: side(1),
        maxComputeWorkgroupSizeZ: side(2),
      },
      maxComputeWorkgroupsPerDimension: most(dispatches.flatMap(({ workgroups }) => workgroups)),
      maxStorageBufferBindingSize: most(dispatches.flatMap((d) => d.bindings.map(({ size }) => size))),
      maxBufferSize: most(buffers.map(({ bytes }) => bytes)),
    },
    ...(enabled.includes('subgroups') && subgroups ? { subgroups } : {}),
  };
}

export interface Exported {
  manifest: Manifest;
  /** WGSL by file name. */
  shaders: Record<string, string>;
}

/**
 * The manifest of a kernel for a request, and with `grad` of the gradients of all its float inputs too.
 * @throws InputError for a parameter that the kernel has not, and all that its plan refuses; SpanwiseError for `grad` of a
 *   kernel without gradients
 */
export function exportKernel(kernel: Kernel, request: PlanRequest, { grad = false } = {}): Exported {
  const { shapes, params, caps, host } = request;
  checkParams(kernel, params);
  const plan = kernel.plan({ shapes, params, caps, host });
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
