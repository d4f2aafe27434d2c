/** What is wrong with a plan before any device sees it: limits, bindings, types, extensions, costs. */
import { declarationsOf, type Declarations } from '../../kernels/manifest/declarations.ts';
import {
  boundBytes,
  bytesOf,
  portOf,
  type Caps,
  type Dispatch,
  type DType,
  type Kernel,
  type Plan,
  type PlanRequest,
} from '../../kernels/plan.ts';
import { wgslOf } from '../../kernels/wgsl.ts';

/** WebGPU's, of a workgroup by dimension; `Caps` has no need of them. */
const WORKGROUP_SIZES = [256, 256, 64];
/** What a device must have for an extension. */
const needs: Readonly<Record<string, (caps: Caps) => boolean>> = {
  subgroups: (caps) => caps.subgroupMinSize > 0,
  f16: (caps) => caps.f16,
  chromium_experimental_subgroup_matrix: (caps) => caps.subgroupMatrix !== undefined,
};

const read = new Map<string, Declarations & { text: string }>();

function declarations(dispatch: Dispatch): Declarations & { text: string } {
  const key = JSON.stringify([dispatch.shader.name, dispatch.entryPoint, dispatch.constants]);
  const known = read.get(key);
  if (known) return known;
  const text = wgslOf(dispatch);
  const found = { ...declarationsOf(text, dispatch.entryPoint), text };
  read.set(key, found);
  return found;
}

/** Type and bytes of a tensor. */
type Held = readonly [DType, number];

/** What a request gives to a kernel. */
export const inputsOf = ({ inputs }: Kernel, { shapes, f16 = [] }: PlanRequest): Record<string, Held> =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const dtype = f16.includes(name) ? 'f16' : (portOf(inputs, name)?.dtype ?? 'f32');
      return [name, [dtype, bytesOf(shape, dtype)]];
    }),
  );

/**
 * Words such as `x: f32 bound as i32`; none where all is well.
 * @param inputs what `inputsOf` gives; what is bound beyond the plan's own tensors is not looked at without it
 */
export function planProblems(plan: Plan, caps: Caps, inputs?: Readonly<Record<string, Held>>): string[] {
  const problems: string[] = [];
  const tensors = new Map<string, Held>(Object.entries(inputs ?? {}));
  for (const [name, { shape, dtype }] of Object.entries({ ...plan.outputs, ...plan.scratch }))
    tensors.set(name, [dtype, bytesOf(shape, dtype)]);
  for (const [name, { byteLength }] of Object.entries(plan.data)) tensors.set(name, ['i32', byteLength]);
  // How large inputs and outputs are is the caller's matter: a runtime refuses those that no buffer holds.
  const own = [...Object.keys(plan.scratch), ...Object.keys(plan.data)];
  const limit = Math.min(caps.maxBufferSize, caps.maxStorageBufferBindingSize);
  for (const name of own) {
    const bytes = boundBytes(tensors.get(name)?.[1] ?? NaN);
    if (!(bytes <= limit)) problems.push(`${name}: a buffer of ${bytes} bytes`);
  }
  for (const dispatch of plan.dispatches) {
    const say = (what: string): number =>
      problems.push(`${dispatch.label}, ${dispatch.shader.name}: ${what}`);
    const { bindings, uniforms, workgroups } = dispatch;
    const { variables, workgroupSize, workgroupBytes, enables, text, ...of } = declarations(dispatch);
    if (bindings.length > caps.maxStorageBuffersPerShaderStage) say(`${bindings.length} storage buffers`);
    if (workgroups.some((n) => n > caps.maxComputeWorkgroupsPerDimension)) say(`a grid of ${workgroups}`);
    if (workgroupBytes > caps.maxComputeWorkgroupStorageSize) say(`${workgroupBytes} bytes of a workgroup`);
    const [x, y, z] = workgroupSize;
    if (x * y * z > caps.maxComputeInvocationsPerWorkgroup) say(`${x * y * z} invocations`);
    // More than 256 in one dimension are a device's that grants more in all.
    if (x * y * z <= 256 && workgroupSize.some((n, i) => n > WORKGROUP_SIZES[i]))
      say(`${workgroupSize} lanes`);
    for (const name of enables) if (!needs[name]?.(caps)) say(`enable ${name}`);
    if (/\b(texture|sampler)/.test(text)) say('a texture');
    const fields = variables
      .filter(({ space }) => space === 'uniform')
      .flatMap(({ type }) => of.structOf(type) ?? []);
    const declared = variables.map(
      ({ group, binding, space, name }) => `${group}.${binding} ${space} ${name}`,
    );
    const expected = bindings.map(({ name, access }, i) => `0.${i} storage, ${access} ${name}`);
    if (uniforms.length > 0) expected.push(`0.${bindings.length} uniform params`);
    if (declared.join() !== expected.join())
      say(`declares ${declared.join('; ')}, given ${expected.join('; ')}`);
    // Whole numbers are written alike whatever their sign.
    const types = fields.map(({ type }) => (type === 'f32' ? 'f32' : 'u32'));
    const given = uniforms.map((one) => (typeof one === 'number' ? 'u32' : 'f32'));
    if (types.join() !== given.join()) say(`uniforms ${types}, given ${given}`);
    bindings.forEach(({ name, tensor }, i) => {
      const [dtype] = tensors.get(tensor) ?? [];
      const element = of.elementOf(variables[i].type);
      const isFloat = /^(f32|vec[24]f)$/.test(element);
      // A structure is a table's row; f16 come as words, as no extension is needed then.
      const isHalves = /^(u32|vec2u)$/.test(element);
      const fits = of.structOf(element)
        ? dtype === 'i32'
        : (dtype === 'f32') === isFloat && (dtype !== 'f16' || isHalves);
      if (dtype === undefined && inputs) say(`${name}: no tensor ${tensor}`);
      if (dtype && !fits) say(`${name}: ${element} bound as ${dtype}`);
    });
    // A tensor that is written is bound once, also where an output lies on an input.
    const places = bindings.map(({ tensor }) => plan.inPlace?.[tensor] ?? tensor);
    bindings.forEach(({ name, access }, i) => {
      const others = places.filter((place) => place === places[i]).length;
      if (access === 'read_write' && others > 1) say(`${name}: written and bound again`);
    });
    for (const cost of ['macs', 'flops', 'bytesRead', 'bytesWritten'] as const)
      if (!Number.isInteger(dispatch[cost]) || dispatch[cost] < 0) say(`${cost} ${dispatch[cost]}`);
  }
  return problems;
}
