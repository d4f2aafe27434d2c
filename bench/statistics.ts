/** Sampling and statistics of the benchmarks; nothing here touches a device. */

export interface Summary {
  samples: number;
  q1: number;
  median: number;
  q3: number;
}

/** Quantile `p` of ascending values, interpolated linearly between neighbours (type 7 of Hyndman and Fan 1996). */
export function quantile(ascending: readonly number[], p: number): number {
  if (ascending.length === 0) throw new Error('quantile: there are no samples');
  const at = p * (ascending.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, ascending.length - 1);
  return ascending[below] + (at - below) * (ascending[above] - ascending[below]);
}

/** Median and quartiles, robust against the odd slow run that a shared machine has. */
export function summarise(samples: readonly number[]): Summary {
  const ascending = [...samples].sort((a, b) => a - b);
  const [q1, median, q3] = [0.25, 0.5, 0.75].map((p) => quantile(ascending, p));
  return { samples: samples.length, q1, median, q3 };
}

/** A median, and where that of the whole population lies. */
export interface Interval {
  median: number;
  low: number;
  high: number;
}

/**
 * The median of samples and its confidence interval from one sample to another, whatever their distribution: the median of
 * the population lies below the k lowest or above the k highest with a probability of 2 Σ_{i<k} C(n, i) / 2^n (David and
 * Nagaraja 2003, section 7.1).
 * @param confidence at least; with too few samples for it the interval is all of them
 */
export function medianInterval(samples: readonly number[], confidence: number): Interval {
  const ascending = [...samples].sort((a, b) => a - b);
  const { length } = ascending;
  let outside = 0;
  let next = 2 / 2 ** length; // of one sample more left out on either side
  let k = 0;
  for (; k + 1 <= (length - 1) / 2 && outside + next <= 1 - confidence; k++) {
    outside += next;
    next *= (length - k) / (k + 1);
  }
  // The k-th lowest and the k-th highest.
  const at = Math.max(0, k - 1);
  return { median: quantile(ascending, 0.5), low: ascending[at], high: ascending[length - 1 - at] };
}

/** One of the things compared. */
export interface Side<T> {
  name: string;
  run(): Promise<T>;
  /** The relative error of a result against float64. Errors: the result is wrong. */
  check(result: T): number | Promise<number>;
  /** Milliseconds that the run itself measured, in place of the wall clock around it. */
  ms?(result: T): number;
}

/** A side that ran once, correctly: it may be timed. */
export interface WarmSide<T> extends Side<T> {
  /** The first run, with all compilation. */
  firstMs: number;
  relativeError: number;
}

export interface Timed extends Summary {
  name: string;
  firstMs: number;
  relativeError: number;
  /** Milliseconds of every round that the side took part in; it may have rested in the last. */
  rounds: readonly number[];
}

/** Median over the rounds of `numerator` / `denominator`: what slows a whole round down cancels out. */
export function pairedRatio(numerator: Timed, denominator: Timed): number {
  const rounds = Math.min(numerator.rounds.length, denominator.rounds.length);
  const ratios = Array.from({ length: rounds }, (_, i) => numerator.rounds[i] / denominator.rounds[i]);
  return summarise(ratios).median;
}

export interface Sampling {
  minRounds?: number;
  maxRounds?: number;
  /** Past the least, a side rests once it has had its equal share of these milliseconds. */
  budgetMs?: number;
  now?: () => number;
}

/** Runs a side for the first time. Errors: what it throws, and a wrong result, so that none is ever timed. */
export async function warmUp<T>(side: Side<T>, now = () => performance.now()): Promise<WarmSide<T>> {
  const started = now();
  const result = await side.run();
  const firstMs = now() - started;
  return {
    name: side.name,
    run: () => side.run(),
    check: (later) => side.check(later),
    ms: side.ms,
    firstMs,
    relativeError: await side.check(result),
  };
}

/**
 * Times sides in turn, one run each a round, so that whatever slows the machine for a while slows all of them. The
 * order rotates from round to round, and turns round in every second: none always runs behind the same other. The last
 * results are checked again.
 * Errors: a last result that is wrong.
 */
export async function interleave<T>(
  sides: readonly WarmSide<T>[],
  { minRounds = 5, maxRounds = 25, budgetMs = 10_000, now = () => performance.now() }: Sampling = {},
): Promise<Timed[]> {
  const samples = sides.map((): number[] => []);
  const last: T[] = [];
  const spent = sides.map(() => 0);
  for (let round = 0; round < maxRounds; round++) {
    for (let turn = 0; turn < sides.length; turn++) {
      const i = (round + (round % 2 === 0 ? turn : sides.length - turn)) % sides.length;
      if (round >= minRounds && spent[i] > budgetMs / sides.length) continue;
      const started = now();
      last[i] = await sides[i].run();
      const wall = now() - started;
      samples[i].push(sides[i].ms?.(last[i]) ?? wall);
      spent[i] += wall;
    }
  }
  const timed: Timed[] = [];
  for (const [i, side] of sides.entries())
    timed.push({
      name: side.name,
      firstMs: side.firstMs,
      relativeError: Math.max(side.relativeError, await side.check(last[i])),
      ...summarise(samples[i]),
      rounds: samples[i],
    });
  return timed;
}
