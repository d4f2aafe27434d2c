/**
 * Prompted texts as the model takes them: [CLS] prompt [SEP] text [SEP] (docs/spec.md#cerem), and their answers in
 * pieces.
 */
import { InputError } from '../../../kernels/errors.ts';
import type { PieceBatch } from '../../models/bert.ts';
import type { CeremConfig } from '../../models/cerem.ts';
import { parseRecords, RowReader } from '../dataset.ts';
import { padded } from '../padding.ts';
import type { Piece, Tokenizer } from '../text/tokenizer.ts';

/** A character span: UTF-16 code units of a text, `end` exclusive. */
export type CharSpan = readonly [start: number, end: number];

/** A text, what to look for in it, and where that is; no span where the text does not hold it. */
export interface PromptedText {
  prompt: string;
  text: string;
  spans: CharSpan[];
}

/**
 * Reads a JSON array (or JSON lines) of {`prompt`, `text`, `spans` [[start, end), …]}.
 * @param text the file's text; a leading byte order mark is skipped
 * @param file its name, for messages
 * @throws InputError, one line that names file, row (from 1) and field, or the line where the text is not JSON
 */
export function parsePromptedJson(text: string, file: string): PromptedText[] {
  const records = parseRecords(text.replace(/^\ufeff/, ''), file, 'prompted texts');
  if (records.length === 0) throw new InputError(`${file}: holds no prompted text`);
  return records.map((record, i) => {
    const row = new RowReader(file, i + 1);
    const fields = row.fields(record, '');
    const content = row.string(fields, 'text');
    const spans = row
      .list(fields, 'spans')
      .map((span, s) => checkSpan(row, span, `spans[${s}]`, content.length));
    return { prompt: row.string(fields, 'prompt'), text: content, spans };
  });
}

function checkSpan(row: RowReader, span: unknown, field: string, length: number): CharSpan {
  const [start, end] = Array.isArray(span) && span.length === 2 ? (span as unknown[]) : [];
  if (!Number.isInteger(start) || !Number.isInteger(end)) row.fail(field, 'is not a pair of integers');
  const [from, to] = [start as number, end as number];
  if (from < 0 || to > length || to <= from)
    row.fail(field, `is [${from}, ${to}), not a part of the text of ${length} characters`);
  return [from, to];
}

/** One input: its pieces, and which of them are the text's. */
export interface EncodedText {
  /** Piece ids, [CLS] first and [SEP] last. */
  ids: Int32Array;
  /** Where the text's first piece stands in `ids`. */
  textStart: number;
  /** The text's pieces, with character offsets. */
  pieces: Piece[];
}

/** What texts become inputs with. */
export type PieceSource = Pick<Tokenizer, 'encode' | 'clsId' | 'sepId' | 'padId'>;

/** The same pieces, made once for each distinct text and kept: many prompts are asked of one text. */
export function cachedPieces(tokenizer: Tokenizer): PieceSource {
  const { clsId, sepId, padId } = tokenizer;
  const known = new Map<string, Piece[]>();
  const encode = (text: string): Piece[] => {
    const pieces = known.get(text) ?? tokenizer.encode(text);
    known.set(text, pieces);
    return pieces;
  };
  return { clsId, sepId, padId, encode };
}

/**
 * @param what the input, for errors: file and row
 * @throws InputError for more pieces than the model takes, or a piece outside the encoder's vocabulary
 */
export const encodeText = (
  { prompt, text }: Pick<PromptedText, 'prompt' | 'text'>,
  tokenizer: PieceSource,
  config: CeremConfig,
  what: string,
): EncodedText => assemble(tokenizer.encode(prompt), tokenizer.encode(text), tokenizer, config, what);

/** The same of pieces: those of the prompt, and all or some of a text's. */
export function assemble(
  prompt: readonly Piece[],
  pieces: Piece[],
  { clsId, sepId }: PieceSource,
  config: CeremConfig,
  what: string,
): EncodedText {
  const idsOf = (list: readonly Piece[]): number[] => list.map(({ id }) => id);
  const ids = Int32Array.from([clsId, ...idsOf(prompt), sepId, ...idsOf(pieces), sepId]);
  if (ids.length > config.maxLength)
    throw new InputError(
      `${what}: prompt and text make ${ids.length} word pieces, more than the model's maxLength ${config.maxLength}`,
    );
  const { vocabSize } = config.encoder;
  const outside = ids.find((id) => id >= vocabSize);
  if (outside !== undefined)
    throw new InputError(
      `${what}: piece id ${outside} of the tokenizer is outside the encoder's vocabulary of ${vocabSize}`,
    );
  return { ids, textStart: prompt.length + 2, pieces };
}

/** A padded batch, token types 0 up to the prompt's [SEP] and 1 after it; padding pieces take id `padId`. */
export function makePromptBatch(encoded: readonly EncodedText[], padId: number): PieceBatch {
  const rows = encoded.length;
  const columns = Math.max(0, ...encoded.map(({ ids }) => ids.length));
  const ids = padded(
    encoded.map((row) => row.ids),
    columns,
    padId,
  );
  const tokenTypes = new Int32Array(rows * columns);
  encoded.forEach((row, b) => tokenTypes.fill(1, b * columns + row.textStart, b * columns + row.ids.length));
  return { ids, tokenTypes, lengths: Int32Array.from(encoded, (row) => row.ids.length), rows, columns };
}

/** What the pointers of a batch are to say, and where they are asked. */
export interface PointerTargets {
  /** i32[B · L]: 1 on the first and on the last piece of an answer. */
  start: Int32Array;
  end: Int32Array;
  /** i32[B · L]: 1 on the pieces of the texts: not on prompts, special pieces and padding. */
  mask: Int32Array;
}

/** The first and the last piece that overlap a character span; undefined where none does (white space). */
export function coveredPieces(
  [from, to]: CharSpan,
  pieces: readonly Piece[],
): { first: number; last: number } | undefined {
  const overlaps = ({ start, end }: Piece): boolean => start < to && end > from;
  const first = pieces.findIndex(overlaps);
  return first < 0 ? undefined : { first, last: pieces.findLastIndex(overlaps) };
}

/**
 * The targets of a batch of `columns` pieces a row: a character span takes the first piece that overlaps it to the
 * last that does. Errors: InputError naming the row and span that overlaps none (white space).
 */
export function pointerTargets(
  texts: readonly PromptedText[],
  encoded: readonly EncodedText[],
  columns: number,
  file: string,
): PointerTargets {
  const size = texts.length * columns;
  const targets = { start: new Int32Array(size), end: new Int32Array(size), mask: new Int32Array(size) };
  texts.forEach(({ spans }, b) => {
    const { textStart, pieces } = encoded[b];
    const first = b * columns + textStart;
    targets.mask.fill(1, first, first + pieces.length);
    spans.forEach((span, s) => {
      const covered = coveredPieces(span, pieces);
      if (!covered)
        throw new InputError(`${file}: row ${b + 1}: spans[${s}] [${span.join(', ')}) covers no word piece`);
      targets.start[first + covered.first] = 1;
      targets.end[first + covered.last] = 1;
    });
  });
  return targets;
}
