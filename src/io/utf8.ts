import { InputError } from '../../kernels/errors.ts';
import { refuseOtherText } from './look-alikes.ts';

const NEWLINE = 0x0a;

/** Where bytes begin in what they are of: the offset from 0, the line from 1. */
export interface Begin {
  byte: number;
  line: number;
}

/**
 * The text of UTF-8 bytes, a leading byte-order mark dropped. `what` names the bytes (a file) in errors. Throws
 * `InputError` with the offset and the line of the first byte that begins no whole character; of an archive and of
 * UTF-16 one that says so.
 * @param begin where in `what` the bytes begin: past its beginning no mark is dropped
 */
export function decodeUtf8(bytes: Uint8Array, what: string, begin: Begin = { byte: 0, line: 1 }): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: begin.byte > 0 }).decode(bytes);
  } catch {
    if (begin.byte === 0) refuseOtherText(bytes, what);
    const offset = validPrefix(bytes);
    const byte = bytes[offset].toString(16).padStart(2, '0');
    const line = bytes.subarray(0, offset).reduce((sum, one) => sum + (one === NEWLINE ? 1 : 0), begin.line);
    throw new InputError(`${what}: not UTF-8 at byte ${begin.byte + offset} (0x${byte}), in line ${line}`);
  }
}

/** The length in bytes of the longest prefix of whole characters, by bisection: a longer prefix is never more valid. */
function validPrefix(bytes: Uint8Array): number {
  // `stream` lets a prefix end inside a character, and leaves that character out of the text.
  const decode = (length: number) =>
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, length), {
      stream: true,
    });
  let good = 0;
  let bad = bytes.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1;
    try {
      decode(middle);
      good = middle;
    } catch {
      bad = middle;
    }
  }
  return new TextEncoder().encode(decode(good)).length;
}
