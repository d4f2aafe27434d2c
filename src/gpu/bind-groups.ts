/** Bind groups, kept from batch to batch: by the run that they are of, and by the numbers of what they bind. */
import { GpuValidationError } from './errors.ts';
import type { Block } from './memory.ts';
import type { Meter } from './meter.ts';
import type { Layout } from './pipelines.ts';
import { UNIFORM_BYTES, type Operands, type ReadyDispatch, type Run } from './ready-plan.ts';

const MOST = 8192;

interface Kept {
  /**
   * Layout, then for each binding the block's number; before that, where it is a part of the block, −2 with its offset and
   * size; or of a table −1 with these.
   */
  readonly key: readonly number[];
  readonly group: GPUBindGroup;
  /** Another one of the same hash. */
  readonly next: Kept | undefined;
}

export class BindGroups {
  readonly #device: GPUDevice;
  readonly #meter: Meter;
  readonly #byHash = new Map<number, Kept>();
  #key: number[] = [];
  #state = 0;

  constructor(device: GPUDevice, meter: Meter) {
    this.#device = device;
    this.#meter = meter;
  }

  /** Counts the buffers that took the place of others: a run's bind groups hold while it stays. */
  get state(): number {
    return this.#state;
  }

  /** The buffer of uniforms or of tables is another one. */
  clear(): void {
    this.#byHash.clear();
    this.#state++;
  }

  /** The bind groups of a run, whose pipelines are compiled, by its dispatches. */
  of(run: Run, uniforms: GPUBuffer | undefined, tables: GPUBuffer | undefined): readonly GPUBindGroup[] {
    if (run.state !== this.#state) {
      run.groups = run.plan.dispatches.map((ready) => this.#find(ready, run, uniforms, tables));
      run.state = this.#state;
    }
    return run.groups;
  }

  #find(
    ready: ReadyDispatch,
    bound: Readonly<Operands>,
    uniforms: GPUBuffer | undefined,
    tables: GPUBuffer | undefined,
  ): GPUBindGroup {
    const { compiled } = ready.pipeline;
    if (!compiled) throw new GpuValidationError(`${ready.dispatch.label}: its pipeline is missing`);
    const { layout } = compiled;
    const key = this.#key;
    let hash = (key[0] = layout.id);
    let count = 1;
    for (const place of ready.operands) {
      if (place >= 0) {
        const { id } = bound.blocks[place] as Block;
        const part = bound.parts[place];
        if (part) {
          key[count++] = -2;
          key[count++] = part.offset;
          key[count++] = part.size;
          hash = Math.imul(hash, 31) + part.offset;
        }
        key[count++] = id;
        hash = Math.imul(hash, 31) + id;
      } else {
        const { offset, size } = bound.tables[-1 - place];
        key[count++] = -1;
        key[count++] = offset;
        key[count++] = size;
        hash = Math.imul(hash, 31) + offset + size;
      }
    }
    hash |= 0;
    const first = this.#byHash.get(hash);
    let kept = first;
    while (kept && !sameKey(kept.key, key, count)) kept = kept.next;
    if (kept) return kept.group;
    const full = this.#byHash.size >= MOST;
    if (full) this.#byHash.clear();
    const group = this.#make(ready, bound, layout, uniforms, tables);
    this.#byHash.set(hash, { key: key.slice(0, count), group, next: full ? undefined : first });
    return group;
  }

  #make(
    { dispatch, operands }: ReadyDispatch,
    bound: Readonly<Operands>,
    { layout }: Layout,
    uniforms: GPUBuffer | undefined,
    tables: GPUBuffer | undefined,
  ): GPUBindGroup {
    const entries = operands.map((place, binding): GPUBindGroupEntry => {
      if (place < 0)
        return { binding, resource: { buffer: tables as GPUBuffer, ...bound.tables[-1 - place] } };
      const { buffer, boundSize } = bound.blocks[place] as Block;
      const { offset, size } = bound.parts[place] ?? { offset: 0, size: boundSize };
      return { binding, resource: { buffer, offset, size } };
    });
    if (dispatch.uniforms.length)
      entries.push({
        binding: entries.length,
        resource: { buffer: uniforms as GPUBuffer, offset: 0, size: UNIFORM_BYTES },
      });
    this.#meter.bindGroups++;
    return this.#device.createBindGroup({ layout, entries, label: dispatch.label });
  }
}

function sameKey(a: readonly number[], b: readonly number[], count: number): boolean {
  if (a.length !== count) return false;
  for (let i = 0; i < count; i++) if (a[i] !== b[i]) return false;
  return true;
}
