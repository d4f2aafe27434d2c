/** Reading JSON: every error is one line that names the source and the place. */
import { InputError } from '../../kernels/errors.ts';

export type Json = Readonly<Record<string, unknown>>;

/** True for a JSON object: neither a list nor null. */
export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const SPACE = /[ \t\n\r]*/y;
const TOKEN =
  /[{}[\],:]|"(?:[ !#-[\]-\uffff]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** What the grammar of RFC 8259 allows next. `first-…` may also be the closing bracket. */
type Expected = 'value' | 'first-value' | 'key' | 'first-key' | 'colon' | 'next';

/**
 * Where `text` stops being JSON: the UTF-16 offset of the first token that cannot stand there, or -1 if it is JSON.
 * `JSON.parse` has no portable way to say so: its messages differ by engine and often carry no position.
 */
export function jsonErrorOffset(text: string): number {
  const closers: string[] = [];
  let expected: Expected = 'value';
  let at = 0;
  for (;;) {
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
    if (at === text.length) return expected === 'next' && closers.length === 0 ? -1 : at;
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    if (token === undefined) return at;

    const wantsValue = expected === 'value' || expected === 'first-value';
    const mayClose = expected === 'next' || expected === 'first-value' || expected === 'first-key';
    if (mayClose && closers.length > 0 && token === closers[closers.length - 1]) {
      closers.pop();
      expected = 'next';
    } else if (wantsValue && token === '{') {
      closers.push('}');
      expected = 'first-key';
    } else if (wantsValue && token === '[') {
      closers.push(']');
      expected = 'first-value';
    } else if (wantsValue && !'}],:'.includes(token)) {
      expected = 'next';
    } else if ((expected === 'key' || expected === 'first-key') && token.startsWith('"')) {
      expected = 'colon';
    } else if (expected === 'colon' && token === ':') {
      expected = 'value';
    } else if (expected === 'next' && closers.length > 0 && token === ',') {
      expected = closers[closers.length - 1] === '}' ? 'key' : 'value';
    } else {
      return at;
    }
    at += token.length;
  }
}

/** The line, counted from 1, on which UTF-16 offset `at` of `text` lies; an end after blank lines is not counted. */
function lineOf(text: string, at: number): number {
  return text.slice(0, Math.min(at, text.trimEnd().length)).split('\n').length;
}

/**
 * `JSON.parse`; `text` starts on line `firstLine` of its file.
 * @throws InputError naming `what`, the line and the text there
 */
export function parseJson(text: string, what: string, firstLine = 1): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const at = jsonErrorOffset(text);
    const line = firstLine - 1 + lineOf(text, at);
    const found = text.slice(at, at + 20).trim();
    throw new InputError(
      `${what}: line ${line}: not JSON ${found === '' ? '(the text ends early)' : `from ${JSON.stringify(found)} on`}`,
    );
  }
}

/**
 * The object that a JSON text is; a leading byte-order mark is skipped.
 * @throws InputError naming `what`, and the line where the text is not JSON
 */
export function parseObject(text: string, what: string): Json {
  const value = parseJson(text.replace(/^\ufeff/, ''), what);
  if (!isObject(value)) throw new InputError(`${what}: not a JSON object`);
  return value;
}
