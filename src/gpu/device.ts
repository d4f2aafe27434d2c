/** Acquiring, wrapping and describing a WebGPU device. Browser-safe: Node's part is in src/node.ts. */
import { defaultCaps, type Caps, type SubgroupMatrix } from '../../kernels/plan.ts';
import { InputError } from '../../kernels/errors.ts';
import { takesMatrix } from '../../kernels/shared/matmul-variant.ts';
import { DeviceUnavailableError } from './errors.ts';
import { namesOf } from './vendors.ts';
import type { GPU, GPUAdapterInfo, GPUDevice } from './webgpu.ts';

/** What `doctor`, reports and benchmarks say about a device. */
export interface DeviceInfo {
  name: string;
  vendor: string;
  architecture: string;
  driver: string;
  software: boolean;
  /** Those that the device was made with. */
  features: string[];
  /** Classes of matrix products whose form was measured (src/gpu/tuning.ts); absent where the built-in choice holds. */
  tuned?: number;
}

export interface OpenedDevice {
  device: GPUDevice;
  caps: Caps;
  info: DeviceInfo;
  /** Whether a runtime on it destroys the device when it closes: true of `openDevice`, false of `wrapDevice`. */
  owned: boolean;
  /**
   * What the device came from. Dawn takes the process down where it is collected before the device is done with, and keeps
   * Node from ending while it is referenced: a runtime drops it when it closes.
   */
  gpu?: GPU;
}

const wantedFeatures = ['timestamp-query', 'subgroups', 'shader-f16'] as const;
const wantedLimits = [
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
] as const;

/** A CPU-backed adapter by its own word or by its name. */
function isSoftware(info: GPUAdapterInfo): boolean {
  const words = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  return (
    info.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|basic render|\bwarp\b|\bcpu\b/.test(words)
  );
}

/** Dawn's null backend accepts every command and computes nothing; it must never pass for a device. */
const isNullBackend = (info: GPUAdapterInfo): boolean =>
  /null[ -]backend/i.test(`${info.description} ${info.device}`);

export function describeAdapter(info: GPUAdapterInfo, features: Iterable<string>): DeviceInfo {
  const { vendor, architecture, device, description } = namesOf(info);
  return {
    name: device || description || architecture || 'unknown',
    vendor,
    architecture,
    driver: description,
    software: isSoftware(info),
    features: [...features].sort(),
  };
}

/** What a device must have for the matrices of subgroups. */
const matrixFeatures = ['chromium-experimental-subgroup-matrix', 'shader-f16', 'subgroups'];

/** How an adapter's matrices come, in Dawn: the types of WebGPU know nothing of them yet. */
interface MatrixConfig {
  componentType: string;
  resultComponentType: string;
  M: number;
  N: number;
  K: number;
}

/** The largest matrices of f16 with sums in f32 that an adapter has and products take; undefined where there are none. */
function subgroupMatrixOf(features: ReadonlySet<string>, info: GPUAdapterInfo): SubgroupMatrix | undefined {
  if (!matrixFeatures.every((feature) => features.has(feature))) return undefined;
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> };
  const [largest] = [...subgroupMatrixConfigs]
    .filter(
      ({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32',
    )
    .map(({ M, N, K }) => Object.freeze({ m: M, n: N, k: K }))
    .filter((matrix) => takesMatrix(matrix, info.subgroupMaxSize ?? 0))
    .sort((p, q) => q.m * q.n * q.k - p.m * p.n * p.k);
  return largest;
}

/** Capabilities of a device, frozen. */
export function capsOf(device: GPUDevice, info: GPUAdapterInfo): Caps {
  const limits = device.limits;
  const caps: Record<string, unknown> = { ...defaultCaps };
  for (const key of Object.keys(defaultCaps)) {
    const limit = (limits as unknown as Record<string, unknown>)[key];
    if (typeof limit === 'number') caps[key] = limit;
  }
  const subgroups = device.features.has('subgroups');
  return Object.freeze({
    ...(caps as unknown as Caps),
    subgroupMinSize: subgroups ? (info.subgroupMinSize ?? 0) : 0,
    subgroupMaxSize: subgroups ? (info.subgroupMaxSize ?? 0) : 0,
    f16: device.features.has('shader-f16'),
    timestamps: device.features.has('timestamp-query'),
    software: isSoftware(info),
    vendor: namesOf(info).vendor,
    architecture: info.architecture,
  });
}

export interface DeviceOptions {
  /** Ask for WebGPU's default limits only. */
  defaultLimits?: boolean;
  /**
   * Let `linear` multiply by the matrices of subgroups: operands are rounded to f16, sums stay f32 (docs/gpu.md). No GPU has run
   * it yet, hence off unless asked for.
   */
  subgroupMatrix?: boolean;
}

/**
 * Requests an adapter and a device with the limits and features that the adapter has (f16, subgroups, timestamps).
 * Errors: DeviceUnavailableError when there is no WebGPU, no adapter, only Dawn's null backend, or an adapter that refuses;
 * InputError where `subgroupMatrix` is asked of an adapter that has none.
 */
export async function openDevice(gpu: GPU, options: DeviceOptions = {}): Promise<OpenedDevice> {
  if (typeof (gpu as GPU | undefined)?.requestAdapter !== 'function')
    throw new DeviceUnavailableError(
      'there is no WebGPU here: `navigator.gpu` is missing, in a browser without it and on a page that is not https; in Node use ' +
        '`openRuntime` of spanwise/node',
    );
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new DeviceUnavailableError('no WebGPU adapter was found');
  if (isNullBackend(adapter.info))
    throw new DeviceUnavailableError('only the null backend was found: it computes nothing');
  const requiredFeatures: GPUFeatureName[] = wantedFeatures.filter((feature) =>
    adapter.features.has(feature),
  );
  const subgroupMatrix = options.subgroupMatrix
    ? subgroupMatrixOf(adapter.features, adapter.info)
    : undefined;
  if (subgroupMatrix) requiredFeatures.push(matrixFeatures[0] as GPUFeatureName);
  else if (options.subgroupMatrix)
    throw new InputError(
      `subgroupMatrix: the adapter "${describeAdapter(adapter.info, []).name}" has no matrices of f16 that products could take`,
    );
  const requiredLimits: Record<string, number> = {};
  if (!options.defaultLimits) for (const limit of wantedLimits) requiredLimits[limit] = adapter.limits[limit];
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({ requiredFeatures, requiredLimits, label: 'spanwise' });
  } catch (error) {
    const { name } = describeAdapter(adapter.info, []);
    throw new DeviceUnavailableError(`the adapter "${name}" gives no device: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const info = describeAdapter(adapter.info, device.features);
  const caps = capsOf(device, adapter.info);
  return {
    device,
    caps: subgroupMatrix ? Object.freeze({ ...caps, subgroupMatrix }) : caps,
    info,
    owned: true,
    gpu,
  };
}

/**
 * Wraps a device that somebody else owns: closing a runtime on it leaves it as it is.
 * @param gpu what the device came from, for Node, unless the caller keeps it
 */
export function wrapDevice(device: GPUDevice, gpu?: GPU): OpenedDevice {
  const info = (device as GPUDevice | undefined)?.adapterInfo;
  if (!info) throw new InputError('wrapDevice: takes a GPUDevice');
  return {
    device,
    caps: capsOf(device, info),
    info: describeAdapter(info, device.features),
    owned: false,
    gpu,
  };
}
