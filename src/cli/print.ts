/** Printing results on standard output. */
import { explain } from '../io/files.ts';
import { columnsOf } from '../tasks/text/width.ts';
import { printable } from './printable.ts';
import { streams } from './streams.ts';

/** Writes to standard output; resolves when the text has left the process. Rejects with EPIPE when nobody reads. */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // To a terminal nothing that steers it; a file has what there is.
    const { stdout } = streams();
    stdout.write(stdout.isTTY ? printable(text) : text, (error) =>
      error ? reject(explain(error, 'standard output')) : resolve(),
    );
  });
}

/** The one JSON document of `--json`. */
export const printJson = (value: unknown): Promise<void> => print(`${JSON.stringify(value, null, 2)}\n`);

/** Columns side by side, two spaces apart; columns of numbers align to the right. */
export function table(given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(printable));
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(...rows.map((row) => columnsOf(row[c] ?? ''))),
  );
  const numeric = widths.map((_, c) =>
    rows.slice(1).every((row) => /^[-+\d.,%e]*$/.test(row[c] ?? '') || row[c] === 'NaN'),
  );
  return rows
    .map((row) =>
      row
        .map((cell, c) => {
          const room = ' '.repeat(widths[c] - columnsOf(cell));
          return numeric[c] ? room + cell : cell + room;
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** A share as a percentage with two digits. */
export const percent = (share: number): string => (100 * share).toFixed(2);
