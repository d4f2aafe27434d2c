/** What the readers of all formats are told and keep while a file is read. */
import type { WordRule } from '../../models/word-rule.ts';
import { InputError } from '../../../kernels/errors.ts';
import { BadRows, onBadChoices, type OnBad } from '../bad-rows.ts';
import { offsetChoices, type OffsetChoice } from './offsets.ts';
import { Counts } from './row.ts';

export interface ReadOptions {
  /** How character offsets count in rows whose entities do not say what they cover; the format's way when absent. */
  offsets?: OffsetChoice;
  /** Absent: bad rows stop the file, all of them told at once. */
  onBad?: OnBad;
  /** Names of numbered tags (Hugging Face), by number. */
  labels?: readonly string[];
  /** How a model of words parts the text of rows that come without: as `basicWords` when absent. */
  words?: WordRule;
  /** The format's name, where it is not to be recognised. */
  format?: string;
}

export class Reading {
  readonly bad: BadRows;
  /** What is left out or changed. */
  readonly counts = new Counts();
  /** Whole lines. */
  readonly notes: string[] = [];

  constructor(
    readonly file: string,
    readonly options: ReadOptions,
  ) {
    const { offsets = 'utf16', onBad = 'stop' } = options;
    for (const [key, value, choices] of [
      ['offsets', offsets, offsetChoices],
      ['onBad', onBad, onBadChoices],
    ] as const)
      if (!(choices as readonly string[]).includes(value))
        throw new InputError(
          `option "${key}" must be one of ${choices.join(', ')}, got ${JSON.stringify(value)}`,
        );
    this.bad = new BadRows(file, onBad);
  }
}
