/** What commands read from and write to: the streams of the process, unless a run is given others. */

/** A stream for text; `done` is called when the text has left the process, or with what went wrong. */
export interface Output {
  write(text: string, done?: (error?: Error | null) => void): unknown;
  /** Whether a person looks at it, in how many columns. */
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface Streams {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: Output;
  readonly stderr: Output;
}

let current: Streams = process as Streams;

/** Those of the run that is on. */
export const streams = (): Streams => current;

/** Does `work` with other streams. One at a time: they are those of all that runs. */
export async function withStreams<R>(given: Streams, work: () => Promise<R>): Promise<R> {
  const before = current;
  current = given;
  try {
    return await work();
  } finally {
    current = before;
  }
}
