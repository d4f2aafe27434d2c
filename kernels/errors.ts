/** Base of every error that Spanwise throws on purpose; `name` is the class name. */
export class SpanwiseError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/**
 * Bad usage or bad input: a file, shape, dtype, config key, flag or text that cannot be accepted. The message is one
 * line that names what and where; the command line prints it and exits with 2.
 */
export class InputError extends SpanwiseError {}
