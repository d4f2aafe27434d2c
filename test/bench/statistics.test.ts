import test from 'tape';
import { interleave, pairedRatio, quantile, summarise, warmUp, type Side } from '../../bench/statistics.ts';

test('quantiles interpolate between neighbours', (t) => {
  t.equal(quantile([3], 0.75), 3, 'one sample');
  t.equal(quantile([1, 2, 3, 4], 0.5), 2.5);
  t.equal(quantile([1, 2, 3, 4], 0.25), 1.75);
  t.equal(quantile([1, 2, 3, 4], 1), 4);
  t.throws(() => quantile([], 0.5), /no samples/);
  t.deepEqual(summarise([9, 1, 10, 2, 3]), { samples: 5, q1: 2, median: 3, q3: 9 }, 'whatever the order');
  t.end();
});

/** A clock that only the sides move, and sides that take the times given, in turn. */
function fakes(
  times: Readonly<Record<string, readonly number[]>>,
  right: (name: string, run: number) => boolean,
) {
  let clock = 0;
  const order: string[] = [];
  const sides = Object.entries(times).map(([name, list]): Side<number> => {
    let runs = 0;
    return {
      name,
      run: () => {
        clock += list[runs % list.length];
        order.push(name);
        return Promise.resolve(runs++);
      },
      check: (run) => {
        if (!right(name, run)) throw new Error(`${name}: wrong`);
        return 1e-7 * (run + 1);
      },
    };
  });
  return { sides, order, now: () => clock };
}

test('sides are timed in turn, their order rotating', async (t) => {
  const { sides, order, now } = fakes({ a: [50, 1, 2, 3], b: [70, 10, 20, 30] }, () => true);
  const warm = [await warmUp(sides[0], now), await warmUp(sides[1], now)];
  order.length = 0;
  const [a, b] = await interleave(warm, { minRounds: 3, maxRounds: 3, now });
  t.deepEqual(order, ['a', 'b', 'b', 'a', 'a', 'b']);
  t.deepEqual([a.firstMs, b.firstMs], [50, 70], 'the first run, which compiles, is apart');
  t.deepEqual([a.q1, a.median, a.q3, a.samples], [1.5, 2, 2.5, 3]);
  t.equal(b.median, 20);
  t.equal(a.relativeError, 4e-7, 'the worse of the first and the last result');
});

test('a slow side rests once its share of the budget is spent', async (t) => {
  const { sides, now } = fakes({ fast: [1], slow: [100] }, () => true);
  const warm = [await warmUp(sides[0], now), await warmUp(sides[1], now)];
  const [fast, slow] = await interleave(warm, { minRounds: 2, maxRounds: 9, budgetMs: 300, now });
  t.equal(fast.samples, 9);
  t.equal(slow.samples, 2, '2 · 100 ms are more than half of 300 ms');
});

test('a wrong side is never timed', async (t) => {
  const first = fakes({ a: [1] }, () => false);
  await warmUp(first.sides[0]).then(
    () => t.fail('a wrong first result was accepted'),
    (error: Error) => t.equal(error.message, 'a: wrong'),
  );
  const last = fakes({ a: [1] }, (_, run) => run < 3);
  const warm = await warmUp(last.sides[0], last.now);
  await interleave([warm], { minRounds: 3, maxRounds: 3, now: last.now }).then(
    () => t.fail('a wrong last result was accepted'),
    (error: Error) => t.equal(error.message, 'a: wrong'),
  );
});

test('a ratio by rounds does not see what slows whole rounds down', (t) => {
  const timed = (name: string, rounds: number[]) => ({
    ...{ name, firstMs: 0, relativeError: 0, rounds },
    ...summarise(rounds),
  });
  const ours = timed('ours', [1, 10, 1, 10, 10]);
  t.equal(pairedRatio(timed('theirs', [2, 20, 2]), ours), 2, 'the rounds that both have');
  t.equal(pairedRatio(timed('theirs', [1.5, 15, 9, 15, 15]), ours), 1.5);
  t.end();
});
