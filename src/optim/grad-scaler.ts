/**
 * Loss scaling (Micikevicius et al. 2018), by the rules of PyTorch's GradScaler: gradients are those of a loss times a power of
 * two, so that small ones are not lost in f16; where they grow past it the step is skipped and the scale halved. The device
 * skips at once, the host knows later: when a step begins it counts on what came of all steps but the one before.
 */
import type { AdamW } from './adamw.ts';

/** The first scale, and those between which it stays: at the smallest a step that is not finite is a failure. */
const FIRST = 2 ** 16;
const SMALLEST = 1;
const LARGEST = 2 ** 24;
/** Steps without a skipped one after which the scale doubles. */
const GROWTH_INTERVAL = 2000;

/** What came of a step. */
interface Outcome {
  /** The step's. */
  scale: number;
  /** The parameters that it would have moved where it was skipped, else none. */
  skipped: readonly string[];
}

/** Where a scaler stands once all steps that began have ended, as plain data. */
export interface ScalerState {
  scale: number;
  /** Steps since the scale changed. */
  good: number;
  /** Steps that were skipped, counted since the count was last set to 0. */
  skipped: number;
  /** What came of the last step, which the next one does not count on. */
  last?: Outcome;
}

/** A step under way. */
export interface ScaledStep {
  /** What its loss is multiplied with. */
  readonly scale: number;
  /** Its gradients were finite. */
  end(): void;
  /**
   * They were not, and nothing has moved.
   * @param parameters names of those that had a gradient
   * @returns false where the scale cannot be smaller
   */
  skip(parameters: readonly string[]): boolean;
}

export class GradScaler {
  /** Steps that were skipped; a caller may set it to 0. */
  skipped = 0;
  readonly #optimizer: Pick<AdamW, 'takeBack'>;
  #scale = FIRST;
  #good = 0;
  /** Steps that have begun, and by their number what came of those that nothing counts on yet. */
  #begun = 0;
  readonly #outcomes = new Map<number, Outcome>();

  /** @param optimizer takes steps that were skipped out of its counts */
  constructor(optimizer: Pick<AdamW, 'takeBack'>) {
    this.#optimizer = optimizer;
  }

  /**
   * Begins a step, before `AdamW.step`. What came of the step before the last must be known, or scales depend on when it is; the
   * last one's may be.
   */
  begin(): ScaledStep {
    this.#catchUp();
    const number = this.#begun++;
    const scale = this.#scale;
    return {
      scale,
      end: () => void this.#outcomes.set(number, { scale, skipped: [] }),
      skip: (parameters) => {
        if (scale <= SMALLEST) return false;
        this.skipped++;
        this.#outcomes.set(number, { scale, skipped: parameters });
        return true;
      },
    };
  }

  /** Counts on all steps that have begun but the last. */
  #catchUp(): void {
    for (const [number, outcome] of this.#outcomes)
      if (number < this.#begun - 1) {
        this.#count(outcome);
        this.#outcomes.delete(number);
      }
  }

  #count({ scale, skipped }: Outcome): void {
    if (skipped.length > 0) {
      this.#optimizer.takeBack(skipped);
      // Of the step's own scale: the one after it may have been skipped for the same reason.
      this.#scale = Math.min(this.#scale, scale / 2);
      this.#good = 0;
    } else if (++this.#good === GROWTH_INTERVAL) {
      this.#scale = Math.max(this.#scale, Math.min(2 * this.#scale, LARGEST));
      this.#good = 0;
    }
  }

  /** What is to be saved once every step that began has ended, and before the optimizer's own. */
  save(): ScalerState {
    this.#catchUp();
    const last = this.#outcomes.get(this.#begun - 1);
    return { scale: this.#scale, good: this.#good, skipped: this.skipped, ...(last && { last }) };
  }

  /** Goes on from there, the optimizer being where it was then. */
  load({ scale, good, skipped, last }: ScalerState): void {
    this.#scale = scale;
    this.#good = good;
    this.skipped = skipped;
    this.#outcomes.clear();
    this.#begun = 0;
    if (last) this.#outcomes.set(this.#begun++, last);
  }
}
