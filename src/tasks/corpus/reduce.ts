/** What a format can hold of rows; the rest is counted. */
import type { Entity, Relation } from '../dataset.ts';
import { splitWords } from '../text/words.ts';
import type { Format, Holds } from './formats/format.ts';
import { documentOf } from './parse.ts';
import type { Counts, Row } from './row.ts';
import { joinedText, tokenOffsets } from './tokens.ts';

/** Entities for which `keep` gives one, and the relations among these. */
function keepEntities(
  { entities, relations }: Pick<Row, 'entities' | 'relations'>,
  keep: (entity: Entity, i: number) => Entity | undefined,
  why: string,
  losses: Counts,
): Pick<Row, 'entities' | 'relations'> {
  const kept: Entity[] = [];
  const index = entities.map((entity, i) => {
    const found = keep(entity, i);
    return found ? kept.push(found) - 1 : -1;
  });
  const related = relations.flatMap(({ type, head, tail }): Relation[] =>
    index[head] < 0 || index[tail] < 0 ? [] : [{ type, head: index[head], tail: index[tail] }],
  );
  losses.add(why, entities.length - kept.length);
  losses.add('relations of such entities', relations.length - related.length);
  return { entities: kept, relations: related };
}

/** A row in tokens: its own, else the words of its text. */
function inTokens(row: Row, losses: Counts): Row & { tokens: string[] } {
  if (row.tokens) return row as Row & { tokens: string[] };
  const { text = '' } = row;
  const words = splitWords(text);
  // As they stand in the text, which a word without its control characters may not.
  const tokens = words.map(({ start, end }) => text.slice(start, end));
  const starts = new Map(words.map(({ start }, i) => [start, i]));
  const ends = new Map(words.map(({ end }, i) => [end, i + 1]));
  const inside = keepEntities(
    row,
    ({ type, start, end }) => {
      const [from, to] = [starts.get(start), ends.get(end)];
      return from === undefined || to === undefined ? undefined : { type, start: from, end: to };
    },
    'entities that are not made of whole words',
    losses,
  );
  return { ...row, tokens, ...inside };
}

/** Which entities of a row overlap none of those kept: of two, the one that starts first, then the longer. */
function flat(entities: readonly Entity[]): ReadonlySet<Entity> {
  const kept = new Set<Entity>();
  let end = 0;
  for (const entity of [...entities].sort((a, b) => a.start - b.start || b.end - a.end)) {
    if (entity.start < end) continue;
    kept.add(entity);
    end = entity.end;
  }
  return kept;
}

/** A row without what a format does not hold beside text and tokens. */
function within(row: Row, holds: Holds, losses: Counts): Row {
  let rest: Pick<Row, 'entities' | 'relations'> = row;
  if (!holds.overlaps) {
    const kept = flat(row.entities);
    rest = keepEntities(row, (e) => (kept.has(e) ? e : undefined), 'entities that overlap another', losses);
  }
  if (!holds.relations) {
    losses.add('relations', rest.relations.length);
    rest = { ...rest, relations: [] };
  }
  const { id, ...others } = row;
  if (id === undefined || holds.ids) return { ...row, ...rest };
  losses.add('ids');
  return { ...others, ...rest };
}

/**
 * Rows reduced to what a format holds.
 * @param file names them in errors
 * @param losses receives what is lost
 * @throws InputError for a row with tokens and a text that do not agree
 */
export function reduceRows(rows: readonly Row[], format: Format, file: string, losses: Counts): Row[] {
  const { holds } = format;
  if (holds.unit === 'character')
    return rows.map((row) => {
      losses.add('divisions into tokens', row.tokens ? 1 : 0);
      return within({ place: row.place, ...documentOf(row, file), tokens: undefined }, holds, losses);
    });

  const all = rows.map((row) => inTokens(row, losses));
  const filled = all.filter(({ tokens }) => tokens.length > 0);
  losses.add('rows without a token', all.length - filled.length);
  // What a reader of the format makes of the tokens where it is given no text.
  const characters =
    format.name !== 'spert' && filled.every(({ tokens }) => tokens.every((token) => [...token].length === 1));
  return filled.map((row) => {
    const { text, tokens } = row;
    const kept = within(row, holds, losses);
    if (text === undefined || text === joinedText(tokens, characters)) return { ...kept, text: undefined };
    if (holds.text && typeof tokenOffsets(tokens, text) !== 'number') return kept;
    losses.add('texts with white space of their own');
    return { ...kept, text: undefined };
  });
}
