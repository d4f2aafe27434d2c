/** Sentences that are longer than a model's encoder, in windows of whole words, and their predictions put together. */
import { BadRows, unlessRefused, type Refused } from '../bad-rows.ts';
import { byGroup, checkCounts } from '../by-length.ts';
import { strangerNotes, type Entity, type LabelSets } from '../dataset.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { keptEntities, type DecodePolicy, type Prediction } from './decode.ts';
import { placeOf } from '../definition.ts';
import type { SpanCorpus, SpanOptions } from './model.ts';

/** Words [from, to) of a sentence. An entity belongs to the window whose own words [ownFrom, ownTo) hold its start. */
export interface WordWindow {
  from: number;
  to: number;
  ownFrom: number;
  ownTo: number;
}

/** Word pieces that two windows share, where nothing else is said. */
export const DEFAULT_OVERLAP = 64;

/**
 * The fewest windows, from the first word on, that hold all words; neighbours share up to `overlap` pieces, at most a
 * quarter of a window, and part what they share in the middle. A word that no window can hold is in one by itself.
 * @param pieces number of pieces of each word
 * @param room pieces that a window takes
 */
export function wordWindows(
  pieces: readonly number[],
  room: number,
  overlap = DEFAULT_OVERLAP,
): WordWindow[] {
  const shared = Math.min(overlap, Math.floor(room / 4));
  const windows: WordWindow[] = [];
  for (let from = 0; ;) {
    let [to, used] = [from, 0];
    while (to < pieces.length && (to === from || used + pieces[to] <= room)) used += pieces[to++];
    windows.push({ from, to, ownFrom: from, ownTo: to });
    if (to >= pieces.length) break;
    // Fewer pieces where the next word needs the room: the next window holds it, and so begins later than this one.
    const spare = Math.min(shared, room - pieces[to]);
    let back = 0;
    for (from = to; back + pieces[from - 1] <= spare; from--) back += pieces[from - 1];
  }
  for (let w = 1; w < windows.length; w++) {
    const middle = Math.ceil((windows[w].from + windows[w - 1].to) / 2);
    windows[w - 1].ownTo = middle;
    windows[w].ownFrom = middle;
  }
  return windows;
}

/**
 * One prediction from those of the windows. Entities are those that begin among a window's own words; a relation is its
 * head's window's, and needs its tail to be among the entities.
 */
export function mergeWindows(
  windows: readonly WordWindow[],
  found: readonly Prediction[],
  policy: DecodePolicy = 'all',
): Prediction {
  if (windows.length === 1) return found[0];
  const inText = windows.map(({ from }, w) =>
    found[w].entities.map((entity) => ({ ...entity, start: entity.start + from, end: entity.end + from })),
  );
  const owns = ({ ownFrom, ownTo }: WordWindow, { start }: Entity): boolean =>
    start >= ownFrom && start < ownTo;
  const own = windows.flatMap((window, w) => inText[w].filter((entity) => owns(window, entity)));
  // Where windows meet, the last entity of one may overlap the first of the other.
  const entities = keptEntities(own, policy);
  const key = ({ type, start, end }: Entity): string => `${start} ${end} ${type}`;
  const index = new Map(entities.map((entity, i) => [key(entity), i]));
  const relations = windows.flatMap((window, w) =>
    found[w].relations.flatMap(({ head: from, tail: to, ...relation }) => {
      const [head, tail] = [index.get(key(inText[w][from])), index.get(key(inText[w][to]))];
      const kept = owns(window, inText[w][from]) && head !== undefined && tail !== undefined;
      return kept ? [{ ...relation, head, tail }] : [];
    }),
  );
  return { entities, relations };
}

/** How a model takes sentences, and what it finds in them. */
export interface Reader<E> {
  /** Of one kind where it finds nothing of the other. */
  labels: Partial<LabelSets>;
  /** Words are counted in the pieces of whichever makes the most of them. */
  tokenizers: readonly Tokenizer[];
  /** Word pieces that a window takes. */
  room: number;
  /** Errors: InputError that begins with `what` for words that the model cannot take at once. */
  encode(tokens: readonly string[], what: string): E;
}

/** Words of a sentence that a model reads at once. */
export interface Window<E> extends WordWindow {
  /** The sentence's index. */
  sentence: number;
  tokens: string[];
  encoded: E;
}

/** The entities of a sentence that lie within a window, in its words: as sure as gold. */
export const entitiesWithin = (
  { from, tokens }: Pick<Window<unknown>, 'from' | 'tokens'>,
  entities: readonly Entity[],
): Prediction['entities'] =>
  entities
    .map(({ type, start, end }) => ({ type, start: start - from, end: end - from, score: 1 }))
    .filter(({ start, end }) => start >= 0 && end <= tokens.length);

/** The windows of a sentence. Errors: those of `encode`. */
function windowsOf<E>(
  tokens: readonly string[],
  sentence: number,
  reader: Reader<E>,
  what: string,
  overlap?: number,
): Window<E>[] {
  const pieces = reader.tokenizers.map((tokenizer) => tokenizer.encodeWords(tokens));
  const lengths = tokens.map((_, w) => Math.max(...pieces.map((words) => words[w].length)));
  return wordWindows(lengths, reader.room, overlap).map((window) => {
    const own = tokens.slice(window.from, window.to);
    return { ...window, sentence, tokens: own, encoded: reader.encode(own, what) };
  });
}

/**
 * What of a corpus cannot be found, whatever the weights: sentences that no windows can hold, labels that the model does not
 * have.
 * @throws InputError naming all such sentences, where they stop what is done with the corpus
 */
export function scoredNotes(corpus: SpanCorpus, reader: Reader<unknown>): string[] {
  const bad = new BadRows(corpus.file, corpus.onBad);
  corpus.sentences.forEach(({ tokens }, i) =>
    bad.attempt(() => windowsOf(tokens, i, reader, placeOf(corpus, i))),
  );
  return [...bad.settle(), ...strangerNotes(corpus.sentences, reader.labels)];
}

/** What a model finds in sentences, the i-th of which `what` names. `refused`: see `SpanOptions`. */
export type Predict = (
  sentences: readonly (readonly string[])[],
  what: (i: number) => string,
  refused: Refused | undefined,
) => Promise<Prediction[]>;

/**
 * Predicts sentences of any length: `predictAll` is given their windows, one of each short sentence, and answers in that
 * order.
 * @param what names sentence i in errors
 * @throws InputError for an overlap that is no count
 */
export async function predictWindows<E>(
  sentences: readonly (readonly string[])[],
  reader: Reader<E>,
  what: (i: number) => string,
  { overlap = DEFAULT_OVERLAP, policy, refused }: Pick<SpanOptions, 'overlap' | 'policy' | 'refused'>,
  predictAll: (windows: Window<E>[]) => Promise<Prediction[]>,
): Promise<Prediction[]> {
  checkCounts({ overlap }, 0);
  const windows = sentences.map(
    (tokens, i) => unlessRefused(refused, i, () => windowsOf(tokens, i, reader, what(i), overlap)) ?? [],
  );
  const found = await byGroup(windows, predictAll);
  return windows.map((list, i) => mergeWindows(list, found[i], policy));
}
