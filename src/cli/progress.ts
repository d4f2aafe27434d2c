import { printable } from './printable.ts';
import { streams } from './streams.ts';

/** Progress on standard error, and only to a terminal. */
export class Progress {
  #shown = false;
  #last = 0;

  /** Shows a line over the previous one, at most ten times a second. */
  show(line: string): void {
    const { stderr } = streams();
    if (!stderr.isTTY || Date.now() - this.#last < 100) return;
    this.#last = Date.now();
    this.#shown = true;
    stderr.write(`\r\x1b[2K${printable(line).slice(0, (stderr.columns ?? 80) - 1)}`);
  }

  clear(): void {
    if (this.#shown) streams().stderr.write('\r\x1b[2K');
    this.#shown = false;
  }
}
