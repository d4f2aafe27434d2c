/** Reading corpora from disk; everything else about them is in `dataset.ts` and works in a browser. */
import { readFileSync } from 'node:fs';
import { InputError } from '../../kernels/errors.ts';
import { parsePromptedJson, type PromptedText } from './cerem/batch.ts';
import { parseSpertJson, type Sentence } from './dataset.ts';

/** Decodes `bytes` as the start of a UTF-8 text: an unfinished last character is allowed, and left out. */
function decodeStart(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
}

/** The byte offset of the first character of `bytes` that is not UTF-8. */
function invalidOffset(bytes: Uint8Array): number {
  const isGoodStart = (length: number): boolean => {
    try {
      decodeStart(bytes.subarray(0, length));
      return true;
    } catch {
      return false;
    }
  };
  // Bisection for the longest good start: `good` always is one, `bad` never (or is past the end).
  let good = 0;
  let bad = bytes.length + 1;
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (isGoodStart(middle)) good = middle;
    else bad = middle;
  }
  // The bad character starts where the last whole one of that start ends.
  return new TextEncoder().encode(decodeStart(bytes.subarray(0, good))).length;
}

/**
 * The text of a UTF-8 file, a leading byte order mark kept.
 * @throws InputError naming the file where it cannot be read, and the byte offset where it is not UTF-8
 */
export function readUtf8File(path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const { code } = error as { code?: string };
    const reason =
      code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'it is a folder' : (code ?? 'unknown');
    throw new InputError(`${path}: cannot be read (${reason})`, { cause: error });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new InputError(`${path}: not UTF-8 at byte ${invalidOffset(bytes)}`, { cause: error });
  }
}

/** Reads a file of prompted texts; see `parsePromptedJson`, and `readUtf8File` for what can go wrong before it. */
export function readPromptedFile(path: string): PromptedText[] {
  return parsePromptedJson(readUtf8File(path), path);
}

/** Reads a SpERT-style corpus file; see `parseSpertJson`, and `readUtf8File` for what can go wrong before it. */
export function readSpertFile(path: string): Sentence[] {
  return parseSpertJson(readUtf8File(path), path);
}
