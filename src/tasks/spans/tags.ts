/**
 * BIO tags and their extension to overlapping entities (STSN section 4.1.2): a token inside two entities gets both
 * tags as one class, such as `B-AE/B-DRUG`. The preceding entity comes first: the one that starts first, and of two
 * that start together the longer. Of two types on one span only the first is tagged. A token inside three or more
 * entities keeps the first two.
 */
import { InputError } from '../../../kernels/errors.ts';
import { labelSets, type Sentence } from '../dataset.ts';
import { firstOfEachSpan } from './enumerate.ts';

const OUTSIDE = 'O';

/** For each token the simple tags of the entities that cover it (at most two), and how many tokens had more. */
function simpleTags(sentence: Sentence): { parts: string[][]; crowded: number } {
  const parts: string[][] = sentence.tokens.map(() => []);
  const crowded = new Set<number>();
  const byPrecedence = firstOfEachSpan(sentence.entities).sort((a, b) => a.start - b.start || b.end - a.end);
  for (const { type, start, end } of byPrecedence) {
    for (let token = start; token < end; token++) {
      if (parts[token].length === 2) crowded.add(token);
      else parts[token].push(`${token === start ? 'B' : 'I'}-${type}`);
    }
  }
  return { parts, crowded: crowded.size };
}

const combine = (parts: readonly string[]): string => parts.join('/') || OUTSIDE;

/**
 * The tag classes of a model trained on `sentences`: `O`, then `B-X` and `I-X` of every type in the order of
 * `entityTypes`, then the combined tags that occur, sorted by code unit.
 */
export function tagSet(
  sentences: readonly Sentence[],
  entityTypes: readonly string[] = labelSets(sentences).entityTypes,
): string[] {
  const simple = [OUTSIDE, ...entityTypes.flatMap((type) => [`B-${type}`, `I-${type}`])];
  const combined = new Set(
    sentences.flatMap((sentence) =>
      simpleTags(sentence)
        .parts.filter((parts) => parts.length > 1)
        .map(combine),
    ),
  );
  return [...simple, ...[...combined].sort()];
}

/**
 * The class of every token: i32[tokens], indices into `tags`. A combined tag that `tags` lacks (one seen in no
 * training sentence) falls back to the preceding entity's tag.
 * @throws InputError for a simple tag that `tags` lacks
 */
export function encodeTags(sentence: Sentence, tags: readonly string[]): Int32Array {
  return Int32Array.from(simpleTags(sentence).parts, (parts) => {
    const whole = tags.indexOf(combine(parts));
    if (whole >= 0) return whole;
    const preceding = tags.indexOf(parts[0] ?? OUTSIDE);
    if (preceding >= 0) return preceding;
    throw new InputError(`tag ${JSON.stringify(parts[0] ?? OUTSIDE)} is not among the model's tags`);
  });
}

/** One line for each way in which `tags` tell less of these sentences than the gold does; none where they tell all. */
export function tagNotes(sentences: readonly Sentence[], tags: readonly string[]): string[] {
  const known = new Set(tags);
  let crowded = 0;
  let unseen = 0;
  for (const sentence of sentences) {
    const simple = simpleTags(sentence);
    crowded += simple.crowded;
    unseen += simple.parts.filter((parts) => parts.length > 1 && !known.has(combine(parts))).length;
  }
  const notes: string[] = [];
  if (crowded > 0) notes.push(`tokens inside three or more entities: ${crowded}; tagged with the first two`);
  if (unseen > 0)
    notes.push(
      `tokens whose combined tag the model does not have: ${unseen}; tagged with the preceding entity alone`,
    );
  return notes;
}
