/** Training as it goes on. */
import type { Definition } from '../tasks/definition.ts';
import type { LogEvent } from '../tasks/training/curve.ts';
import { percent } from './print.ts';
import { Progress } from './progress.ts';
import { streams } from './streams.ts';

/** "dev NER F1 91.20  RE+ F1 70.10", of the scores that there are. */
export const devText = (
  f1: Readonly<Record<string, number>>,
  { scores, shown = Object.keys(scores) }: Pick<Definition, 'scores' | 'shown'>,
): string =>
  `dev ${shown
    .filter((key) => f1[key] !== undefined)
    .map((key) => `${scores[key]} F1 ${percent(f1[key])}`)
    .join('  ')}`;

/** "40 s", "3 min", "2 h 10 min". */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Milliseconds without a line, after which a step is told where there is no status line. */
const SILENCE_MS = 60_000;

/** Steps over which the mean time of a step is taken. */
const RECENT = 50;

/**
 * How fast steps go, and how long the rest takes: scoring and saving are counted apart, and so is the first step, which
 * compiles what the others run.
 */
class Pace {
  #now: () => number;
  #at: number;
  #steps = 0;
  /** Milliseconds of a step: the mean of the first few, and from then on one that forgets. */
  #stepMs = 0;
  #betweenMs = 0;
  #epochs = 0;

  constructor(now: () => number) {
    this.#now = now;
    this.#at = now();
  }

  #since(): number {
    const from = this.#at;
    this.#at = this.#now();
    return this.#at - from;
  }

  step(): void {
    const ms = this.#since();
    // The first step's time stands for as long as there is no other.
    this.#stepMs += (ms - this.#stepMs) / Math.min(Math.max(this.#steps, 1), RECENT);
    this.#steps++;
  }

  epoch(): void {
    this.#betweenMs += this.#since();
    this.#epochs++;
  }

  stepsPerSecond(): number {
    return this.#stepMs > 0 ? 1000 / this.#stepMs : 0;
  }

  /** Seconds; an epoch's scoring counts once one has been timed. */
  left(steps: number, epochs: number): number {
    const between = this.#epochs > 0 ? this.#betweenMs / this.#epochs : 0;
    return (steps * this.#stepMs + epochs * between) / 1000;
  }
}

export interface ProgressOptions {
  /** Receives a line for every finished epoch, and where there is no terminal for a step every minute. */
  write(line: string): void;
  /** No status line and no lines of steps. */
  quiet?: boolean;
  /** Milliseconds, for tests. */
  now?: () => number;
}

/** What a training's samples are, by the keys of its first event. */
const units = ['samples', 'instances', 'sentences'];

/** Shows training on a terminal's status line, and every finished epoch as a line of `write`. */
export function trainingProgress(
  definition: Pick<Definition, 'scores' | 'shown' | 'parts'>,
  { write, quiet = false, now = Date.now }: ProgressOptions,
): {
  onEvent: (event: LogEvent) => void;
  end(): void;
} {
  const progress = new Progress();
  const fixed = (value: unknown) => (Number.isNaN(value) ? 'none' : Number(value).toFixed(3));
  let pace = new Pace(now);
  let written = now();
  const run = { epochs: 0, batch: 1, unit: 'samples', steps: 0, step: 0, best: 0 };
  const paceText = (epoch: number, isOver: boolean): string => {
    const rate = pace.stepsPerSecond() * run.batch;
    const rest = pace.left(run.steps - run.step, run.epochs - epoch);
    const left = isOver && epoch >= run.epochs ? '' : `, ${duration(rest)} left`;
    return `${rate.toFixed(1)} ${run.unit} a second${left}`;
  };
  const say = (line: string): void => {
    written = now();
    write(line);
  };
  return {
    onEvent(e) {
      if (e.event === 'start' || e.event === 'resume') {
        const { epochs, batch } = e.recipe as { epochs: number; batch: number };
        const unit = units.find((name) => name in e) ?? run.unit;
        Object.assign(run, { epochs, batch, unit, best: Number(e.bestEpoch ?? 0) });
        pace = new Pace(now);
      }
      if (e.event === 'step') {
        pace.step();
        Object.assign(run, { step: Number(e.step), steps: Number(e.steps) });
        const epoch = Number(e.epoch);
        const line = () =>
          `epoch ${epoch} of ${run.epochs}, step ${run.step} of ${run.steps}, loss ${fixed(e.loss)}, ${paceText(epoch - 1, false)}`;
        if (quiet) return;
        if (streams().stderr.isTTY) progress.show(line());
        else if (now() - written >= SILENCE_MS) say(line());
      }
      if (e.event === 'evaluate' && !quiet)
        progress.show(`epoch ${e.epoch}, dev scores: ${e.what}, ${e.done} of ${e.total}`);
      if (e.event !== 'epoch') return;
      progress.clear();
      pace.epoch();
      const epoch = Number(e.epoch);
      if (e.best) run.best = epoch;
      const own = definition.parts.filter((part) => part in e);
      const parts = own.map((part) => `${part} ${fixed(e[part])}`).join(', ');
      const scores = e.dev ? `  ${devText(e.dev as Record<string, number>, definition)}` : '';
      say(
        `epoch ${epoch}  loss ${fixed(e.loss)} (${parts})${e.frozen ? ', encoder frozen' : ''}${e.skipped ? `, steps skipped: ${e.skipped}` : ''}${scores}` +
          `${e.best ? '  *' : `  (best: epoch ${run.best})`}  ${Number(e.seconds).toFixed(1)} s, ${paceText(epoch, true)}`,
      );
    },
    end: () => progress.clear(),
  };
}
