/** Sentences that are longer than a model's encoder, in windows of whole words, and their predictions put together. */
import type { Tokenizer } from '../text/tokenizer.ts';
import type { Prediction } from './decode.ts';

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
    let [next, back] = [to, 0];
    while (next > from + 1 && back + pieces[next - 1] <= shared) back += pieces[--next];
    from = next;
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
export function mergeWindows(windows: readonly WordWindow[], found: readonly Prediction[]): Prediction {
  if (windows.length === 1) return found[0];
  const merged: Prediction = { entities: [], relations: [] };
  const index = new Map<string, number>();
  const inText = windows.map(({ from }, w) =>
    found[w].entities.map((entity) => ({ ...entity, start: entity.start + from, end: entity.end + from })),
  );
  const key = ({ type, start, end }: { type: string; start: number; end: number }): string =>
    `${start} ${end} ${type}`;
  const owned = ({ ownFrom, ownTo }: WordWindow, { start }: { start: number }): boolean =>
    start >= ownFrom && start < ownTo;
  windows.forEach((window, w) => {
    for (const entity of inText[w])
      if (owned(window, entity)) index.set(key(entity), merged.entities.push(entity) - 1);
  });
  windows.forEach((window, w) => {
    for (const { type, head, tail, score } of found[w].relations) {
      const [from, to] = [inText[w][head], inText[w][tail]];
      const [h, t] = [index.get(key(from)), index.get(key(to))];
      if (owned(window, from) && h !== undefined && t !== undefined)
        merged.relations.push({ type, head: h, tail: t, score });
    }
  });
  return merged;
}

/** Words of a sentence that a model reads at once. */
export interface Window {
  /** The sentence's index. */
  sentence: number;
  /** Its first word. */
  from: number;
  tokens: string[];
}

/**
 * Predicts sentences of any length: `predictAll` is given their windows, one of each short sentence, and answers in that
 * order.
 * @param room word pieces that a window takes, as each of the tokenizers counts them
 */
export async function predictWindows(
  sentences: readonly (readonly string[])[],
  tokenizers: readonly Tokenizer[],
  room: number,
  overlap: number | undefined,
  predictAll: (windows: Window[]) => Promise<Prediction[]>,
): Promise<Prediction[]> {
  const windows = sentences.map((tokens) => {
    const pieces = tokenizers.map((tokenizer) => tokenizer.encodeWords(tokens));
    return wordWindows(
      tokens.map((_, w) => Math.max(...pieces.map((words) => words[w].length))),
      room,
      overlap,
    );
  });
  const found = await predictAll(
    windows.flatMap((list, sentence) =>
      list.map(({ from, to }) => ({ sentence, from, tokens: sentences[sentence].slice(from, to) })),
    ),
  );
  let first = 0;
  return windows.map((list) => mergeWindows(list, found.slice(first, (first += list.length))));
}
