/**
 * The contract between kernels and runtimes. A kernel is a pure function from shapes, parameters and device
 * capabilities to a Plan; a Plan is plain data that any WebGPU runtime can execute. Nothing here touches a device.
 */
import { InputError, SpanwiseError } from './errors.ts';
import type { MatmulTuning } from './shared/matmul-form.ts';
import type { Shader } from '../shaders/expand.ts';

export type { Shader } from '../shaders/expand.ts';

/** Of an element in memory. f16 lie two to a 32-bit word, the first in its low half; kernels compute in f32. */
export type DType = 'f32' | 'i32' | 'f16';
export type Shape = readonly number[];
export interface TensorSpec {
  shape: Shape;
  dtype: DType;
}

/** What a kernel may know of a device. Frozen; variant choice is a pure function of (shape, params, caps). */
export interface Caps {
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly minUniformBufferOffsetAlignment: number;
  /** Smallest and largest subgroup; 0 where the device has no subgroups. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  readonly f16: boolean;
  readonly timestamps: boolean;
  /** True for a CPU-backed adapter (SwiftShader, lavapipe, WARP). */
  readonly software: boolean;
  readonly vendor: string;
  readonly architecture: string;
  /** Forms of matrix products that were measured on this device; absent, or for other shapes: the built-in choice. */
  readonly tuning?: MatmulTuning;
  /** Present where the device multiplies matrices of its subgroups and its opener asked for that: `linear` then rounds to f16. */
  readonly subgroupMatrix?: SubgroupMatrix;
}

/** Sides of the matrices that a subgroup multiplies at once: f16 [m, k] by f16 [k, n], added to f32 [m, n]. */
export interface SubgroupMatrix {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** The limits that every WebGPU device grants; each kernel must work with these. */
export const defaultCaps: Caps = Object.freeze({
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupsPerDimension: 65535,
  maxStorageBufferBindingSize: 134217728,
  maxBufferSize: 268435456,
  minStorageBufferOffsetAlignment: 256,
  minUniformBufferOffsetAlignment: 256,
  subgroupMinSize: 0,
  subgroupMaxSize: 0,
  f16: false,
  timestamps: false,
  software: false,
  vendor: '',
  architecture: '',
});

const isPowerOfTwo = (value: number): boolean => Number.isInteger(Math.log2(value));

/** What is wrong with a capability of a device, in words; undefined where nothing is. */
function capComplaint(caps: Caps, name: keyof Caps): string | undefined {
  const [value, usual] = [caps[name], defaultCaps[name]];
  if (typeof value !== typeof usual) return `must be a ${typeof usual}, such as ${JSON.stringify(usual)}`;
  if (typeof value !== 'number' || typeof usual !== 'number') return undefined;
  if (!(value >= 0)) return `must be a number of at least 0, got ${value}`;
  if (name.startsWith('max') && value < usual)
    return `is ${value}, below the ${usual} that every device grants`;
  if (name.endsWith('Alignment') && !(isPowerOfTwo(value) && value >= 4 && value <= usual))
    return `must be a power of two from 4 to ${usual}, got ${value}`;
  const { subgroupMinSize: min, subgroupMaxSize: max } = caps;
  if (name === 'subgroupMaxSize' && max + min > 0 && !(isPowerOfTwo(min) && isPowerOfTwo(max) && min <= max))
    return `is ${max}, and "subgroupMinSize" ${min}: both must be powers of two, in this order, or 0`;
  return undefined;
}

/** Errors: InputError for capabilities that are not whole, or of no WebGPU device; `what` begins the message. */
export function checkCaps(caps: Caps, what: string): void {
  for (const name of Object.keys(defaultCaps) as (keyof Caps)[]) {
    const complaint = capComplaint(caps ?? {}, name);
    if (complaint !== undefined) throw new InputError(`${what}: "${name}" ${complaint}`);
  }
}

/** A uniform field: a number is a u32, `{ f32 }` a float. Packed in order, 4 bytes each. */
export type Uniform = number | { readonly f32: number };

export interface Binding {
  /** Name of the variable in the WGSL. */
  name: string;
  access: 'read' | 'read_write';
  /** The tensor bound: an input, output, scratch or data name of the plan. */
  tensor: string;
}

export interface Dispatch {
  label: string;
  /** Its WGSL before it is specialised: always the same object, by which runtimes know what they have compiled. */
  shader: Shader;
  entryPoint: string;
  /** Constants that the preprocessor specialises the WGSL with; they and the stem are the pipeline's key. */
  constants: Readonly<Record<string, number | readonly number[]>>;
  /** Storage bindings in the order of their @binding numbers; the uniform block, if any, comes last. */
  bindings: readonly Binding[];
  uniforms: readonly Uniform[];
  workgroups: readonly [number, number, number];
  /** Multiply-adds executed. */
  macs: number;
  /** 2 * macs + one per other arithmetic operation, exp, division, root. */
  flops: number;
  bytesRead: number;
  bytesWritten: number;
}

export interface Plan {
  dispatches: readonly Dispatch[];
  scratch: Readonly<Record<string, TensorSpec>>;
  outputs: Readonly<Record<string, TensorSpec>>;
  /** Host tables that the dispatches read (lengths, ids, segment lists), uploaded by the runtime. */
  data: Readonly<Record<string, Int32Array>>;
  /** Outputs that are written in place over an input: output name → input name. */
  inPlace?: Readonly<Record<string, string>>;
}

export interface Port {
  name: string;
  dtype: DType;
  /** Human-readable shape, e.g. "[B, L, D]". */
  shape: string;
  optional?: boolean;
  /**
   * Stands for any number of tensors that differ by a number at the end: `grad0` for grad0, grad1, …; `out.<r>` for one
   * for each element r of a list in the params, out.2, out.3, …
   */
  repeated?: boolean;
  /** Host data: the plan receives the values, not only the shape (ids, lengths, spans, ranges, masks, targets). */
  host?: boolean;
  /** An output that is kept only for the backward kernel. */
  saved?: boolean;
  /** A float input that may be stored as f16 too (`PlanRequest.f16`). */
  f16?: boolean;
}

export interface ParamSpec {
  name: string;
  doc: string;
  default?: unknown;
  /** Changes with every use (a rate, a counter): a runtime does not keep the plan for the next. */
  live?: boolean;
}

export type Params = Readonly<Record<string, unknown>>;

export interface PlanRequest {
  /** Shapes of the inputs that are present; an absent optional input is absent here. */
  shapes: Readonly<Record<string, Shape>>;
  params: Params;
  caps: Caps;
  /** Values of the host inputs. */
  host: Readonly<Record<string, Int32Array>>;
  /** Backward kernels: the `grad_<input>` outputs that are wanted; all when absent. */
  wanted?: readonly string[];
  /** Of those of `Kernel.adds`, the outputs that are added to what they hold. */
  add?: readonly string[];
  /**
   * The inputs that are stored as f16, of those whose port allows it. When absent all floats are f32, but what a backward
   * kernel takes that a parameter of the forward's made f16.
   */
  f16?: readonly string[];
}

export interface Kernel {
  name: string;
  doc: string;
  inputs: readonly Port[];
  outputs: readonly Port[];
  params: readonly ParamSpec[];
  /**
   * The host tables of its plans by name, where `<…>` stands for a number: what a row holds, and how it follows from the
   * host inputs, so that another runtime can make them.
   */
  tables?: Readonly<Record<string, string>>;
  plan(request: PlanRequest): Plan;
  /**
   * What `plan` would give for `params`, from what it gave for those `before` with the same inputs, faster: the same but values
   * of uniforms and tables, and what it was given is left as it is. Undefined unless live parameters alone differ, and are right.
   */
  renew?(plan: Plan, before: Params, params: Params): Plan | undefined;
  /**
   * Inputs: any of the forward's inputs and outputs (saved ones too) by the same names, and `grad_<output>`.
   * Outputs: `grad_<input>`. Gradients are written; fan-in and accumulation belong to the tape, which a backward that has
   * `adds` can spare a dispatch.
   */
  backward?: Kernel;
  /** Outputs that the plan can add to what they hold, on request. */
  adds?: readonly string[];
}

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (let i = 0; i < shape.length; i++) size *= shape[i];
  return size;
}

/** Bytes of a tensor, in whole words. */
export const bytesOf = (shape: Shape, dtype: DType = 'f32'): number =>
  dtype === 'f16' ? 4 * Math.ceil(sizeOf(shape) / 2) : 4 * sizeOf(shape);

/** Most elements of a tensor, 4 GiB: no device binds more, and shaders count them with 32 bits. */
export const MOST_ELEMENTS = 2 ** 30;

/**
 * Fails where a tensor that somebody names would have more elements than `most`: plans of it take as much time and memory.
 * A length counts where another is 0 too.
 */
export function expectSize(what: string, name: string, shape: Shape, most: number = MOST_ELEMENTS): void {
  const size = shape.reduce((product, length) => product * Math.max(1, length), 1);
  if (size > most)
    throw new InputError(
      `${what}: "${name}" of shape [${shape}] has over ${most} elements, more than can be bound`,
    );
}

/** Bytes of a buffer or binding for so many of data: storage bindings are whole vec4s, and none is empty. */
export const boundBytes = (bytes: number): number => Math.max(16, Math.ceil(bytes / 16) * 16);

export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);

/**
 * Folds a linear count of workgroups into a grid within the device limit per dimension. The WGSL reads the linear
 * index with `group_index` (shaders/common/grid.wgsl) and must check it against its own bound.
 */
export function foldGrid(groups: number, caps: Caps): [number, number, number] {
  const max = caps.maxComputeWorkgroupsPerDimension;
  if (groups <= max) return [groups, 1, 1];
  const rows = ceilDiv(groups, max);
  if (rows > max) throw new InputError(`${groups} workgroups exceed the device's grid of ${max} x ${max}`);
  return [ceilDiv(groups, rows), rows, 1];
}

/** The shape of a required input, or an error that names kernel and input. */
export function shapeOf(kernel: string, request: PlanRequest, name: string, rank?: number): Shape {
  const shape = request.shapes[name];
  if (!shape) throw new InputError(`${kernel}: input "${name}" is missing`);
  if (rank !== undefined && shape.length !== rank)
    throw new InputError(`${kernel}: input "${name}" must have ${rank} dimensions, got [${shape}]`);
  return shape;
}

/** The values of a required host input. */
export function hostOf(kernel: string, request: PlanRequest, name: string): Int32Array {
  const values = request.host[name];
  if (!(values instanceof Int32Array))
    throw new InputError(`${kernel}: input "${name}" is missing or not an i32 host tensor`);
  return values;
}

/** The port that a tensor of that name belongs to: of its own name, or a repeated one that stands for it. */
export const portOf = (ports: readonly Port[], name: string): Port | undefined =>
  ports.find((port) => {
    if (!port.repeated) return port.name === name;
    const stem = port.name.replace(/(0|<\w+>)$/, '');
    return name.startsWith(stem) && /^(0|[1-9]\d*)$/.test(name.slice(stem.length));
  });

/** What a kernel says of the host table of that name. Errors: SpanwiseError where it says nothing. */
export function ruleOf({ name, tables = {} }: Kernel, table: string): string {
  for (const [pattern, rule] of Object.entries(tables))
    if (new RegExp(`^${pattern.replaceAll('.', '\\.').replace(/<\w+>/g, '\\d+')}$`).test(table)) return rule;
  throw new SpanwiseError(`${name}: there is no rule for its table "${table}"`);
}

/** Fails unless two shapes agree; the message names kernel, input, both shapes. */
export function expectShape(kernel: string, name: string, actual: Shape, expected: Shape): void {
  if (actual.length !== expected.length || actual.some((d, i) => d !== expected[i]))
    throw new InputError(`${kernel}: input "${name}" must have shape [${expected}], got [${actual}]`);
}

/** A numeric parameter that an f32 holds, of at least `min`; `fallback` undefined means it is required. */
export function numberParam(
  kernel: string,
  params: Params,
  name: string,
  fallback?: number,
  min = -Infinity,
): number {
  const value = params[name] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(Math.fround(value)))
    throw new InputError(
      `${kernel}: parameter "${name}" must be a finite number of f32, got ${JSON.stringify(value)}`,
    );
  if (value < min)
    throw new InputError(`${kernel}: parameter "${name}" must be at least ${min}, got ${value}`);
  return value;
}

/** A non-negative integer parameter (or at least `min`). */
export function integerParam(
  kernel: string,
  params: Params,
  name: string,
  fallback?: number,
  min = 0,
): number {
  const value = numberParam(kernel, params, name, fallback);
  if (!Number.isInteger(value) || value < min)
    throw new InputError(
      `${kernel}: parameter "${name}" must be an integer of at least ${min}, got ${value}`,
    );
  return value;
}

/** Fails on a parameter that the kernel does not have, naming those it has. */
export function checkParams(kernel: Kernel, params: Params): void {
  for (const name in params)
    if (!kernel.params.some((p) => p.name === name)) {
      const known = kernel.params.map((p) => p.name).join(', ') || 'none';
      throw new InputError(`${kernel.name}: unknown parameter "${name}" (it has: ${known})`);
    }
}

/** True when a backward kernel must add `name` to what that holds. */
export const isAdded = (request: PlanRequest, name: string): boolean => request.add?.includes(name) ?? false;

/** True when an input is stored as f16. */
export const isF16 = (request: PlanRequest, name: string): boolean => request.f16?.includes(name) ?? false;

export const f32 = (value: number): { f32: number } => ({ f32: value });

/** True when a backward kernel must produce `name`. */
export const isWanted = (request: PlanRequest, name: string): boolean =>
  !request.wanted || request.wanted.includes(name);

/** A tensor spec, f32 unless told otherwise. */
export const spec = (shape: Shape, dtype: DType = 'f32'): TensorSpec => ({ shape, dtype });
