/** A text as HTML with stretches of it marked. */
import { escapeHtml } from '../../plots/plot.ts';

/** `start` and `end` are UTF-16 code units of the text. */
export interface Mark {
  start: number;
  end: number;
  /** Of the element: letters, digits, `-` and blanks. */
  classes: string;
  /** Stands behind the stretch. */
  label: string;
}

/** Text that HTML can hold: U+FFFD for control characters but white space, for halves of surrogate pairs. */
export const htmlText = (text: string): string =>
  escapeHtml(text.replace(/[^\t\n\r\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd'));

const cross = (a: Mark, b: Mark): boolean =>
  (a.start < b.start && b.start < a.end && a.end < b.end) ||
  (b.start < a.start && a.start < b.end && b.end < a.end);

/** Sets of marks that nest in one another, in order: what crosses a mark goes to another set. */
function nested(marks: readonly Mark[]): Mark[][] {
  const sets: Mark[][] = [];
  for (const mark of [...marks].sort((a, b) => a.start - b.start || b.end - a.end)) {
    const set = sets.find((of) => !of.some((other) => cross(mark, other)));
    if (set) set.push(mark);
    else sets.push([mark]);
  }
  return sets;
}

/** The text with marks that nest, in order of their starts, the longer first. */
function withMarks(text: string, marks: readonly Mark[]): string {
  const parts: string[] = [];
  const open: Mark[] = [];
  let at = 0;
  const upTo = (end: number): void => {
    parts.push(htmlText(text.slice(at, end)));
    at = Math.max(at, end);
  };
  const closeThrough = (position: number): void => {
    for (let last = open.at(-1); last && last.end <= position; last = open.at(-1)) {
      upTo(last.end);
      parts.push(`<small>${htmlText(last.label)}</small></mark>`);
      open.pop();
    }
  };
  for (const mark of marks) {
    closeThrough(mark.start);
    upTo(mark.start);
    parts.push(`<mark class="${mark.classes}">`);
    open.push(mark);
  }
  closeThrough(text.length);
  upTo(text.length);
  return parts.join('');
}

/** A text with its marks: once, or again for each set of marks that crosses those before it. */
export const markedHtml = (text: string, marks: readonly Mark[]): string[] =>
  marks.length === 0 ? [htmlText(text)] : nested(marks).map((set) => withMarks(text, set));
