/** The ring of uniforms without a device: what is written, what stays, what is handed out again. */
import test from 'tape';
import { defaultCaps, type Dispatch } from '../../kernels/plan.ts';
import { Memory } from '../../src/gpu/memory.ts';
import type { ReadyDispatch } from '../../src/gpu/ready-plan.ts';
import { Uniforms } from '../../src/gpu/uniforms.ts';

/** A device that keeps what is written to its one buffer. */
function ring() {
  let held = new Uint32Array();
  let words = 0;
  const queue = {
    writeBuffer(_: GPUBuffer, at: number, data: ArrayBuffer, from: number, size: number) {
      held.set(new Uint32Array(data, from, size / 4), at / 4);
      words += size / 4;
    },
  };
  const createBuffer = ({ size }: GPUBufferDescriptor): GPUBuffer => {
    held = new Uint32Array(size / 4);
    return { size, destroy: () => undefined } as unknown as GPUBuffer;
  };
  const device = { queue, createBuffer } as unknown as GPUDevice;
  const memory = new Memory(() => createBuffer({ size: 16, usage: 0 }), defaultCaps);
  const uniforms = new Uniforms(device, defaultCaps, memory);
  return {
    /** Encodes a batch; returns the slots written. */
    batch(number: number, dispatches: readonly ReadyDispatch[]): number {
      uniforms.reserve(dispatches.length);
      for (const ready of dispatches) uniforms.place(ready, number);
      words = 0;
      uniforms.write();
      return words / 64;
    },
    holds: ({ offset, dispatch }: ReadyDispatch): boolean =>
      offset[0] >= 0 && held[offset[0] / 4] === dispatch.uniforms[0],
  };
}

const ready = (value: number): ReadyDispatch =>
  ({ dispatch: { uniforms: [value] } as unknown as Dispatch, offset: [-1] }) as unknown as ReadyDispatch;

test('a batch that repeats writes no uniforms; one that shares plans writes what is new', (t) => {
  const { batch, holds } = ring();
  const kept = [1, 2, 3, 4].map(ready);
  t.equal(batch(1, kept), 4);
  t.equal(batch(2, kept), 0);
  const fresh = [5, 6].map(ready);
  t.equal(batch(3, [...kept.slice(0, 2), ...fresh]), 2);
  t.ok([...kept, ...fresh].every(holds), 'there was room for all of them');
  t.end();
});

test('whatever a batch uses is there, round and round the ring', (t) => {
  const { batch, holds } = ring();
  const kept = Array.from({ length: 23 }, (_, i) => ready(i));
  let value = 100;
  let wrong = 0;
  for (let number = 1; number < 400; number++) {
    // Of some batches all is new, of some nothing, and some are longer than the ring was.
    const fresh = Array.from({ length: (number * 7) % 31 }, () => ready(value++));
    const used = [...kept.slice(number % 5, 5 + (number % 19)), ...fresh, ...fresh.slice(3)];
    batch(number, used);
    wrong += used.filter((one) => !holds(one)).length;
    wrong += used.filter((a) => used.some((b) => a !== b && a.offset[0] === b.offset[0])).length;
  }
  t.equal(wrong, 0);
  t.end();
});

test('a batch of as many dispatches as there are slots takes those of the batch before too', (t) => {
  const { batch, holds } = ring();
  const kept = Array.from({ length: 40 }, (_, i) => ready(i)); // half of the slots
  batch(1, kept);
  batch(2, kept);
  const fresh = Array.from({ length: 80 }, (_, i) => ready(100 + i));
  batch(3, fresh);
  t.ok(fresh.every(holds));
  t.equal(new Set(fresh.map(({ offset }) => offset[0])).size, 80);
  batch(4, kept);
  t.ok(kept.every(holds));
  t.end();
});
