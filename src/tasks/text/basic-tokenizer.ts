/** One code point of normalised text, with the UTF-16 range [start, end) of the original text that it came from. */
export interface SourceChar {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** A word of the basic split: its normalised text, its code points, and its UTF-16 range in the original text. */
export interface BasicWord extends SourceChar {
  readonly chars: readonly SourceChar[];
}

export interface BasicOptions {
  readonly doLowerCase: boolean;
  /** Drop non-spacing marks after NFD; follows `doLowerCase` when absent, as in BERT. */
  readonly stripAccents?: boolean;
}

// General categories C (controls, formats, private use, lone surrogates, unassigned) vanish, but the three
// controls that separate words stay; U+FFFD vanishes as well.
const REMOVED = /[^\P{C}\t\n\r]|\ufffd/u;
const WHITE_SPACE = /[\t\n\r\p{Z}]/u;
const NON_SPACING_MARK = /\p{Mn}/u;
// BERT counts every ASCII symbol as punctuation ($, +, ^ and so on), and category P beyond ASCII.
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/u;
// The blocks BERT calls Chinese; kana, Hangul and the ideographs from U+30000 up are not among them.
const IDEOGRAPH =
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/u;

/** Whether one code point always is a word of its own: punctuation, or an ideograph. */
export function standsAlone(char: string): boolean {
  return PUNCTUATION.test(char) || IDEOGRAPH.test(char);
}

/**
 * BERT's BasicTokenizer (Devlin et al. 2019, as in Hugging Face's `BertTokenizer`; docs/spec.md#text): removes control
 * characters, lower-cases and strips accents where asked, splits at white space, and sets every ideograph and
 * punctuation mark alone. Ranges are UTF-16 code units of `text`: a removed control character inside a word lies
 * inside its range, a stripped accent belongs to the character before it, and the letters that one character
 * decomposes into (Hangul) all have that character's range. Total: no text is an error.
 */
export function basicTokenize(text: string, options: BasicOptions): BasicWord[] {
  const words: BasicWord[] = [];
  let open: SourceChar[] = [];
  const close = () => {
    if (open.length > 0) words.push(wordOf(open));
    open = [];
  };
  for (const char of normalise(text, options)) {
    if (WHITE_SPACE.test(char.text)) close();
    else if (standsAlone(char.text)) {
      close();
      words.push(wordOf([char]));
    } else open.push(char);
  }
  close();
  return words;
}

function wordOf(chars: SourceChar[]): BasicWord {
  return {
    text: chars.map((c) => c.text).join(''),
    start: chars[0].start,
    end: chars[chars.length - 1].end,
    chars,
  };
}

function normalise(text: string, { doLowerCase, stripAccents = doLowerCase }: BasicOptions): SourceChar[] {
  const cleaned = sourceChars(text).filter((c) => !REMOVED.test(c.text));
  const lowered = doLowerCase ? lowerCase(cleaned) : cleaned;
  return stripAccents ? stripMarks(lowered) : lowered;
}

function sourceChars(text: string): SourceChar[] {
  const chars: SourceChar[] = [];
  let start = 0;
  for (const char of text) {
    chars.push({ text: char, start, end: start + char.length });
    start += char.length;
  }
  return chars;
}

/**
 * Lower-cases in context: a capital sigma at the end of a word gives ς. No other letter depends on its neighbours,
 * and both sigmas have one code unit, so the lengths of the letters lower-cased alone cut the whole string right.
 */
function lowerCase(chars: readonly SourceChar[]): SourceChar[] {
  const whole = chars
    .map((c) => c.text)
    .join('')
    .toLowerCase();
  let at = 0;
  return chars.flatMap(({ text, start, end }) => {
    const from = at;
    at += text.toLowerCase().length;
    return [...whole.slice(from, at)].map((lower) => ({ text: lower, start, end }));
  });
}

/**
 * NFD without its non-spacing marks. Decomposing code point by code point skips NFD's reordering of marks; among the
 * marks that stay, only a few musical and tone signs could be reordered, and no vocabulary tells them apart.
 */
function stripMarks(chars: readonly SourceChar[]): SourceChar[] {
  const kept: SourceChar[] = [];
  for (const { text, start, end } of chars) {
    for (const part of text.normalize('NFD')) {
      if (!NON_SPACING_MARK.test(part)) {
        kept.push({ text: part, start, end });
        continue;
      }
      const base = kept.at(-1);
      if (base && base.end === start) kept[kept.length - 1] = { ...base, end };
    }
  }
  return kept;
}
