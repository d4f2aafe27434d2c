/**
 * Runs a reader on many inputs that are almost right. What must hold of each: it is read, or it is refused by an InputError of
 * one short line; within two seconds; in memory of at most sixteen times the input, and a floor for what the engine keeps.
 */
import { setFlagsFromString, getHeapStatistics } from 'node:v8';
import { createContext, runInNewContext, Script } from 'node:vm';
import { InputError } from '../../kernels/errors.ts';
import { Dice } from './mutations.ts';

/** Milliseconds within which an input is read or refused. */
export const LIMIT_MS = 2000;
/** Milliseconds by the clock from which on the processor is asked. */
const UNSURE_MS = 50;
/** Bytes of memory for each byte of an input, and those that are not counted. */
export const LIMIT_RATIO = 16;
export const FLOOR_BYTES = 64 * 2 ** 20;
/** Characters of a message. */
export const LIMIT_MESSAGE = 1010;

/** A reader, and what it is tried on. */
export interface Target<I = unknown> {
  name: string;
  /** An input; the same for the same dice. */
  make(this: void, dice: Dice): I;
  /** Bytes that it stands for, where these are not its own. */
  size?(this: void, input: I): number;
  /**
   * Reads it as the product does, without a device, and uses what was read as far as that needs none.
   * @throws InputError where it is refused; anything else is a fault, and so is what the reader gave that cannot be
   */
  read(this: void, input: I): unknown;
}

/** Fails where a reader gave what cannot be. */
export function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** An input that showed a fault. */
export interface Fault {
  reader: string;
  seed: number;
  index: number;
  kind: 'error' | 'time' | 'memory';
  why: string;
  input: string;
}

/** What became of a reader's inputs. */
export interface Outcome {
  reader: string;
  inputs: number;
  read: number;
  refused: number;
  /** Different messages, numbers and quoted parts aside: how much of the reader was reached. */
  complaints: number;
  /** Bytes of all inputs, and of the largest. */
  bytes: number;
  largest: number;
  /** Milliseconds: of the slowest, and of all. */
  slowestMs: number;
  ms: number;
  /** Bytes by which memory grew most while an input was read. */
  mostBytes: number;
  longestMessage: number;
  faults: Fault[];
}

/** Bytes of an input: of its texts, bytes and numbers. */
export function sizeOfInput(input: unknown): number {
  if (typeof input === 'string') return Buffer.byteLength(input);
  if (ArrayBuffer.isView(input)) return input.byteLength;
  if (typeof input !== 'object' || input === null) return 8;
  let sum = 0;
  for (const [key, value] of Object.entries(input)) sum += key.length + sizeOfInput(value);
  return sum;
}

/** An input as a fault shows it. */
function shown(input: unknown): string {
  const text = JSON.stringify(input, (_, value: unknown) =>
    value instanceof Uint8Array ? `hex ${Buffer.from(value).toString('hex')}` : value,
  );
  return text.length > 2000 ? `${text.slice(0, 2000)}… (${text.length})` : text;
}

/** What is wrong with what a reader threw; undefined where nothing is. */
export function complaintAbout(error: unknown): string | undefined {
  if (!(error instanceof InputError)) return `throws ${error instanceof Error ? error.stack : String(error)}`;
  const { message } = error;
  if (message.trim() === '') return 'a message that is empty';
  if (message.length > LIMIT_MESSAGE)
    return `a message of ${message.length} characters: ${message.slice(0, 200)}`;
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  const unsafe = /[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\p{Bidi_Control}]/u.exec(message);
  return unsafe
    ? `a message with ${JSON.stringify(unsafe[0])}: ${JSON.stringify(message.slice(0, 300))}`
    : undefined;
}

let collect: (() => void) | undefined;
/** Collects garbage. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  collect ??= runInNewContext('gc') as () => void;
  collect();
}

function usedBytes(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Where a campaign stands. */
class Run<I> {
  readonly outcome: Outcome;
  readonly #complaints = new Set<string>();
  /** The processor's milliseconds when the group of inputs began. */
  groupFrom = 0;
  /** Whether an input is being read. */
  busy = false;

  constructor(
    readonly target: Target<I>,
    readonly seed: number,
  ) {
    this.outcome = {
      ...{ reader: target.name, inputs: 0, read: 0, refused: 0, complaints: 0, bytes: 0, largest: 0 },
      ...{ slowestMs: 0, ms: 0, mostBytes: 0, longestMessage: 0, faults: [] },
    };
  }

  inputAt(index: number): I {
    return this.target.make(diceOf(this.target.name, this.seed, index));
  }

  fault(index: number, kind: Fault['kind'], why: string, input: unknown): void {
    const { faults } = this.outcome;
    faults.push({ reader: this.target.name, seed: this.seed, index, kind, why, input: shown(input) });
  }

  hangs(index: number, ms: number): void {
    this.fault(index, 'time', `hangs: no end after ${ms} ms`, this.inputAt(index));
  }

  /** Reads input `index`; a promise where the reader gives one. */
  one(index: number): Promise<void> | void {
    const input = this.inputAt(index);
    const { outcome } = this;
    const size = this.target.size?.(input) ?? sizeOfInput(input);
    const [bytes, from] = [usedBytes(), performance.now()];
    this.busy = true;
    const done = (): void => {
      this.busy = false;
      const clock = performance.now() - from;
      // On a machine that is busy with other things the clock says too much; what the group has taken is a bound.
      const ms = clock > UNSURE_MS ? Math.min(clock, cpuMs() - this.groupFrom) : clock;
      outcome.bytes += size;
      outcome.largest = Math.max(outcome.largest, size);
      outcome.ms += ms;
      outcome.slowestMs = Math.max(outcome.slowestMs, ms);
      if (ms > LIMIT_MS) this.fault(index, 'time', `takes ${Math.round(ms)} ms`, input);
      const grown = usedBytes() - bytes;
      const allowed = LIMIT_RATIO * size + FLOOR_BYTES;
      outcome.mostBytes = Math.max(outcome.mostBytes, grown);
      if (grown > allowed) this.fault(index, 'memory', `takes ${grown} bytes of memory for ${size}`, input);
    };
    const refused = (error: unknown): void => {
      const why = complaintAbout(error);
      if (why !== undefined) return this.fault(index, 'error', why, input);
      const { message } = error as InputError;
      outcome.refused++;
      outcome.longestMessage = Math.max(outcome.longestMessage, message.length);
      if (this.#complaints.size < 10_000) this.#complaints.add(message.replace(/".*"|'.*'|[\d.]+/gs, '…'));
      outcome.complaints = this.#complaints.size;
    };
    try {
      const result = this.target.read(input);
      if (!(result instanceof Promise)) outcome.read++;
      else return result.then(() => void outcome.read++, refused).then(done);
    } catch (error) {
      // The watch over a group of inputs ends one that goes on for ever in this way.
      if ((error as { code?: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      refused(error);
    }
    done();
  }
}

/** The dice of one input of one reader. */
export function diceOf(name: string, seed: number, index: number): Dice {
  let hash = seed;
  for (const letter of `${name} ${index}`) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return new Dice(hash >>> 0);
}

/** Inputs that are watched together, and for how long. */
const GROUP = 64;
const HANGS_MS = 20_000;

/** Runs `action`, and ends it by force where it does not end: false then. */
function endsWithin(ms: number, action: () => void): boolean {
  try {
    new Script('action()').runInContext(createContext({ action }), { timeout: ms });
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    return false;
  }
}

export interface CampaignOptions {
  seed: number;
  count: number;
  /** Milliseconds after which what is not read yet counts as hanging; far over the limit, for the machine may be busy. */
  hangsMs?: number;
  /** Told of how many were read so far. */
  progress?(done: number): void;
}

/** Tries a reader on inputs 0 … `count` - 1 of a seed. */
export async function runCampaign<I>(
  target: Target<I>,
  { seed, count, hangsMs = HANGS_MS, progress }: CampaignOptions,
): Promise<Outcome> {
  const run = new Run(target, seed);
  collectGarbage();
  // Half the time goes into stacks of errors that are as they should be; of the others the top is enough.
  const frames = Error.stackTraceLimit;
  Error.stackTraceLimit = 3;
  let next = 0;
  let waiting: Promise<void> | undefined;
  while (next < count) {
    run.groupFrom = cpuMs();
    const inTime = endsWithin(hangsMs, () => {
      for (const end = Math.min(count, next + GROUP); next < end && !waiting;)
        waiting = run.one(next++) ?? undefined;
    });
    // Where the machine had no time for it, it is tried again.
    if (!inTime && run.busy) {
      if (cpuMs() - run.groupFrom < hangsMs / 8) next--;
      else run.hangs(next - 1, hangsMs);
    }
    await waiting;
    waiting = undefined;
    run.outcome.inputs = next;
    progress?.(next);
  }
  Error.stackTraceLimit = frames;
  return run.outcome;
}
