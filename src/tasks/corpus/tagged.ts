/** Corpora of one character and its tag a line (BMES, BIOES, BIO), a blank line after each sentence. */
import { InputError } from '../../../kernels/errors.ts';
import { RowReader, type Entity, type Sentence } from '../dataset.ts';
import type { Document } from '../document.ts';
import { fromTokens } from './tokens.ts';

/** A token (white space may be one), a blank or tab, and O or a prefix with a type. */
const TAGGED = /^(\s|\S+)[ \t]+(?:O|([BMIES])-(\S+))$/u;

/** True for a line of a token and its tag. */
export const isTaggedLine = (line: string): boolean => TAGGED.test(line);

/** The sentence of some lines, and how many of its entities begin without B or S. */
class SentenceBuilder {
  readonly tokens: string[] = [];
  readonly entities: Entity[] = [];
  unbegun = 0;
  /** The entity that M, I and E continue. */
  private open: Entity | undefined;

  add(token: string, prefix: string | undefined, type: string): void {
    const at = this.tokens.push(token) - 1;
    if (prefix === undefined) {
      this.open = undefined;
      return;
    }
    const begins = prefix === 'B' || prefix === 'S';
    if (begins || this.open?.type !== type) {
      if (!begins) this.unbegun++;
      this.open = { type, start: at, end: at };
      this.entities.push(this.open);
    }
    this.open.end = at + 1;
    if (prefix === 'E' || prefix === 'S') this.open = undefined;
  }
}

/**
 * Reads lines such as `京 B-LOC`: tags O, B-, M- or I-, E-, S-. Where each token of the file is one code point the text
 * is the tokens without anything between them, else they are words, joined with spaces.
 * @param text the file's text, without a byte order mark
 * @returns a document each sentence, and a note on entities whose first tag is not B or S: they begin there all the same
 * @throws InputError naming `file` and the line
 */
export function parseTagged(text: string, file: string): { documents: Document[]; notes: string[] } {
  const builders: SentenceBuilder[] = [];
  let current: SentenceBuilder | undefined;
  text.split('\n').forEach((ended, i) => {
    const line = ended.replace(/\r$/, '');
    if (line.trim() === '') {
      current = undefined;
      return;
    }
    const match = TAGGED.exec(line);
    if (!match)
      throw new InputError(`${file}: line ${i + 1}: not a character and its tag (O, or B-, M-, I-, E-, S-)`);
    if (!current) builders.push((current = new SentenceBuilder()));
    const [, token, prefix, type] = match as (string | undefined)[];
    current.add(token!, prefix, type ?? '');
  });

  const characters = builders.every(({ tokens }) => tokens.every((token) => [...token].length === 1));
  const documents = builders.map(({ tokens, entities }, i) => {
    const sentence: Sentence = { tokens, entities, relations: [] };
    return fromTokens(sentence, characters ? tokens.join('') : undefined, new RowReader(file, i + 1));
  });
  const unbegun = builders.reduce((sum, builder) => sum + builder.unbegun, 0);
  return {
    documents,
    notes: unbegun > 0 ? [`entities that begin with an M, I or E tag: ${unbegun}`] : [],
  };
}
