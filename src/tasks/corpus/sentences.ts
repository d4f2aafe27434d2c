/** Corpora of every format as sentences of words. */
import { basicWords } from '../../models/word-rule.ts';
import type { Entity, Sentence } from '../dataset.ts';
import { wordSplitter } from '../text/words.ts';
import { readRows } from './read.ts';
import type { ReadOptions } from './reading.ts';
import type { Files, Row } from './row.ts';

export interface Sentences {
  sentences: Sentence[];
  notes: string[];
  /** Where each sentence stands in its file: `row 3`. */
  places: string[];
  /** The text of each row that has one. */
  texts: (string | undefined)[];
}

/** The words of a text, and the entities that cover whole words of it. */
function inWords(
  { text = '', entities, relations, id }: Omit<Row, 'place'>,
  split: ReturnType<typeof wordSplitter>,
): Sentence {
  const words = split(text);
  const starts = new Map(words.map(({ start }, i) => [start, i]));
  const ends = new Map(words.map(({ end }, i) => [end, i + 1]));
  const inside: Entity[] = [];
  const index = entities.map(({ type, start, end }) => {
    const [from, to] = [starts.get(start), ends.get(end)];
    return from === undefined || to === undefined ? -1 : inside.push({ type, start: from, end: to }) - 1;
  });
  const [kept, lost] = [true, false].map((held) =>
    relations.filter(({ head, tail }) => (index[head] >= 0 && index[tail] >= 0) === held),
  );
  const beyond = {
    entities: entities.filter((_, i) => index[i] < 0).map(({ type }) => type),
    relations: lost.map(({ type }) => type),
  };
  return {
    tokens: words.map((word) => word.text),
    entities: inside,
    relations: kept.map(({ type, head, tail }) => ({ type, head: index[head], tail: index[tail] })),
    ...(id === undefined ? {} : { id }),
    ...(beyond.entities.length > 0 ? { beyond } : {}),
  };
}

/**
 * Reads a corpus of any format (docs/formats.md) into sentences. Rows without tokens are parted into words by
 * `options.words`, as `extract` parts text; what of their gold is not made of whole words is `beyond` a model's reach, which a note counts.
 * @returns at least one sentence, each of at least one token; those without a word are left out, which a note counts
 * @throws InputError as `parseDocuments`
 */
export function parseSentences(content: string | Files, file: string, options: ReadOptions = {}): Sentences {
  const split = wordSplitter(options.words ?? basicWords);
  const texts: (string | undefined)[] = [];
  const { items, ...rest } = readRows(content, file, options, 'sentence', (row, { counts }) => {
    const { tokens, entities, relations, id } = row;
    const sentence = tokens
      ? { tokens, entities, relations, ...(id === undefined ? {} : { id }) }
      : inWords(row, split);
    if (sentence.tokens.length === 0) {
      counts.add('sentences without a word, left out');
      return undefined;
    }
    const { beyond } = sentence as Sentence;
    counts.add(
      'entities that are not made of whole words: not learnt, and counted as missed',
      beyond?.entities.length ?? 0,
    );
    counts.add(
      'relations of such entities: not learnt, and counted as missed',
      beyond?.relations.length ?? 0,
    );
    texts.push(row.text);
    return sentence;
  });
  return { sentences: items, texts, ...rest };
}
