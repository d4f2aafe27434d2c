import test from 'tape';
import { joinRows, rowsWithin } from '../../src/tasks/padding.ts';

test('the rows of a padded output that count', (t) => {
  const output = Float32Array.from({ length: 3 * 2 * 2 }, (_, i) => i);
  const rows = rowsWithin(output, Int32Array.of(2, 0, 1), 2);
  t.deepEqual(
    rows.map((row) => [...row]),
    [[0, 1, 2, 3], [], [8, 9]],
  );
  t.deepEqual(joinRows(rows), Float32Array.of(0, 1, 2, 3, 8, 9));
  t.deepEqual(joinRows([]), new Float32Array(0));
  t.end();
});
