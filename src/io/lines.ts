/** The lines of a stream of bytes, some at a time: memory holds these and no more, however long the stream is. */
import { InputError } from '../../kernels/errors.ts';
import { decodeUtf8 } from './utf8.ts';

const NEWLINE = 0x0a;

/** Code units of text after which a group of lines takes no further one. */
const FULL = 2 ** 18;

/** Most bytes of a line: a text without line feeds is read whole, and no more than that is kept of one without an end. */
const LONGEST = 2 ** 28;

/** Milliseconds after which what is not there is not waited for. */
const STALL_MS = 20;

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Whether a promise settles before the stream counts as stalled. Its rejection is left to whoever awaits it. */
async function isSoon(promise: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), STALL_MS)));
  const settled = promise.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, late]).finally(() => clearTimeout(timer));
}

export class Lines {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #what: string;
  /** The last chunk, and where in it the next line begins or goes on. */
  #chunk = new Uint8Array(0);
  #at = 0;
  /** The beginning of a line, in earlier chunks. */
  #begun: Uint8Array[] = [];
  #length = 0;
  /** Where the next line begins in the stream, in bytes. */
  #offset = 0;
  #coming: Promise<IteratorResult<Uint8Array>> | undefined;
  #ended = false;
  #returned: string[] = [];
  #failure: { error: unknown } | undefined;

  /** @param what names the stream in errors */
  constructor(chunks: AsyncIterable<Uint8Array>, what: string) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#what = what;
  }

  /**
   * The next lines, without their ends, \n or \r\n, of which the last may be missing; none at the end of the stream. At
   * least one is waited for; further ones are taken while they come at once, up to `most` and 256 Ki characters.
   * @throws InputError with the offset of a byte that is not UTF-8, or of a line over 256 MiB, after the lines before it; whatever the stream rejects with
   */
  async next(most: number): Promise<string[]> {
    const lines: string[] = [];
    let size = 0;
    try {
      while (lines.length < most && size < FULL) {
        const line = this.#returned.shift() ?? this.#decoded();
        if (line !== undefined) {
          size += line.length;
          lines.push(line);
        } else if (this.#failure) throw this.#failure.error;
        else if (this.#ended || !(await this.#read(lines.length > 0))) break;
      }
    } catch (error) {
      this.#failure = { error };
      if (lines.length === 0) throw error;
    }
    return lines;
  }

  /** All lines that are left. Errors: as `next`. */
  async rest(): Promise<string[]> {
    const all: string[] = [];
    for (let some = await this.next(Infinity); some.length > 0; some = await this.next(Infinity))
      for (const line of some) all.push(line);
    return all;
  }

  /** Puts lines back: they come next. */
  putBack(lines: readonly string[]): void {
    this.#returned.unshift(...lines);
  }

  /** Passes over lines, whatever they hold. Returns how many there were, `count` at most. */
  async skip(count: number): Promise<number> {
    let skipped = this.#returned.splice(0, count).length;
    while (skipped < count) {
      if (this.#bytes()) skipped++;
      else if (this.#ended || !(await this.#read(false))) break;
    }
    return skipped;
  }

  #decoded(): string | undefined {
    if (this.#failure) return undefined;
    const from = this.#offset;
    const bytes = this.#bytes();
    return bytes && decodeUtf8(bytes, this.#what, from).replace(/\r$/, '');
  }

  /** The next line as far as it has been read: undefined where its end is not there yet. */
  #bytes(): Uint8Array | undefined {
    const end = this.#chunk.indexOf(NEWLINE, this.#at);
    const part = this.#chunk.subarray(this.#at, end < 0 ? undefined : end);
    if (end >= 0 || part.length > 0) this.#begun.push(part);
    this.#length += part.length;
    if (this.#length > LONGEST)
      throw new InputError(`${this.#what}: the line at byte ${this.#offset} is over ${LONGEST} bytes long`);
    this.#at = end < 0 ? this.#chunk.length : end + 1;
    if (end < 0 && (!this.#ended || this.#begun.length === 0)) return undefined;
    const line = joined(this.#begun);
    this.#begun = [];
    this.#length = 0;
    this.#offset += line.length + 1;
    return line;
  }

  /**
   * Reads on, to the end of the stream at most.
   * @param hurry whether to leave what is not there at once to the next call
   * @returns false where nothing was read for that
   */
  async #read(hurry: boolean): Promise<boolean> {
    this.#coming ??= this.#chunks.next();
    if (hurry && !(await isSoon(this.#coming))) return false;
    const { done, value } = await this.#coming.finally(() => (this.#coming = undefined));
    if (done) this.#ended = true;
    else [this.#chunk, this.#at] = [value as Uint8Array<ArrayBuffer>, 0];
    return true;
  }
}
