/** Compiles pipelines asynchronously, each once, with explicit bind group layouts shared by access pattern. */
import type { Dispatch } from '../../kernels/plan.ts';
import { wgslOf } from '../../kernels/wgsl.ts';
import { ShaderError } from './errors.ts';

const COMPUTE = 0x4;

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly layoutKey: string;
}

/** Readable key of a pipeline, also its GPU label: stem, entry point and the constants that specialise it. */
export function pipelineKey(dispatch: Dispatch): string {
  const constants = Object.entries(dispatch.constants).map(([name, value]) => `${name}=${value}`);
  const access = dispatch.bindings.map((b) => (b.access === 'read' ? 'r' : 'w')).join('');
  return `${dispatch.shader}.${dispatch.entryPoint}(${constants.join(',')})${access}${dispatch.uniforms.length ? 'u' : ''}`;
}

/** Numbered source lines around each diagnostic, as the error shows them. */
function diagnostics(code: string, messages: readonly GPUCompilationMessage[]): string {
  const lines = code.split('\n');
  return messages
    .filter((m) => m.type === 'error')
    .map((m) => `[${m.lineNum}:${m.linePos}] ${m.message}\n    ${lines[m.lineNum - 1] ?? ''}`)
    .join('\n');
}

export class Pipelines {
  readonly #device: GPUDevice;
  readonly #ready = new Map<string, Pipeline>();
  readonly #pending = new Map<string, Promise<Pipeline>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The pipeline if it is compiled. */
  get(key: string): Pipeline | undefined {
    return this.#ready.get(key);
  }

  /** Compiles unless that is done or under way. Errors: ShaderError naming the kernel, with the diagnostics. */
  compile(key: string, dispatch: Dispatch): Promise<Pipeline> {
    const ready = this.#ready.get(key);
    if (ready) return Promise.resolve(ready);
    let pending = this.#pending.get(key);
    if (!pending) {
      pending = this.#make(key, dispatch).finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
    }
    return pending;
  }

  async #make(key: string, dispatch: Dispatch): Promise<Pipeline> {
    const device = this.#device;
    let code = '';
    let module: GPUShaderModule | undefined;
    try {
      code = wgslOf(dispatch);
      const access = dispatch.bindings.map((b) => (b.access === 'read' ? 'r' : 'w')).join('');
      const layoutKey = `${access}${dispatch.uniforms.length ? 'u' : ''}`;
      const layout = this.#layout(layoutKey, dispatch);
      device.pushErrorScope('validation');
      module = device.createShaderModule({ code, label: key });
      // Bad WGSL fails the pipeline too, which is where it is reported.
      device.popErrorScope().catch(() => null);
      const pipeline = await device.createComputePipelineAsync({
        label: key,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout], label: layoutKey }),
        compute: { module, entryPoint: dispatch.entryPoint },
      });
      const made = { pipeline, layout, layoutKey };
      this.#ready.set(key, made);
      return made;
    } catch (error) {
      const info = await module?.getCompilationInfo().catch(() => undefined);
      const found = info ? diagnostics(code, info.messages) : '';
      const why = found || (error instanceof Error ? error.message : String(error));
      throw new ShaderError(`kernel ${dispatch.label}, shader ${key}: ${why}`, { cause: error });
    }
  }

  #layout(key: string, dispatch: Dispatch): GPUBindGroupLayout {
    let layout = this.#layouts.get(key);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = dispatch.bindings.map((b, binding) => ({
        binding,
        visibility: COMPUTE,
        buffer: { type: b.access === 'read' ? 'read-only-storage' : 'storage' },
      }));
      if (dispatch.uniforms.length)
        entries.push({
          binding: entries.length,
          visibility: COMPUTE,
          buffer: { type: 'uniform', hasDynamicOffset: true },
        });
      layout = this.#device.createBindGroupLayout({ entries, label: key });
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}
