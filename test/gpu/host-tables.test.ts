/** Where host tables lie in their buffer, without a device. */
import test from 'tape';
import { defaultCaps } from '../../kernels/plan.ts';
import { HostTables, TableLayout } from '../../src/gpu/host-tables.ts';

const table = (length: number, value = 1): Int32Array => new Int32Array(length).fill(value);

/** The places of tables of these lengths in a batch. */
function place(layout: TableLayout, lengths: readonly number[]): [number, number][] {
  const tables = new HostTables(defaultCaps, layout);
  const made = lengths.map((length, i) => table(length, i + 1));
  const places = made.map((one) => tables.place(one, 'kernel'));
  const { offset: start, data: all } = tables.join();
  for (const [i, { offset, size }] of places.entries()) {
    if (4 * lengths[i] > size || offset + size > tables.bytes) throw new Error(`table ${i} does not fit`);
    if (
      all.subarray((offset - start) / 4, (offset - start) / 4 + lengths[i]).some((value) => value !== i + 1)
    )
      throw new Error(`table ${i} is not there`);
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
