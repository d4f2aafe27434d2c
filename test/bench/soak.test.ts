/** The long runs: what they assert of memory, and the shortest of them, few times. */
import test from 'tape';
import { constant, flat, processMemory, some } from '../../bench/process-memory.ts';
import { spanwise } from '../cli/run.ts';

test('memory that must not grow', (t) => {
  const ramp = (slope: number): number[] => Array.from({ length: 40 }, (_, i) => 100 + slope * i);
  t.ok(flat('bytes', ramp(0)).holds);
  t.ok(flat('bytes', ramp(0.3)).holds, 'a little, as garbage comes and goes');
  t.notOk(flat('bytes', ramp(0.5)).holds, 'a leak adds up');
  const peak = ramp(0).map((bytes, i) => (i === 39 ? 1000 : bytes));
  t.ok(flat('bytes', peak).holds, 'one sample says nothing');
  t.match(flat('bytes', peak).measured, /^100 to 100, at most 1000$/);
  t.notOk(flat('bytes', [1, 1, 1]).holds, 'three samples are too few');
  t.notOk(flat('bytes', [null, null, null, null, null]).holds, 'and none say nothing');
  t.ok(constant('bytes', [7, 7]).holds);
  t.notOk(constant('bytes', [7, 7, 8]).holds);
  t.deepEqual(some([1, 2, 3, 4, 5, 6, 7], 3), [1, 4, 7]);
  t.deepEqual(some([1, 2], 3), [1, 2]);
  t.deepEqual(processMemory(2 ** 30), { residentBytes: null, threads: null, openFiles: null }, 'no process');
  t.end();
});

test(
  'bench soak-cycles',
  { skip: process.platform !== 'linux' && 'Linux only: it reads /proc' },
  async (t) => {
    const { stdout } = await spanwise(['bench', 'soak-cycles', '--count', '10', '--json']);
    const { rows, cycles } = JSON.parse(stdout) as { rows: Record<string, number>[]; cycles: number };
    t.equal(cycles, 10);
    t.deepEqual(
      rows.map(({ cycle }) => cycle),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    for (const row of rows) t.ok(row.residentBytes > 2 ** 24 && row.threads > 1 && row.openFiles > 3);
    for (const [name, option] of [
      ['soak-cycles', '--count'],
      ['kills', '--count'],
      ['soak-lines', '--count'],
      ['soak-hour', '--minutes'],
    ]) {
      const refused = await spanwise(['bench', name, `${option}=-1`]);
      t.equal(refused.status, 2);
      t.match(
        refused.stderr,
        new RegExp(`^spanwise: bench ${name}: ${option} must be a .*number of at least`),
      );
    }
  },
);
