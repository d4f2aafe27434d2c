/**
 * Bind groups, kept from batch to batch. One is found by the numbers of what it binds: first where the last batch had one
 * in the same position, as a step that repeats does, then by their hash.
 */
import type { Place } from './host-tables.ts';
import type { Block } from './memory.ts';
import type { Meter } from './meter.ts';
import type { Layout } from './pipelines.ts';
import { UNIFORM_BYTES, type ReadyDispatch } from './ready-plan.ts';

const MOST = 8192;

/** What the operands of a plan are in one run of it. */
export interface Bound {
  /** By place. */
  readonly blocks: readonly (Block | undefined)[];
  /** By place, of tensors that have a part of their block alone; as long as the last of them is far. */
  readonly parts: readonly (Place | undefined)[];
  /** Of the plan's tables, by their index. */
  readonly tables: readonly Place[];
}

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
  /** By position in the batch. */
  readonly #last: Kept[] = [];
  #key: number[] = [];

  constructor(device: GPUDevice, meter: Meter) {
    this.#device = device;
    this.#meter = meter;
  }

  clear(): void {
    this.#byHash.clear();
    this.#last.length = 0;
  }

  /** @param position of the dispatch in its batch */
  find(
    position: number,
    ready: ReadyDispatch,
    bound: Bound,
    layout: Layout,
    uniforms: GPUBuffer | undefined,
    tables: GPUBuffer | undefined,
  ): GPUBindGroup {
    const key = this.#key;
    let hash = (key[0] = layout.id);
    let count = 1;
    for (const place of ready.operands) {
      if (place >= 0) {
        const { id } = bound.blocks[place] as Block;
        const part = place < bound.parts.length ? bound.parts[place] : undefined;
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
    const last = this.#last[position] as Kept | undefined;
    if (last && sameKey(last.key, key, count)) return last.group;
    hash |= 0;
    const first = this.#byHash.get(hash);
    let kept = first;
    while (kept && !sameKey(kept.key, key, count)) kept = kept.next;
    if (!kept) {
      const full = this.#byHash.size >= MOST;
      if (full) this.clear();
      kept = {
        key: key.slice(0, count),
        group: this.#make(ready, bound, layout, uniforms, tables),
        next: full ? undefined : first,
      };
      this.#byHash.set(hash, kept);
    }
    this.#last[position] = kept;
    return kept.group;
  }

  #make(
    { dispatch, operands }: ReadyDispatch,
    bound: Bound,
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
