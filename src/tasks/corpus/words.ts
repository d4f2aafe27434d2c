/** Rows of words without annotations, to predict on. */
import { InputError } from '../../../kernels/errors.ts';
import { parseJson } from '../../io/json.ts';
import type { Lines } from '../../io/lines.ts';
import type { OnBad } from '../bad-rows.ts';
import { parseRecords, RowReader } from '../dataset.ts';
import type { Words } from '../extraction.ts';
import type { Row } from '../streaming.ts';

/** The words of a record; any key but `tokens`, `id` and `orig_id` is ignored. Errors: InputError naming row and field. */
function wordsOf(record: unknown, file: string, i: number): Words {
  const row = new RowReader(file, i + 1);
  const fields = row.fields(record, '');
  const tokens = row.strings(row.list(fields, 'tokens'), 'tokens');
  return { tokens, ...row.id(fields) };
}

/** Whether a line is one of JSON lines, whole or not, and no part of a list. */
const isRow = (line: string): boolean => line.trimStart().startsWith('{');

/**
 * Reads {`tokens`: string[]} rows: JSON lines, as many as are asked for at a time, or a JSON array, which is read whole;
 * `id`, else `orig_id`, is kept, any other key ignored, so that an annotated corpus is one too. A row may have no words; so
 * has an empty line, and what is read stays aligned with the lines.
 */
export class WordRows {
  /** Rows read so far. */
  #read = 0;
  /** The rows of an array; undefined of JSON lines, and as long as nothing has been read. */
  #whole: Row[] | undefined;
  #begun = false;

  /**
   * @param file its name, for messages
   * @param onBad `skip`: a line that cannot be read is a row with an error; else that stops the reading
   */
  constructor(
    readonly lines: Lines,
    readonly file: string,
    readonly onBad: OnBad = 'stop',
  ) {}

  /**
   * The next rows, as `Lines.next` gives lines: none at the end.
   * @throws InputError, one line that names file, row (from 1) and field, or the line where the text is not JSON
   */
  async next(most: number): Promise<Row[]> {
    await this.#begin();
    if (this.#whole) return this.#whole.slice(this.#read, (this.#read += most));
    const lines = await this.lines.next(most);
    const rows = lines.map((line, i) => this.#row(line, this.#read + i));
    this.#read += rows.length;
    return rows;
  }

  /** Passes over rows, whatever they hold. Returns how many there were, `count` at most. */
  async skip(count: number): Promise<number> {
    await this.#begin();
    const there = this.#whole ? Math.min(this.#whole.length, count) : await this.lines.skip(count);
    this.#read += there;
    return there;
  }

  /** Sees from the first line that is not empty what the text is. */
  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    const first: string[] = [];
    let [line] = await this.lines.next(1);
    for (; line?.trim() === ''; [line] = await this.lines.next(1)) first.push(line);
    if (line !== undefined) first.push(line);
    this.lines.putBack(first);
    if (line === undefined || isRow(line)) return;
    const text = (await this.lines.rest()).join('\n');
    const records = parseRecords(text, this.file, 'objects with tokens');
    this.#whole = records.map((record, i) => this.#words(() => record, i));
  }

  #row(line: string, i: number): Row {
    return line.trim() === ''
      ? { asked: { tokens: [] } }
      : this.#words(() => parseJson(line, this.file, i + 1), i);
  }

  #words(record: () => unknown, i: number): Row {
    try {
      return { asked: wordsOf(record(), this.file, i) };
    } catch (error) {
      if (this.onBad === 'stop' || !(error instanceof InputError)) throw error;
      return { asked: { tokens: [] }, error: error.message };
    }
  }
}
