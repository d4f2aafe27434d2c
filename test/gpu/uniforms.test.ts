/** The slots of uniforms without a device: what is written, and what stays where it lies. */
import test from 'tape';
import { defaultCaps, type Dispatch } from '../../kernels/plan.ts';
import { Memory } from '../../src/gpu/memory.ts';
import type { Slot } from '../../src/gpu/ready-plan.ts';
import { slotBytes, Uniforms } from '../../src/gpu/uniforms.ts';

const SLOT = slotBytes(defaultCaps);

/** Uniforms on a device that keeps what is written to its buffers. */
function slots() {
  const held = new Map<GPUBuffer, Uint32Array>();
  let bytes = 0;
  const queue = {
    writeBuffer(buffer: GPUBuffer, at: number, data: ArrayBuffer, from: number, size: number) {
      held.get(buffer)!.set(new Uint32Array(data, from, size / 4), at / 4);
      bytes += size;
    },
  };
  const createBuffer = ({ size }: GPUBufferDescriptor): GPUBuffer => {
    const buffer = { size, destroy: () => held.delete(buffer) } as unknown as GPUBuffer;
    held.set(buffer, new Uint32Array(size / 4));
    return buffer;
  };
  const device = { queue, createBuffer } as unknown as GPUDevice;
  const memory = new Memory(() => createBuffer({ size: 16, usage: 0 }), defaultCaps);
  const uniforms = new Uniforms(device, defaultCaps, memory);
  return {
    uniforms,
    take: (count: number) => Array.from({ length: count }, () => uniforms.take()),
    /** Writes a batch, the n-th dispatch to the n-th slot; returns the slots written. */
    batch(at: readonly Slot[], dispatches: readonly Dispatch[]): number {
      dispatches.forEach((dispatch, i) => uniforms.place(at[i], dispatch));
      bytes = 0;
      uniforms.write();
      return bytes / SLOT;
    },
    /** How many dispatches of a batch do not find their uniforms in their slot. */
    wrong: (at: readonly Slot[], dispatches: readonly Dispatch[]): number =>
      dispatches.filter(({ uniforms: [value] }, i) => held.get(at[i].buffer)?.[at[i].offset / 4] !== value)
        .length,
    bytesHeld: () => memory.report().heldBytes,
  };
}

const dispatch = (value: number): Dispatch => ({ uniforms: [value] }) as unknown as Dispatch;

test('a batch that repeats writes no uniforms; one that differs writes from the first that does to the last', (t) => {
  const { take, batch, wrong } = slots();
  const kept = [1, 2, 3, 4, 5].map(dispatch);
  const at = take(5);
  t.equal(batch(at, kept), 5);
  t.equal(batch(at, kept), 0);
  const other = [kept[0], dispatch(6), kept[2], dispatch(7), kept[4]];
  t.equal(batch(at, other), 3);
  t.equal(wrong(at, other), 0);
  t.equal(batch(at, other.slice(0, 2)), 0, 'the beginning of it');
  t.equal(batch(at, other), 0, 'and the whole again');
  t.end();
});

test('slots of many buffers: each is one dispatch’s, and what is written in one writes none of the others', (t) => {
  const { uniforms, take, batch, wrong, bytesHeld } = slots();
  const kept = Array.from({ length: 600 }, (_, i) => dispatch(i));
  const at = take(600);
  t.equal(new Set(at.map(({ offset }) => offset)).size, 256);
  t.equal(new Set(at.map(({ buffer }) => buffer)).size, 3);
  t.equal(bytesHeld(), 3 * 256 * SLOT);
  t.equal(batch(at, kept), 600);
  kept[3] = dispatch(1000);
  kept[599] = dispatch(1001);
  t.equal(batch(at, kept), 2);
  t.equal(wrong(at, kept), 0);
  uniforms.give(at[7]);
  t.equal(take(1)[0], at[7]);
  uniforms.clear();
  const again = take(600);
  t.equal(new Set(again).size, 600, 'free again');
  t.equal(bytesHeld(), 3 * 256 * SLOT);
  const others = Array.from({ length: 600 }, (_, i) => dispatch(2000 + i));
  batch(again, others);
  t.equal(wrong(again, others), 0);
  uniforms.destroy();
  t.equal(bytesHeld(), 0);
  t.end();
});
