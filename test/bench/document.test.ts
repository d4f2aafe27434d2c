import test from 'tape';
import { checked, ownOptions, randomValues } from '../../bench/harness.ts';
import { benches } from '../../bench/index.ts';
import { InputError } from '../../kernels/errors.ts';
import { benchText, type BenchDocument } from '../../src/cli/bench.ts';

const document: BenchDocument = {
  name: 'sample',
  device: { name: 'a device', driver: 'a driver', software: true, features: [] },
  commit: null,
  dirty: null,
  date: '2026-01-01T00:00:00.000Z',
  versions: {},
  rows: [
    { case: 'one', ms: 1.23456, relativeError: 2.5e-7, scales: [2, 3], by: { label: 1 } },
    { case: 'two', error: 'cannot run' },
  ],
  checks: [
    { claim: 'one is fast', holds: true, measured: '1.2 ms' },
    { claim: 'two is fast', holds: false, measured: 'never' },
  ],
};

test('a document as text', (t) => {
  const lines = benchText(document).split('\n');
  t.equal(lines[0], 'sample on a device (a software device), a driver');
  t.deepEqual(
    lines[2].split(/ +/),
    ['case', 'ms', 'relativeError', 'scales', 'error'],
    'no column of objects',
  );
  t.match(lines[3], /^one +1\.235 +2\.5e-7 +2,3$/);
  t.match(lines[4], /^two +cannot run$/);
  t.deepEqual(lines.slice(6, 8), ['holds: one is fast (1.2 ms)', 'FAILS: two is fast (never)']);
  t.end();
});

test('a wrong result is refused', (t) => {
  t.equal(checked('sum', [3, 4], [3, 4]), 0);
  t.ok(checked('sum', [3.00001, 4], [3, 4]) > 0);
  t.throws(() => checked('sum', [3.1, 4], [3, 4]), /^Error: sum: wrong result, relative error 2\.0e-2/);
  t.throws(() => checked('sum', [NaN, 4], [3, 4]), /wrong result, relative error NaN/);
  t.throws(() => checked('sum', [3], [3, 4]), /wrong result/, 'a missing element');
  t.end();
});

test('inputs of benchmarks are the same every time', (t) => {
  const values = randomValues([7, 11], 3);
  t.deepEqual(values, randomValues([7, 11], 3));
  t.notDeepEqual(values, randomValues([7, 11], 4));
  t.ok(values.every((v) => v >= -1 && v < 1));
  t.end();
});

test('options that a benchmark does not have', async (t) => {
  t.equal(ownOptions('x', ['--only=a'], { only: { value: 'NAME', doc: '' } }).optional('only'), 'a');
  t.throws(() => ownOptions('x', ['--epochs=3']), InputError);
  const log = () => undefined;
  for (const [name, { doc, run }] of Object.entries(benches)) {
    t.ok(doc.length > 0 && !doc.includes('\n'), `${name}: one line says what it measures`);
    try {
      await run({ json: true, full: false, args: ['--nonsense=1'], log });
      t.fail(`${name} ran`);
    } catch (error) {
      t.ok(error instanceof InputError, `${name} refuses them before it opens a device`);
    }
  }
});
