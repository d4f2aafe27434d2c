import test from 'tape';
import { rivalChecks } from '../../bench/rival.ts';
import { summarise } from '../../bench/statistics.ts';

const timed = (name: string, ...rounds: number[]) => ({
  ...{ name, firstMs: 0, relativeError: 0, rounds },
  ...summarise(rounds),
});

test('what bench linear and bench peers assert about jax-js', (t) => {
  const ours = timed('spanwise', 2, 2, 2);
  const checks = (name: string, rivalMs: number, software = true) =>
    rivalChecks(name, [ours, timed('gpu.js', 1, 1, 1), timed('jax-js', rivalMs, rivalMs, rivalMs)], software);
  for (const name of ['matmul-512x512x512', 'matmul-256x768x3072']) {
    const [faster] = checks(name, 2.3);
    t.notOk(faster.holds, `${name}: 1.15 times as long is not enough`);
    t.equal(faster.claim, `${name}: jax-js takes at least 1.2 times as long`);
    t.match(faster.measured, /^1\.15 times/);
    t.ok(checks(name, 2.5)[0].holds, `${name}: 1.25 times as long`);
  }
  t.deepEqual(checks('softmax', 2.5), [], 'nothing is claimed of other cases');
  t.deepEqual(checks('self-attention', 2.5, false), [], 'nor of a GPU');
  t.deepEqual(rivalChecks('self-attention', [ours], true), [], 'nor where it did not run');
  t.end();
});
