/** A new model's configuration out of what its user gives. */
import { Fields, type Json } from '../models/config.ts';

/**
 * `given` with what it leaves out: `defaults`, and the encoder's `vocab_size`.
 * @param what names it in errors
 * @throws InputError where `encoder` is no object
 */
export const withDefaults = (given: Json, what: string, defaults: Json, vocabSize: number): Json => ({
  ...defaults,
  ...given,
  encoder: { vocab_size: vocabSize, ...new Fields(given, what).object('encoder') },
});
