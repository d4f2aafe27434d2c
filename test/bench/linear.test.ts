import test from 'tape';
import { rivalCheck } from '../../bench/linear.bench.ts';
import { summarise } from '../../bench/statistics.ts';

const timed = (name: string, ...rounds: number[]) => ({
  ...{ name, firstMs: 0, relativeError: 0, rounds },
  ...summarise(rounds),
});

test('what bench linear asserts', (t) => {
  const ours = timed('spanwise', 2, 2, 2);
  t.ok(rivalCheck('8x8x8', [ours, timed('gpu.js', 1, 1, 1), timed('jax-js', 3, 3, 3)], []).holds);
  const slower = rivalCheck('8x8x8', [ours, timed('jax-js', 1, 1, 1)], []);
  t.notOk(slower.holds);
  t.match(slower.measured, /^jax-js takes 0\.50 times as long/);
  t.deepEqual(
    rivalCheck('8x8x8', [ours], [{ case: '8x8x8', peer: 'jax-js', error: 'not installed' }]),
    {
      claim: 'linear 8x8x8 is no slower than jax-js',
      holds: false,
      measured: 'not run: not installed',
    },
    'a peer that did not run proves nothing',
  );
  t.end();
});
