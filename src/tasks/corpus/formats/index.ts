/** The formats, in the order in which a record is held against them: what is sure before what is likely. */
import { InputError } from '../../../../kernels/errors.ts';
import { brat } from './brat.ts';
import { conll } from './conll.ts';
import { doccano } from './doccano.ts';
import { duie } from './duie.ts';
import { dygie } from './dygie.ts';
import type { Format, JsonFormat } from './format.ts';
import { gliner } from './gliner.ts';
import { hf } from './hf.ts';
import { labelStudio } from './label-studio.ts';
import { spacy } from './spacy.ts';
import { spert } from './spert.ts';
import { tacred } from './tacred.ts';
import { text } from './text.ts';
import { uiePrompts } from './uie-prompts.ts';
import { uie } from './uie.ts';
import { w2ner } from './w2ner.ts';

export const jsonFormats: readonly JsonFormat[] = [
  ...[duie, dygie, gliner, tacred, uiePrompts, uie, hf, w2ner],
  ...[labelStudio, spacy, doccano, spert, text],
];

export { brat, conll };

export const formats: readonly Format[] = [
  ...[spert, text, dygie, conll, brat, doccano, labelStudio, spacy],
  ...[gliner, w2ner, tacred, duie, uie, uiePrompts, hf],
];

/** Errors: InputError for a name that no format has. */
export function formatNamed(name: string): Format {
  const found = formats.find((format) => format.name === name);
  if (found) return found;
  throw new InputError(`there is no format "${name}" (${formats.map((format) => format.name).join(', ')})`);
}
