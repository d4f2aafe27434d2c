/** Reading JSON: every error is one line that names the source and the place. */
import { InputError } from '../../kernels/errors.ts';

export type Json = Readonly<Record<string, unknown>>;

/** True for a JSON object: neither a list nor null. */
export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const SPACE = /[ \t\n\r]*/y;
const TOKEN = /[{}[\],:"]|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
/** A part of a string: with a bound, for one expression over all of a long string overflows the engine's stack. */
const IN_STRING = /[ !#-[\]-\uffff]{1,4096}|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}/y;

/** Where the token that begins at `at` ends; undefined where none does. */
function endOfToken(text: string, at: number): number | undefined {
  TOKEN.lastIndex = at;
  if (!TOKEN.test(text)) return undefined;
  if (text[at] !== '"') return TOKEN.lastIndex;
  IN_STRING.lastIndex = at + 1;
  let end = at + 1;
  while (IN_STRING.test(text)) end = IN_STRING.lastIndex;
  return text[end] === '"' ? end + 1 : undefined;
}

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
    const end = endOfToken(text, at);
    if (end === undefined) return at;
    const token = text[at]; // its first character tells what it is

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
    } else if ((expected === 'key' || expected === 'first-key') && token === '"') {
      expected = 'colon';
    } else if (expected === 'colon' && token === ':') {
      expected = 'value';
    } else if (expected === 'next' && closers.length > 0 && token === ',') {
      expected = closers[closers.length - 1] === '}' ? 'key' : 'value';
    } else {
      return at;
    }
    at = end;
  }
}

/** The line, counted from 1, on which UTF-16 offset `at` of `text` lies; an end after blank lines is not counted. */
function lineOf(text: string, at: number): number {
  return text.slice(0, Math.min(at, text.trimEnd().length)).split('\n').length;
}

/** The first key that some object of the valid JSON `text` holds twice, which JSON.parse passes over in silence, and its line. */
export function repeatedKey(text: string): { key: string; line: number } | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '{') open.push(new Set());
    else if (text[i] === '}') open.pop();
    else if (text[i] === '"') {
      const start = i++;
      while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
      let next = i + 1;
      while (' \t\n\r'.includes(text[next])) next++;
      if (text[next] !== ':') continue;
      const key: string = JSON.parse(text.slice(start, i + 1));
      const keys = open[open.length - 1];
      if (keys.has(key)) return { key, line: lineOf(text, start) };
      keys.add(key);
    }
  }
  return undefined;
}

/** Deepest nesting that is read: what walks a value, `JSON.stringify` too, has only so much stack. */
const MOST_DEPTH = 200;

function isDeep(value: unknown, left = MOST_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (left === 0) return true;
  if (Array.isArray(value)) return value.some((item) => isDeep(item, left - 1));
  for (const key in value) if (isDeep((value as Json)[key], left - 1)) return true;
  return false;
}

/**
 * `JSON.parse`; `text` starts on line `firstLine` of its file.
 * @throws InputError naming `what`, the line and the text there; or `what` where it nests deeper than anything we read
 */
export function parseJson(text: string, what: string, firstLine = 1): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const at = jsonErrorOffset(text);
    const line = firstLine - 1 + lineOf(text, at);
    const found = text.slice(at, at + 20).trim();
    throw new InputError(
      `${what}: line ${line}: not JSON ${found === '' ? '(the text ends early)' : `from ${JSON.stringify(found)} on`}`,
    );
  }
  if (isDeep(value)) throw new InputError(`${what}: lists or objects nested over ${MOST_DEPTH} deep`);
  return value;
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
