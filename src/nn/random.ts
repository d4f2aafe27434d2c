/**
 * Seeded random numbers on the host. Counter-based (Philox), so a stream is named by a seed and a few integers:
 * what one sentence of one epoch draws depends neither on what was drawn before nor on the order of the batches.
 */
import { InputError } from '../../kernels/errors.ts';
import { philox4x32 } from '../../kernels/shared/philox.ts';

const TWO_32 = 2 ** 32;

/**
 * Second key word of a host stream, plus its number of ids. The dropout kernel uses 0 there, so a host stream and a
 * dropout mask of the same seed never share a block.
 */
const HOST_KEY = 0x686f7374;

/** Where a stream stands, as plain numbers: safe to write as JSON and to resume from, bit for bit. */
export interface RandomState {
  seed: number;
  ids: number[];
  /** 32-bit words drawn so far. */
  words: number;
  /** The second value of the last Box-Muller pair while it is still unused. */
  spare: number | null;
}

function checkWord(value: number, name: string): number {
  if (Number.isInteger(value) && value >= 0 && value < TWO_32) return value;
  throw new InputError(`random ${name}: ${value} is not an integer from 0 to 4294967295`);
}

/** One deterministic stream of random numbers; make it with `stream`. */
export class Random {
  private readonly key: [number, number];
  private readonly counter: [number, number, number, number];
  private readonly block = new Uint32Array(4);
  private readonly seed: number;
  private readonly ids: readonly number[];
  private words: number;
  private spare: number | null;

  /** Continues from a state that `state()` gave. InputError where the state is not one. */
  constructor(state: RandomState) {
    const { seed, ids, words, spare } = state;
    if (ids.length > 3)
      throw new InputError(`random stream: ${ids.length} ids given, at most 3 fit the counter`);
    ids.forEach((id, i) => checkWord(id, `id ${i + 1}`));
    this.seed = checkWord(seed, 'seed');
    if (!Number.isSafeInteger(words) || words < 0 || words > 4 * TWO_32)
      throw new InputError(`random state: words is ${words}, not a count of words drawn`);
    this.ids = [...ids];
    this.key = [seed, HOST_KEY + ids.length];
    this.counter = [0, ids[0] ?? 0, ids[1] ?? 0, ids[2] ?? 0];
    this.words = words;
    this.spare = spare;
    if (words % 4 !== 0) this.fillBlock();
  }

  private fillBlock(): void {
    this.counter[0] = Math.floor(this.words / 4);
    philox4x32(this.counter, this.key, this.block);
  }

  /** The state as plain numbers; `new Random(state)` draws what this stream would have drawn next. */
  state(): RandomState {
    return { seed: this.seed, ids: [...this.ids], words: this.words, spare: this.spare };
  }

  /** The next unsigned 32-bit word. */
  word(): number {
    if (this.words % 4 === 0) this.fillBlock();
    return this.block[this.words++ % 4];
  }

  /** Uniform in [0, 1), in steps of 2⁻³². */
  uniform(): number {
    return this.word() / TWO_32;
  }

  /** Uniform integer in [0, below), without modulo bias. InputError unless 1 ≤ below ≤ 2³². */
  integer(below: number): number {
    if (!Number.isInteger(below) || below < 1 || below > TWO_32)
      throw new InputError(`random integer: bound ${below} is not an integer from 1 to 2^32`);
    const limit = TWO_32 - (TWO_32 % below);
    let word = this.word();
    while (word >= limit) word = this.word();
    return word % below;
  }

  /** Standard normal, by Box and Muller's transform; each pair of words gives two values. At most 6.7 in size. */
  normal(): number {
    if (this.spare !== null) {
      const value = this.spare;
      this.spare = null;
      return value;
    }
    // 1 − u is in (0, 1]: the logarithm never sees 0.
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Shuffles `items` in place (Fisher and Yates) and returns them. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }

  /**
   * `count` distinct integers of [0, population), every subset equally likely, in the order drawn.
   * Costs O(count) whatever the population. InputError where count exceeds it.
   */
  sampleWithoutReplacement(population: number, count: number): number[] {
    if (!Number.isInteger(count) || count < 0 || count > population)
      throw new InputError(`random sample: cannot draw ${count} distinct of ${population}`);
    // The first `count` steps of Fisher and Yates on 0…population−1, holding only the places that moved.
    const moved = new Map<number, number>();
    return Array.from({ length: count }, (_, i) => {
      const j = i + this.integer(population - i);
      const drawn = moved.get(j) ?? j;
      moved.set(j, moved.get(i) ?? i);
      return drawn;
    });
  }
}

/**
 * The start of the stream that `seed` and up to three `ids` name; all unsigned 32-bit integers (InputError
 * otherwise). Streams of different seeds, ids or numbers of ids share no Philox block.
 */
export function stream(seed: number, ...ids: number[]): Random {
  return new Random({ seed, ids, words: 0, spare: null });
}
