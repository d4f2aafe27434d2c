/** Compiles pipelines asynchronously, each once, with explicit bind group layouts shared by access pattern. */
import type { Dispatch, Shader } from '../../kernels/plan.ts';
import { wgslOf } from '../../kernels/wgsl.ts';
import { ShaderError } from './errors.ts';
import { sameValue } from './same-value.ts';
import type { GPUBindGroupLayout, GPUComputePipeline, GPUDevice } from './webgpu.ts';

const COMPUTE = 0x4;

/** A pipeline: compiled, or known by a dispatch that needs it. */
export interface Pipeline {
  /** One of the dispatches that run it. */
  readonly dispatch: Dispatch;
  /** Absent until it is compiled. */
  compiled?: { readonly pipeline: GPUComputePipeline; readonly layout: Layout };
}

export interface Layout {
  /** The same for pipelines whose bind groups fit each other. */
  readonly id: number;
  readonly layout: GPUBindGroupLayout;
}

/** Access of the bindings and whether there are uniforms, as `rrwu`: what a bind group layout depends on. */
const accessOf = ({ bindings, uniforms }: Dispatch): string =>
  bindings.map((b) => (b.access === 'read' ? 'r' : 'w')).join('') + (uniforms.length ? 'u' : '');

/** A pipeline's name for people: stem, entry point and the constants that specialise it. */
function nameOf(dispatch: Dispatch): string {
  const constants = Object.entries(dispatch.constants).map(([name, value]) => `${name}=${value}`);
  return `${dispatch.shader.name}.${dispatch.entryPoint}(${constants.join(',')})${accessOf(dispatch)}`;
}

/** Whether two dispatches of one shader run one pipeline. */
function samePipeline(a: Dispatch, b: Dispatch): boolean {
  if (a.entryPoint !== b.entryPoint || a.bindings.length !== b.bindings.length) return false;
  if (a.uniforms.length > 0 !== b.uniforms.length > 0) return false;
  for (let i = 0; i < a.bindings.length; i++) if (a.bindings[i].access !== b.bindings[i].access) return false;
  return sameValue(a.constants, b.constants);
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
  /** By shader, the last asked for first. */
  readonly #known = new Map<Shader, Pipeline[]>();
  readonly #pending = new Map<Pipeline, Promise<void>>();
  readonly #layouts = new Map<string, Layout>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The pipeline of a dispatch, compiled or not; always the same object. */
  of(dispatch: Dispatch): Pipeline {
    let known = this.#known.get(dispatch.shader);
    if (!known) this.#known.set(dispatch.shader, (known = []));
    for (let at = 0; at < known.length; at++) {
      const found = known[at];
      if (!samePipeline(found.dispatch, dispatch)) continue;
      if (at > 0) {
        known.copyWithin(1, 0, at);
        known[0] = found;
      }
      return found;
    }
    const made: Pipeline = { dispatch };
    known.unshift(made);
    return made;
  }

  /** Compiles unless that is done or under way. Errors: ShaderError naming the kernel, with the diagnostics. */
  compile(pipeline: Pipeline): Promise<void> {
    if (pipeline.compiled) return Promise.resolve();
    let pending = this.#pending.get(pipeline);
    if (!pending) {
      pending = this.#make(pipeline).finally(() => this.#pending.delete(pipeline));
      this.#pending.set(pipeline, pending);
    }
    return pending;
  }

  async #make(made: Pipeline): Promise<void> {
    const device = this.#device;
    const { dispatch } = made;
    const name = nameOf(dispatch);
    let code = '';
    let module: GPUShaderModule | undefined;
    try {
      code = wgslOf(dispatch);
      const layout = this.#layout(dispatch);
      device.pushErrorScope('validation');
      module = device.createShaderModule({ code, label: name });
      // Bad WGSL fails the pipeline too, which is where it is reported.
      device.popErrorScope().catch(() => null);
      const pipeline = await device.createComputePipelineAsync({
        label: name,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout.layout], label: name }),
        compute: { module, entryPoint: dispatch.entryPoint },
      });
      made.compiled = { pipeline, layout };
    } catch (error) {
      const info = await module?.getCompilationInfo().catch(() => undefined);
      const found = info ? diagnostics(code, info.messages) : '';
      const why = found || (error instanceof Error ? error.message : String(error));
      throw new ShaderError(`kernel ${dispatch.label}, shader ${name}: ${why}`, { cause: error });
    }
  }

  #layout(dispatch: Dispatch): Layout {
    const access = accessOf(dispatch);
    let layout = this.#layouts.get(access);
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
          buffer: { type: 'uniform' },
        });
      layout = {
        id: this.#layouts.size,
        layout: this.#device.createBindGroupLayout({ entries, label: access }),
      };
      this.#layouts.set(access, layout);
    }
    return layout;
  }
}
