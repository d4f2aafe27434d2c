/** How wide characters are set. */

/** True for a character that fonts and terminals make square: CJK, full-width forms, emoji. */
export const isWide = (character: string): boolean =>
  /[\u1100-\u115f\u2e80-\ud7ff\uf900-\ufaff\ufe30-\uff60\uffe0-\uffe6\u{1f000}-\u{3ffff}]/u.test(character);

/** Columns of a text in a terminal: two for each wide character. */
export const columnsOf = (text: string): number =>
  [...text].reduce((sum, character) => sum + (isWide(character) ? 2 : 1), 0);
