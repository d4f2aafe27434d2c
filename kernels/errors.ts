/** Base of every error that Spanwise throws on purpose. Each class says its name itself: minifiers rename classes. */
export class SpanwiseError extends Error {
  override name = 'SpanwiseError';
}

/**
 * Bad usage or bad input: a file, shape, dtype, config key, flag or text that cannot be accepted. The message is one
 * line that names what and where; the command line prints it and exits with 2.
 */
export class InputError extends SpanwiseError {
  override name = 'InputError';
}
