/** Paired comparisons against the paper's Table 9, tables of Student's t and its closed forms. */
import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { compareInPairs, studentCritical, studentWithin } from '../../src/tasks/comparison.ts';

const close = (t: test.Test, actual: number, expected: number, error: number, what: string) =>
  t.ok(Math.abs(actual - expected) <= error, `${what}: ${actual} for ${expected}`);

test("the paper's Table 9", (t) => {
  const ner = compareInPairs([85.48, 87.4, 85.71], [88.59, 91.86, 90.66]);
  close(t, ner.a.mean, 86.2, 0.005, 'mean');
  close(t, ner.a.deviation, 1.05, 0.005, 'deviation');
  close(t, ner.b.mean, 90.37, 0.005, 'mean');
  close(t, ner.b.deviation, 1.65, 0.005, 'deviation');
  close(t, ner.difference.mean, 4.17, 0.005, 'difference');
  close(t, ner.t, 7.586, 0.001, 't(2)');
  close(t, ner.p, 0.0169, 0.0001, 'p');
  close(t, ner.interval[0], 1.81, 0.005, 'low');
  close(t, ner.interval[1], 6.54, 0.005, 'high');
  const re = compareInPairs([71.81, 73.2, 70.96], [71.82, 72.5, 72.32]);
  close(t, re.t, 0.37, 0.005, 't(2)');
  close(t, re.p, 0.7471, 0.001, 'p');
  close(t, re.interval[0], -2.38, 0.01, 'low');
  close(t, re.interval[1], 2.82, 0.01, 'high');
  t.end();
});

test("Student's t", (t) => {
  // Two-sided 95 % and 99 % points as printed in every table.
  const table: [df: number, at95: number, at99: number][] = [
    [1, 12.706, 63.657],
    [2, 4.303, 9.925],
    [3, 3.182, 5.841],
    [4, 2.776, 4.604],
    [5, 2.571, 4.032],
    [9, 2.262, 3.25],
    [10, 2.228, 3.169],
    [29, 2.045, 2.756],
    [30, 2.042, 2.75],
    [120, 1.98, 2.617],
    [100_000, 1.96, 2.576],
  ];
  for (const [df, at95, at99] of table) {
    close(t, studentCritical(0.95, df), at95, 5.1e-4, `95 % of t(${df})`);
    close(t, studentCritical(0.99, df), at99, 5.1e-4, `99 % of t(${df})`);
  }
  for (const x of [0, 0.3, 1, 4, 1e3]) {
    close(t, studentWithin(x, 1), (2 / Math.PI) * Math.atan(x), 1e-14, `t(1) within ${x}`);
    close(t, studentWithin(x, 2), x / Math.sqrt(2 + x * x), 1e-14, `t(2) within ${x}`);
    t.equal(studentWithin(-x, 7), studentWithin(x, 7), 'symmetric');
  }
  // The density, with x = √df · tan θ, is as cos θ to the power of df − 1: summed by the trapezoid rule.
  for (const df of [3, 4, 7, 12]) {
    const area = (to: number) =>
      Array.from(
        { length: 2001 },
        (_, i) => Math.cos((i * to) / 2000) ** (df - 1) * (i % 2000 === 0 ? 0.5 : 1),
      ).reduce((a, b) => a + b) * to;
    const expected = area(Math.atan(1.5 / Math.sqrt(df))) / area(Math.PI / 2);
    close(t, studentWithin(1.5, df), expected, 1e-6, `t(${df}) within 1.5`);
  }
  t.equal(studentWithin(Infinity, 5), 1);
  t.end();
});

test('one pair, equal scores, no pairs', (t) => {
  const one = compareInPairs([0.5], [0.75]);
  t.deepEqual([one.n, one.a.mean, one.b.mean, one.difference.mean], [1, 0.5, 0.75, 0.25]);
  t.ok([one.difference.deviation, one.t, one.p, ...one.interval].every(Number.isNaN), 'says no more');
  const same = compareInPairs([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]);
  t.deepEqual([same.t, same.p, same.interval], [0, 1, [0, 0]]);
  const shifted = compareInPairs([1, 2, 3], [2, 3, 4]);
  t.deepEqual([shifted.t, shifted.p, shifted.interval], [Infinity, 0, [1, 1]]);
  const back = compareInPairs([2, 3, 5], [1, 2, 3]);
  const forth = compareInPairs([1, 2, 3], [2, 3, 5]);
  t.ok(back.t === -forth.t && back.p === forth.p, 'either way round');
  for (const [a, b] of [
    [[], []],
    [[1], [1, 2]],
  ])
    t.throws(() => compareInPairs(a, b), InputError);
  t.end();
});
