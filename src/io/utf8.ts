import { InputError } from '../../kernels/errors.ts';

/**
 * The text of UTF-8 bytes, a leading byte-order mark dropped. `what` names the bytes (a file) in errors. Throws
 * `InputError` with the offset of the first byte that begins no whole character.
 * @param from where in `what` the bytes begin: past its beginning no mark is dropped
 */
export function decodeUtf8(bytes: Uint8Array, what: string, from = 0): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: from > 0 }).decode(bytes);
  } catch {
    const offset = validPrefix(bytes);
    const byte = bytes[offset].toString(16).padStart(2, '0');
    throw new InputError(`${what}: not UTF-8 at byte ${from + offset} (0x${byte})`);
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
