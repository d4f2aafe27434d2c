/** The options of every command that reads a corpus. */
import { onBadChoices } from '../tasks/bad-rows.ts';
import { offsetChoices } from '../tasks/corpus/offsets.ts';
import type { ReadOptions } from '../tasks/corpus/reading.ts';
import type { Arguments, Command } from './command.ts';

export const readingOptions: Command['options'] = {
  offsets: {
    value: offsetChoices.join('|'),
    doc: "what character offsets count where entities do not say what they cover (default: the format's)",
  },
  'on-bad': {
    value: onBadChoices.join('|'),
    doc: 'rows that cannot be read or taken: all told at once (stop, default), or left out',
  },
  labels: { value: 'A,B,…', doc: 'what numbered tags stand for, from 0 on (Hugging Face JSON)' },
};

/** What the options say. Errors: usage errors that name the option. */
export function givenReading(args: Arguments): ReadOptions {
  const offsets = args.optional('offsets');
  return {
    ...(offsets !== undefined && { offsets: args.oneOf('offsets', offsetChoices, 'utf16') }),
    onBad: args.oneOf('on-bad', onBadChoices, 'stop'),
    ...(args.optional('labels') !== undefined && { labels: args.text('labels').split(',') }),
  };
}
