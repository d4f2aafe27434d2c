/** Plain text into words, by the rules that a configuration may name (docs/spec.md#words). */
import { basicWords, type WordRule } from '../../models/word-rule.ts';
import { basicTokenize, type SourceChar } from './basic-tokenizer.ts';

/** The words of a text, case and accents kept, with UTF-16 ranges [start, end) of it: those of BERT's BasicTokenizer. */
const basicSplit = (text: string): SourceChar[] =>
  basicTokenize(text, { doLowerCase: false }).map(({ text: word, start, end }) => ({
    text: word,
    start,
    end,
  }));

/** Every character by itself. */
const charactersOf = (text: string): SourceChar[] =>
  [...text.matchAll(/[^\s\p{C}\ufffd]/gu)].map(({ 0: char, index }) => ({
    text: char,
    start: index,
    end: index + char.length,
  }));

// What the Penn Treebank's conventions set apart, at the ends of a stretch without white space and within it.
const LEADING = /^(?:\.\.\.|--+|``|''|[“”„«»‘"([{<,;:?!*$£€¥#…—]|['’](?!(?:[sdmt]|re|ve|ll)$)(?=.))/iu;
const TRAILING = /(?:\.\.\.|--+|''|[“”«»"()[\]{}<>,;:?!*%…—]|(?<=.)['’])$/u;
const WITHIN = /\.\.\.|--+|[“”«»"()[\]{}<>;?!…—]|[,:](?!\d)/gu;
/** What a word is parted from at its end: 's, n't and so on. */
const CLITIC = /(?<=.)(?:n['’]t|['’](?:s|d|m|re|ve|ll))$/iu;
/** A full stop that is the word's own: U.S., J., a.m.; titles and the like before a name. */
const OWN_STOP =
  /^(?:\p{L}|(?:\p{L}+\.)+\p{L}+|(?:mr|mrs|ms|dr|prof|st|sen|rep|gov|gen|lt|col|capt|rev|jr|sr|inc|corp|co|ltd|vs|no|fig|e\.g|i\.e|cf|al|approx|dept|univ|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec))\.$/iu;

interface Range {
  start: number;
  end: number;
}

/** The parts of text[start, end), a stretch without white space; `ends`: a sentence ends with it. */
function pennParts(
  text: string,
  { start, end }: Range,
  whole: ReadonlySet<string>,
  ends: (word: string) => boolean,
): Range[] {
  const isWhole = (range: Range): boolean => {
    const word = text.slice(range.start, range.end);
    return whole.has(word) && !(word.length > 1 && word.endsWith('.') && ends(word));
  };
  const before: Range[] = [];
  const after: Range[] = [];
  let core: Range = { start, end };
  const part = (pattern: RegExp): string => pattern.exec(text.slice(core.start, core.end))?.[0] ?? '';
  while (core.start < core.end && !isWhole(core)) {
    const first = part(LEADING);
    const last = first === '' ? part(TRAILING) : '';
    if (first !== '') {
      before.push({ start: core.start, end: core.start + first.length });
      core = { ...core, start: core.start + first.length };
    } else if (last !== '') {
      after.unshift({ start: core.end - last.length, end: core.end });
      core = { ...core, end: core.end - last.length };
    } else {
      const word = text.slice(core.start, core.end);
      if (word.length < 2 || !word.endsWith('.') || word.endsWith('..') || !ends(word)) break;
      after.unshift({ start: core.end - 1, end: core.end });
      core = { ...core, end: core.end - 1 };
    }
  }
  if (core.start === core.end) return [...before, ...after];
  return [...before, ...(isWhole(core) ? [core] : innerParts(text, core)), ...after];
}

/** Marks within a word stand alone, and so do clitics at the end of what is between them. */
function innerParts(text: string, { start, end }: Range): Range[] {
  const parts: Range[] = [];
  const add = (from: number, to: number): void => {
    if (from === to) return;
    const clitic = CLITIC.exec(text.slice(from, to))?.[0].length ?? 0;
    if (clitic < to - from) parts.push({ start: from, end: to - clitic });
    if (clitic > 0) parts.push({ start: to - clitic, end: to });
  };
  let done = start;
  for (const { 0: mark, index } of text.slice(start, end).matchAll(WITHIN)) {
    add(done, start + index);
    done = start + index + mark.length;
    parts.push({ start: start + index, end: done });
  }
  add(done, end);
  return parts;
}

/**
 * The words of a text as the Penn Treebank has them (Marcus et al. 1993): punctuation and clitics stand alone, hyphens,
 * slashes and full stops of abbreviations do not. A full stop parts from the last word of the text, and from any that a
 * word with a capital follows, unless it is an abbreviation's. In a text where a comma or full stop stands between
 * blanks it parts from none: that text comes in words, and what is attached is the word's own.
 */
function pennSplit(text: string, whole: ReadonlySet<string>): SourceChar[] {
  const stretches = [...text.matchAll(/\S+/g)].filter(([stretch]) => /[^\p{C}\ufffd]/u.test(stretch));
  const inWords = stretches.some(([stretch]) => stretch === '.' || stretch === ',');
  return stretches.flatMap(({ 0: stretch, index }, i) => {
    const next = stretches.at(i + 1)?.[0];
    const ends = (word: string): boolean => {
      if (inWords) return false;
      if (i === stretches.length - 1) return !OWN_STOP.test(word);
      if (OWN_STOP.test(word) || whole.has(word)) return false;
      return /^[^\p{L}\p{N}]*\p{Lu}/u.test(next ?? '');
    };
    return pennParts(text, { start: index, end: index + stretch.length }, whole, ends).map(
      ({ start, end }) => ({
        text: text.slice(start, end),
        start,
        end,
      }),
    );
  });
}

/** The basic words of a text, those joined that make up a word which stays whole. */
function basicWhole(text: string, whole: ReadonlySet<string>): SourceChar[] {
  return [...text.matchAll(/\S+/g)].flatMap(({ 0: stretch, index }) =>
    whole.has(stretch)
      ? [{ text: stretch, start: index, end: index + stretch.length }]
      : basicSplit(stretch).map(({ text: word, start, end }) => ({
          text: word,
          start: start + index,
          end: end + index,
        })),
  );
}

/** How the Penn Treebank's files spell brackets. */
export const escapes: Readonly<Record<string, string>> = {
  '(': '-LRB-',
  ')': '-RRB-',
  '[': '-LSB-',
  ']': '-RSB-',
  '{': '-LCB-',
  '}': '-RCB-',
};

/** A function that parts texts by a rule: words in order, with UTF-16 ranges [start, end) of the text. */
export function wordSplitter({ rule, whole, escaped }: WordRule): (text: string) => SourceChar[] {
  const kept = new Set(whole);
  if (rule === 'characters') return charactersOf;
  if (rule === 'basic') return kept.size === 0 ? basicSplit : (text) => basicWhole(text, kept);
  if (!escaped) return (text) => pennSplit(text, kept);
  return (text) => pennSplit(text, kept).map((word) => ({ ...word, text: escapes[word.text] ?? word.text }));
}

/** The words of a text that comes without them: as BERT's BasicTokenizer parts it, or by a rule. */
export const splitWords = (text: string, rule: WordRule = basicWords): SourceChar[] =>
  wordSplitter(rule)(text);
