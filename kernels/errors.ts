import { oneLine } from './shared/printable.ts';

/** Base of every error that Spanwise throws on purpose. Each class says its name itself: minifiers rename classes. */
export class SpanwiseError extends Error {
  override name = 'SpanwiseError';
}

/**
 * Bad usage or bad input: a file, shape, dtype, config key, flag or text that cannot be accepted. The message is one
 * line that names what and where; the command line prints it and exits with 2. What it quotes may be of any file: its
 * control characters are written out, and it is cut at a thousand characters.
 */
export class InputError extends SpanwiseError {
  override name = 'InputError';

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}
