/**
 * Spanwise in Node: `openRuntime` finds a device (a real driver first, else the software device) and owns it.
 */
import { readBaseline, writeBaseline } from './gate/baseline-file.ts';
import type { Measured } from './gate/baseline.ts';
import { gate as gateAgainst, type GateReport } from './gate/gate.ts';
import { openDevice, type DeviceOptions } from './gpu/device.ts';
import { DeviceUnavailableError } from './gpu/errors.ts';
import { pacedWait } from './gpu/pump.ts';
import { parseTuning, tuneDevice, tuningMismatch, type Tuning } from './gpu/tuning.ts';
import { Runtime, type RuntimeOptions } from './gpu/runtime.ts';
import { mayHaveVulkan, softwareForced, softwareReason, useSoftwareDevice } from './gpu/software.ts';
import { readTextFile } from './io/files.ts';
import type { Source } from './io/source.ts';
import type { Definition, LoadOptions, Types } from './tasks/definition.ts';
import { folderSource } from './tasks/folder.ts';
import { loadModel as loadFrom, type LoadedModel } from './tasks/model.ts';

export * from './index.ts';
export { readSafetensorsFile, writeSafetensorsFile } from './io/files.ts';
export { readCorpus, readSplits } from './tasks/corpus-file.ts';
export { folderSource, folderStorage, openFolder } from './tasks/folder.ts';
export { loadTokenizer } from './tasks/text/load.ts';

/** `loadModel` of the browser-safe interface, and from a folder. */
export const loadModel = async <T extends Types = Types>(
  runtime: Runtime,
  source: string | Source,
  definition?: Definition<T>,
  options?: LoadOptions,
): Promise<LoadedModel<T>> =>
  typeof source === 'string'
    ? loadFrom(runtime, folderSource(source), definition, options, source)
    : loadFrom(runtime, source, definition, options);

/**
 * `gate` of the browser-safe interface, and against a baseline's file.
 * @param options `update` takes over what is measured as the file's baseline, which need not be there yet: the report then
 *   has passed, and its lines say what moved
 * @throws InputError naming the file, for one that is no baseline or cannot be written
 */
export async function gate(
  baseline: string | Measured,
  measure: () => Measured | Promise<Measured>,
  { update = false }: { update?: boolean } = {},
): Promise<GateReport> {
  if (typeof baseline !== 'string') return gateAgainst(baseline, measure);
  const report = await gateAgainst(readBaseline(baseline, update), measure);
  if (!update) return report;
  writeBaseline(baseline, report.measured);
  return { ...report, passed: true };
}

export interface NodeOptions extends DeviceOptions, Pick<RuntimeOptions, 'poison'> {
  /** Where no driver offers an adapter, take the software device (the default). False: throw instead. */
  fallback?: boolean;
  /** Dawn toggles to enable, e.g. `vulkan_enable_f16_on_nvidia`; also from SPANWISE_DAWN_FEATURES (comma-separated). */
  dawnFeatures?: readonly string[];
  /** What `spanwise tune` measured, or its file; also from SPANWISE_TUNING. Of another device it is left aside. */
  tuning?: string | Tuning;
  /** Told what was left aside, in one line; standard error unless given. */
  note?: (line: string) => void;
}

/** Dawn's bindings. Errors: DeviceUnavailableError that names the package to install. */
async function loadDawn(): Promise<typeof import('webgpu')> {
  try {
    return await import('webgpu');
  } catch (error) {
    throw new DeviceUnavailableError(
      `the npm package "webgpu" cannot be loaded (npm install webgpu): ${(error as Error).message.split('\n')[0]}`,
      { cause: error },
    );
  }
}

/**
 * Resolves once the device has done a first piece of work. The threads of a software driver start with it; a device
 * destroyed before they run takes the process down (SwiftShader: std::system_error from a mutex).
 */
async function settled(device: GPUDevice): Promise<void> {
  const buffer = device.createBuffer({ size: 16, usage: 0x8 }); // COPY_DST
  device.queue.writeBuffer(buffer, 0, new Uint32Array(4));
  device.queue.submit([device.createCommandEncoder().finish()]);
  await device.queue.onSubmittedWorkDone();
  buffer.destroy();
}

/** Bytes that make V8 look for what nobody holds any more: after every device or two. */
const NUDGE_BYTES = 2 ** 26;

/**
 * Dawn gives the threads and the memory of a closed device back when its wrapper is collected. The collector knows nothing of
 * them and may not come for hours; of a buffer, never touched and dropped at once, it knows.
 */
function nudgeCollector(): void {
  new ArrayBuffer(NUDGE_BYTES);
}

/** What was measured, from a file where it is named. Errors: InputError, one line with the file. */
function readTuning(given: string | Tuning | undefined): Tuning | undefined {
  const tuning = given ?? (process.env.SPANWISE_TUNING || undefined);
  return typeof tuning === 'string' ? parseTuning(readTextFile(tuning, 'tuning'), tuning) : tuning;
}

/**
 * Opens a device and a runtime that owns it; `close()` it and the process can exit. SPANWISE_DEVICE=software forces
 * the software device. Errors: DeviceUnavailableError (no adapter, no software device; says what to do), InputError (a
 * tuning that cannot be read, `subgroupMatrix` where there is none).
 */
export async function openRuntime(options: NodeOptions = {}): Promise<Runtime> {
  const fallback = options.fallback !== false;
  const tuning = readTuning(options.tuning);
  if (softwareForced()) useSoftwareDevice('forced');
  else if (fallback && !mayHaveVulkan()) useSoftwareDevice('no-loader');
  const dawn = await loadDawn();
  nudgeCollector();
  const toggles = [
    // Dawn has the matrices of subgroups among what is unsafe, as experiments are.
    ...(options.subgroupMatrix ? ['allow_unsafe_apis'] : []),
    ...(options.dawnFeatures ?? []),
    ...(process.env.SPANWISE_DAWN_FEATURES?.split(',') ?? []),
  ];
  const flags = toggles.length ? [`enable-dawn-features=${toggles.join(',')}`] : [];
  const instance = dawn.create([...flags, 'disable-dawn-features=timestamp_quantization']);
  try {
    const opened = await pacedWait(openDevice(instance, options));
    await pacedWait(settled(opened.device));
    const mismatch = tuning && tuningMismatch(tuning, opened.info);
    if (mismatch) {
      const note = options.note ?? ((line) => process.stderr.write(`spanwise: ${line}\n`));
      note(`the tuning is left aside: ${mismatch}`);
    }
    return new Runtime(tuning && !mismatch ? tuneDevice(opened, tuning) : opened, {
      poison: options.poison,
      // A GPU is waited for without a pause: a millisecond is much of a step, and takes no core from it.
      wait: opened.info.software ? pacedWait : undefined,
    });
  } catch (error) {
    if (!(error instanceof DeviceUnavailableError) || softwareReason() || !fallback) throw error;
    useSoftwareDevice('no-adapter');
    return openRuntime(options);
  }
}
