/** Between offsets in tokens (SpERT-style corpora) and in UTF-16 code units of the text (documents). */
import { quote, type Entity, type RowReader, type Sentence } from '../dataset.ts';
import type { Document } from '../document.ts';

/** Where tokens stand in their text, in UTF-16 code units; `end` exclusive. */
export interface TokenOffsets {
  starts: number[];
  ends: number[];
}

/** The offsets of `tokens` in `text`, or the index of the first token that does not come next. */
export function tokenOffsets(tokens: readonly string[], text: string): TokenOffsets | number {
  const starts: number[] = [];
  const ends: number[] = [];
  let at = 0;
  for (const [i, token] of tokens.entries()) {
    // White space may be a token itself, so it is passed over only where the token does not come at once.
    while (!text.startsWith(token, at)) {
      if (at >= text.length || !/\s/.test(text[at])) return i;
      at++;
    }
    starts.push(at);
    at += token.length;
    ends.push(at);
  }
  return { starts, ends };
}

/** The text that tokens make where none is given: characters stand side by side, words apart. */
export const joinedText = (tokens: readonly string[], characters: boolean): string =>
  tokens.join(characters ? '' : ' ');

/**
 * A sentence of tokens as a document.
 * @param text its text; without one the tokens are joined with spaces
 * @param row complains of a text that is not the tokens and white space, and of an entity that covers no character
 */
export function fromTokens(
  { tokens, entities, ...rest }: Sentence,
  text: string | undefined,
  row: RowReader,
): Document {
  const whole = text ?? tokens.join(' ');
  const offsets = tokenOffsets(tokens, whole);
  if (typeof offsets === 'number')
    return row.fail(
      `tokens[${offsets}]`,
      `is ${quote(tokens[offsets])}, which does not come next in the text`,
    );
  const inText = entities.map(({ type, start, end }, i): Entity => {
    const [from, to] = [offsets.starts[start], offsets.ends[end - 1]];
    return from < to ? { type, start: from, end: to } : row.fail(`entities[${i}]`, 'covers no character');
  });
  return { text: whole, tokens, entities: inText, ...rest };
}

/** The entities of a document in tokens, whatever else they hold kept; undefined where one does not cover whole tokens. */
function entitiesInTokens(entities: readonly Entity[], { starts, ends }: TokenOffsets): Entity[] | undefined {
  const inTokens = entities.map((entity) => ({
    ...entity,
    start: starts.indexOf(entity.start),
    end: ends.indexOf(entity.end) + 1,
  }));
  return inTokens.every(({ start, end }) => start >= 0 && end > start) ? inTokens : undefined;
}

/**
 * Documents, predicted or gold, as JSON: an array with a row each, in the form it was read in. A document with tokens
 * gives {`tokens`, `text`, `entities`, `relations`, `id`} with offsets in tokens; one without, and one with an entity
 * that does not cover whole tokens, {`text`, `entities`, `relations`, `id`} with offsets in UTF-16 code units. What
 * predictions hold besides (scores) is kept. `parseDocuments` reads it back as the same documents, but for empty ones.
 */
export function documentsJson(documents: readonly Document[]): string {
  const rows = documents.map(({ text, tokens, entities, relations, id }) => {
    const offsets = tokens && tokenOffsets(tokens, text);
    const inTokens = typeof offsets === 'object' ? entitiesInTokens(entities, offsets) : undefined;
    // `id` is left out where it is undefined.
    return inTokens ? { tokens, text, entities: inTokens, relations, id } : { text, entities, relations, id };
  });
  return `[${rows.map((row) => `\n${JSON.stringify(row)}`).join(',')}\n]\n`;
}
