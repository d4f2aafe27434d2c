/** Which rule gives the words of a corpus back, and what it parts otherwise. */
import type { Json } from '../../io/json.ts';
import { basicWords, wordRuleJson, wordRules, type WordRule } from '../../models/word-rule.ts';
import type { Sentence } from '../dataset.ts';
import { escapes, wordSplitter } from './words.ts';

/** Most words that stay whole: those beyond are told as missed. */
const MOST_WHOLE = 2000;
const EXAMPLES = 3;
const WITH_STOP = /[^.]\.$/;

/** What stands between two words of a corpus in plain text: nothing where every word is one character. */
const gapOf = (sentences: readonly Pick<Sentence, 'tokens'>[]): string =>
  sentences.every(({ tokens }) => tokens.every((token) => [...token].length === 1)) ? '' : ' ';

/** The words of a sentence that a rule does not give back when they stand in plain text, by index. */
function missedWords(
  tokens: readonly string[],
  gap: string,
  split: ReturnType<typeof wordSplitter>,
): number[] {
  const found = new Set(split(tokens.join(gap)).map(({ start, end }) => `${start} ${end}`));
  let at = 0;
  return tokens.flatMap((token, i) => {
    const range = `${at} ${at + token.length}`;
    at += token.length + gap.length;
    return found.has(range) ? [] : [i];
  });
}

/** How often a rule misses a word, by word. */
function misses(sentences: readonly Pick<Sentence, 'tokens'>[], rule: WordRule): Map<string, number> {
  const [gap, split] = [gapOf(sentences), wordSplitter(rule)];
  const counts = new Map<string, number>();
  for (const { tokens } of sentences)
    for (const i of missedWords(tokens, gap, split)) counts.set(tokens[i], (counts.get(tokens[i]) ?? 0) + 1);
  return counts;
}

/**
 * Words with their counts, of those that end in a full stop the abbreviations alone, and all of these: not the last of
 * their sentence, more than once, and more often than the same word without it.
 */
function withAbbreviations(
  words: ReadonlyMap<string, number>,
  sentences: readonly Pick<Sentence, 'tokens'>[],
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { tokens } of sentences)
    for (const word of tokens.slice(0, -1)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const isOwn = ([word, count]: [string, number]): boolean =>
    WITH_STOP.test(word) && count > 1 && count > (counts.get(word.slice(0, -1)) ?? 0);
  return new Map([...[...words].filter(([word]) => !WITH_STOP.test(word)), ...[...counts].filter(isOwn)]);
}

const sumOf = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((a, b) => a + b, 0);

/**
 * The rule that misses the fewest words of a corpus, the first of equal ones, with the words that it parts kept whole, the
 * most frequent first.
 * @param given a rule to take, whatever it misses
 */
export function chooseWordRule(
  sentences: readonly Pick<Sentence, 'tokens'>[],
  given?: WordRule['rule'],
): WordRule {
  let best: { rule: WordRule['rule']; missed: Map<string, number> } | undefined;
  for (const rule of given ? [given] : wordRules) {
    const missed = misses(sentences, { rule, whole: [] });
    if (!best || sumOf(missed) < sumOf(best.missed)) best = { rule, missed };
  }
  if (!best || best.rule === 'characters') return { ...basicWords, rule: best?.rule ?? 'basic' };
  const counts = best.rule === 'penn' ? withAbbreviations(best.missed, sentences) : best.missed;
  const whole = [...counts]
    .filter(([word]) => /^\S{2,}$/.test(word))
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .slice(0, MOST_WHOLE)
    .map(([word]) => word);
  return { rule: best.rule, whole, ...(best.rule === 'penn' && isEscaped(sentences) && { escaped: true }) };
}

/** Whether the words of a corpus spell brackets as the Penn Treebank's files do, and never as they are. */
function isEscaped(sentences: readonly Pick<Sentence, 'tokens'>[]): boolean {
  const words = new Set(sentences.flatMap(({ tokens }) => tokens));
  return (
    Object.values(escapes).some((word) => words.has(word)) &&
    !Object.keys(escapes).some((bracket) => words.has(bracket))
  );
}

/**
 * The key `words` of a new model's configuration: that which is given, its rule alone completed with the words that stay
 * whole; without one, what gives the training words back.
 */
export function wordsOf(given: Json, sentences: readonly Pick<Sentence, 'tokens'>[]): Json {
  const rule = wordRules.find((name) => name === given.words);
  return rule || given.words === undefined ? wordRuleJson(chooseWordRule(sentences, rule)) : {};
}

/** A line on the rule of a new model, where it is not the plain one. */
export const ruleNotes = ({ words }: { words?: WordRule }): string[] => {
  if (!words) return [];
  const kept = words.whole.length > 0 ? `, which leaves ${words.whole.length} words of the data whole` : '';
  return [`extract will part plain text as the training words were: rule ${words.rule}${kept}`];
};

/**
 * A line on the words of annotated sentences that the rule of a model parts otherwise in plain text, and on the entities that
 * hold such words; none where there are none.
 * @param whose names the sentences: a file
 */
export function wordNotes(
  sentences: readonly Sentence[],
  { words: rule = basicWords }: { words?: WordRule },
  whose?: string,
): string[] {
  const [gap, split] = [gapOf(sentences), wordSplitter(rule)];
  const examples = new Set<string>();
  let [total, missed, entities, hit] = [0, 0, 0, 0];
  for (const sentence of sentences) {
    const { tokens } = sentence;
    const found = new Set(missedWords(tokens, gap, split));
    total += tokens.length;
    missed += found.size;
    entities += sentence.entities.length;
    for (const i of found) if (examples.size < EXAMPLES) examples.add(JSON.stringify(tokens[i]));
    for (const { start, end } of sentence.entities)
      if (tokens.slice(start, end).some((_, i) => found.has(start + i))) hit++;
  }
  if (missed === 0) return [];
  const share = ((100 * missed) / total).toFixed(1);
  return [
    `${whose ? `${whose}: ` : ''}words that extract parts otherwise in plain text (rule ${rule.rule}): ${missed} of ${total}, ${share} %, ` +
      `such as ${[...examples].join(', ')}; entities that hold one: ${hit} of ${entities}; extract --tokens takes words as they are`,
  ];
}
