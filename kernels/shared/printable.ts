/** What comes from files and options, on its way to a terminal: names and labels may hold any character. */

/** Most characters of a message: enough for a list of keys, and no screenful. */
const MOST = 1000;

/**
 * Control characters (an escape sequence can rewrite the screen, or the title of the window) and those that reorder what is
 * shown; a tab or line feed is well.
 */
const UNSAFE = /(?![\t\n])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** The text with these written as JavaScript writes them: `\x1b`, `\u202e`. */
export const printable = (text: string): string =>
  text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`;
  });

/** A message in one line, safe to show, and cut where it goes on too long. */
export function oneLine(message: string): string {
  // Cut first: it may be as long as a file.
  const head = printable(message.slice(0, 4 * MOST).replace(/[\r\n\u2028\u2029]+/g, ' '));
  if (head.length <= MOST && message.length <= 4 * MOST) return head;
  return `${head.slice(0, MOST).replace(/[\ud800-\udbff]$/, '')}… (cut)`;
}
