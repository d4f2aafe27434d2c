/** Where host tables lie in their buffer, and when they are written, without a device. */
import test from 'tape';
import { defaultCaps } from '../../kernels/plan.ts';
import { HostTables, TableLayout } from '../../src/gpu/host-tables.ts';
import { Memory } from '../../src/gpu/memory.ts';
import { TableBuffer } from '../../src/gpu/table-buffer.ts';

const table = (length: number, value = 1): Int32Array => new Int32Array(length).fill(value);

/** The places of tables of these lengths in a batch. */
function place(layout: TableLayout, lengths: readonly number[]): [number, number][] {
  const tables = new HostTables(defaultCaps, layout);
  const made = lengths.map((length, i) => table(length, i + 1));
  const places = made.map((one) => tables.place(one, 'kernel'));
  let end = 0;
  for (const [i, { offset, size }] of [...places.entries()].sort(([, a], [, b]) => a.offset - b.offset)) {
    if (4 * lengths[i] > size || offset + size > tables.bytes) throw new Error(`table ${i} does not fit`);
    if (offset < end) throw new Error(`table ${i} lies on another`);
    end = offset + size;
  }
  tables.close();
  return places.map(({ offset, size }) => [offset, size]);
}

test('tables of nearly alike batches lie at the same places', (t) => {
  const layout = new TableLayout(defaultCaps);
  const first = place(layout, [8, 1000, 8, 300, 8]);
  t.deepEqual(place(layout, [8, 900, 8, 400, 8]), first);
  t.deepEqual(place(layout, [8, 8, 300]), [first[0], first[2], first[3]], 'those that are there at theirs');
  t.equal(new Set(first.map(([offset]) => offset)).size, 5);
  t.ok(first.every(([offset]) => offset % 256 === 0));
  t.end();
});

test('a table that comes again keeps its place; an empty one has one', (t) => {
  const tables = new HostTables(defaultCaps, new TableLayout(defaultCaps));
  const one = table(20);
  t.equal(tables.place(one, 'kernel'), tables.place(one, 'kernel'));
  t.deepEqual(tables.place(table(0), 'kernel'), { offset: 256, size: 16 });
  t.end();
});

test('a layout that later batches have no use for is given up', (t) => {
  const layout = new TableLayout(defaultCaps);
  for (let i = 0; i < 50; i++) place(layout, [400_000 + 1000 * i, 8]);
  const [, [offset]] = place(layout, [500_000, 8]);
  t.ok(offset < 2 ** 24, `${offset} bytes after 51 large tables of different sizes`);
  t.end();
});

test('a batch writes the tables that are not there, and a larger buffer all', (t) => {
  let held = new Int32Array();
  let words = 0;
  const createBuffer = ({ size }: GPUBufferDescriptor): GPUBuffer => {
    held = new Int32Array(size / 4);
    return { size, destroy: () => undefined } as unknown as GPUBuffer;
  };
  const writeBuffer = (_: GPUBuffer, at: number, data: ArrayBuffer, from: number, size: number): void => {
    held.set(new Int32Array(data, from, size / 4), at / 4);
    words += size / 4;
  };
  const device = { createBuffer, queue: { writeBuffer } } as unknown as GPUDevice;
  const memory = new Memory(() => createBuffer({ size: 16, usage: 0 }), defaultCaps);
  const buffer = new TableBuffer(device, defaultCaps, memory);
  const layout = new TableLayout(defaultCaps);
  /** Words that a batch writes, and whether the buffer is another; fails where a table is not there. */
  const batch = (all: readonly Int32Array[]): [number, boolean] => {
    const tables = new HostTables(defaultCaps, layout);
    const places = all.map((one) => tables.place(one, 'kernel'));
    tables.close();
    words = 0;
    const replaced = buffer.write(tables);
    all.forEach((one, i) =>
      t.deepEqual(held.subarray(places[i].offset / 4, places[i].offset / 4 + one.length), one),
    );
    return [words, replaced];
  };
  const [a, b, c] = [1, 2, 3].map((value) => table(16, value));
  t.equal(batch([a, b, c])[1], false, 'the first buffer takes the place of none');
  t.deepEqual(batch([a, b, c]), [0, false], 'a batch that repeats writes nothing');
  t.deepEqual(batch([a, table(16, 4), c]), [16, false], 'one table is another');
  t.deepEqual(batch([c, b, a])[1], false, 'they have changed places');
  t.equal(batch([a, table(4000, 5)])[1], true);
  t.deepEqual(batch([]), [0, false]);
  t.equal(batch([a, b, c])[1], false);
  t.end();
});
