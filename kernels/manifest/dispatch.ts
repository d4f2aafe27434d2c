/** What manifests of kernels and of whole models have in common: dispatches, what they require, what they cost. */
import { SpanwiseError } from '../errors.ts';
import { boundBytes, type Dispatch, type Shape } from '../plan.ts';
import { wgslOf } from '../wgsl.ts';
import { declarationsOf, type Declarations } from './declarations.ts';
import type {
  HostInput,
  ManifestBinding,
  ManifestBuffer,
  ManifestDispatch,
  ManifestUniforms,
  Requirements,
  Totals,
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

export const hostInputs = (host: Readonly<Record<string, { shape: Shape; data: Int32Array }>>): HostInput[] =>
  Object.entries(host).map(([name, { shape, data }]) => ({ name, shape, values: [...data] }));

export function totalsOf(
  dispatches: readonly ManifestDispatch[],
  buffers: readonly ManifestBuffer[],
): Totals {
  const sum = (key: 'macs' | 'flops' | 'bytesRead' | 'bytesWritten'): number =>
    dispatches.reduce((total, dispatch) => total + dispatch[key], 0);
  return {
    dispatches: dispatches.length,
    ...{ macs: sum('macs'), flops: sum('flops') },
    ...{ bytesRead: sum('bytesRead'), bytesWritten: sum('bytesWritten') },
    bufferBytes: buffers.reduce((total, { bytes }) => total + bytes, 0),
  };
}

/** The WGSL of a dispatch and what it declares. */
export interface Expanded {
  text: string;
  declarations: Declarations;
}

export function expanded(dispatch: Dispatch): Expanded {
  const text = wgslOf(dispatch);
  return { text, declarations: declarationsOf(text, dispatch.entryPoint) };
}

/** What a binding binds. */
export type BoundTo = Pick<ManifestBinding, 'tensor' | 'buffer' | 'offset' | 'size'>;

/** @param boundTo of each binding. Errors: SpanwiseError where there is nothing, or the WGSL says otherwise. */
export function exportDispatch(
  dispatch: Dispatch,
  { text, declarations: { variables, workgroupSize, elementOf, structOf } }: Expanded,
  boundTo: readonly (BoundTo | undefined)[],
  shaders: ShaderFiles,
): ManifestDispatch {
  const { label, entryPoint, workgroups, macs, flops, bytesRead, bytesWritten } = dispatch;
  const bindings = dispatch.bindings.map(({ name, access }, i) => {
    const to = boundTo[i];
    const variable = variables[i] as Declarations['variables'][number] | undefined;
    if (!to || variable?.name !== name || variable.space !== `storage, ${access}`)
      throw new SpanwiseError(`${label}: nothing is bound to "${name}", or not as its WGSL says`);
    const { group, binding, type } = variable;
    return { group, binding, name, access, element: elementOf(type), ...to };
  });
  const uniform = variables[dispatch.bindings.length] as Declarations['variables'][number] | undefined;
  return {
    label,
    shader: shaders.add(dispatch.shader.name, text),
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
const features: Readonly<Record<string, string>> = {
  ...{ subgroups: 'subgroups', f16: 'shader-f16' },
  chromium_experimental_subgroup_matrix: 'chromium-experimental-subgroup-matrix',
};

export function requirements(
  dispatches: readonly ManifestDispatch[],
  shaders: readonly Expanded[],
  buffers: readonly ManifestBuffer[],
  subgroups: Requirements['subgroups'],
): Requirements {
  const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), 0);
  const declared = shaders.map(({ declarations }) => declarations);
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
