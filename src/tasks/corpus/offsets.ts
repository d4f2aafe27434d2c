/**
 * The one gate for character offsets. Files count UTF-16 code units (JavaScript, Java) or code points (Python), end
 * exclusive or not, and rarely say so: what an entity says that it covers decides, for all rows of a file alike.
 */
import { quote, RowReader } from '../dataset.ts';
import type { BadRows } from '../bad-rows.ts';
import type { Counts, FoundEntity, FoundRow, Row } from './row.ts';

/** How a file counts. */
export interface Counting {
  unit: 'utf16' | 'codepoints';
  /** `end` is the last character, not the one after it. */
  inclusive: boolean;
}

/** What a user may say of rows whose entities do not say what they cover; `inclusive`: the format's unit, end inclusive. */
export const offsetChoices = ['utf16', 'codepoints', 'inclusive'] as const;
export type OffsetChoice = (typeof offsetChoices)[number];

export const UTF16: Counting = { unit: 'utf16', inclusive: false };
export const CODE_POINTS: Counting = { unit: 'codepoints', inclusive: false };

const NAMES = { utf16: 'UTF-16 code units', codepoints: 'code points' };
const nameOf = ({ unit, inclusive }: Counting): string =>
  `${NAMES[unit]}${inclusive ? ', the end inclusive' : ''}`;

const chosen = (choice: OffsetChoice, native: Counting): Counting =>
  choice === 'inclusive' ? { ...native, inclusive: true } : { unit: choice, inclusive: false };

const SURROGATE = /[\ud800-\udfff]/;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;
const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;

/** True where offset `at` lies between the two halves of a surrogate pair. */
export const splitsPair = (text: string, at: number): boolean =>
  at > 0 && at < text.length && isHigh(text.charCodeAt(at - 1)) && isLow(text.charCodeAt(at));

/** By offset in UTF-16 code units, that in code points. */
export function codePointsOf(text: string): (at: number) => number {
  if (!SURROGATE.test(text)) return (at) => at;
  const points = new Uint32Array(text.length + 1);
  for (let i = 0; i < text.length; i++) {
    const ends = isLow(text.charCodeAt(i)) && i > 0 && isHigh(text.charCodeAt(i - 1));
    points[i + 1] = points[i] + (ends ? 0 : 1);
  }
  return (at) => points[at];
}

/** The offsets of a text by either counting, in UTF-16 code units. */
class Positions {
  /** Where each code point begins, and the end; undefined where every one is a code unit. */
  readonly #starts: number[] | undefined;

  constructor(readonly text: string) {
    if (!SURROGATE.test(text)) return;
    this.#starts = [0];
    let at = 0;
    for (const point of text) this.#starts.push((at += point.length));
  }

  /** Of code points that many, else of code units. */
  length({ unit }: Counting): number {
    return unit === 'utf16' || !this.#starts ? this.text.length : this.#starts.length - 1;
  }

  /** [start, end) in UTF-16 code units; NaN for an offset outside the text. */
  span({ start, end }: FoundEntity, { unit, inclusive }: Counting): [number, number] {
    const past = inclusive ? end + 1 : end;
    if (unit === 'codepoints' && this.#starts) return [this.#starts[start] ?? NaN, this.#starts[past] ?? NaN];
    const within = (at: number): number => (at >= 0 && at <= this.text.length ? at : NaN);
    return [within(start), within(past)];
  }
}

/** As two readings of one passage are compared: brat, for one, writes a line break as a blank. */
const plain = (text: string): string => text.trim().replace(/\s+/g, ' ');

const saysSo = ({ said }: FoundEntity): boolean => said !== undefined && said.trim() !== '';

function fits(entity: FoundEntity, positions: Positions, counting: Counting): boolean {
  const [from, to] = positions.span(entity, counting);
  const { text } = positions;
  return (
    !splitsPair(text, from) && !splitsPair(text, to) && plain(text.slice(from, to)) === plain(entity.said!)
  );
}

type Placed = { row: FoundRow; positions: Positions };

/** The counting under which most of what the entities say is true; `native` where it is as good as any. */
function decide(rows: readonly Placed[], native: Counting): Counting {
  const other: Counting = { ...native, unit: native.unit === 'utf16' ? 'codepoints' : 'utf16' };
  const candidates = [
    native,
    other,
    ...[native, other].map((one) => ({ ...one, inclusive: !one.inclusive })),
  ];
  const told = rows.flatMap(({ row, positions }) =>
    row.entities.filter(saysSo).map((entity) => ({ entity, positions })),
  );
  let best = { counting: native, right: -1 };
  for (const counting of candidates) {
    const right = told.filter(({ entity, positions }) => fits(entity, positions, counting)).length;
    if (right > best.right) best = { counting, right };
    if (right === told.length) break;
  }
  return best.counting;
}

/** The entities of a row in UTF-16 code units, without white space at their ends. Errors: InputError naming the entity. */
function placed({ row, positions }: Placed, counting: Counting, reader: RowReader, counts: Counts): Row {
  const { text } = positions;
  const what = counting.unit === 'codepoints' ? 'code points' : 'characters';
  const entities = row.entities.map((entity, i) => {
    const { type, said, where = `entities[${i}]` } = entity;
    const last = counting.inclusive ? entity.end + 1 : entity.end;
    if (entity.start < 0) reader.fail(`${where}.start`, `is ${entity.start}, before the first character`);
    if (last > positions.length(counting))
      reader.fail(`${where}.end`, `is ${entity.end}, but the text has ${positions.length(counting)} ${what}`);
    if (last <= entity.start)
      reader.fail(where, `covers no character: start ${entity.start}, end ${entity.end}`);
    const [from, to] = positions.span(entity, counting);
    for (const [side, at] of [['start', from] as const, ['end', to] as const])
      if (splitsPair(text, at))
        reader.fail(
          `${where}.${side}`,
          `is ${at}, inside the surrogate pair of ${text.slice(at - 1, at + 1)}`,
        );
    const slice = text.slice(from, to);
    if (saysSo(entity) && plain(slice) !== plain(said!))
      reader.fail(where, `says that it covers ${quote(said)}, but its offsets hold ${quote(slice)}`);
    const [start, end] = [to - slice.trimStart().length, from + slice.trimEnd().length];
    if (start >= end) reader.fail(where, 'covers white space alone');
    if (start > from || end < to) counts.add('entities with white space at their ends, which is taken off');
    return { type, start, end };
  });
  const { place, relations, id } = row;
  return { place, text, entities, relations, ...(id === undefined ? {} : { id }) };
}

/**
 * Rows of texts with their entities in UTF-16 code units, in order; a bad one is undefined.
 * @param native how their format counts where nothing else is known
 * @param choice what the user says of rows whose entities do not say what they cover
 */
export function settleOffsets(
  rows: readonly FoundRow[],
  native: Counting,
  choice: OffsetChoice | undefined,
  bad: BadRows,
  counts: Counts,
): (Row | undefined)[] {
  const all = rows.map((row): Placed => ({ row, positions: new Positions(row.text ?? '') }));
  const decided = decide(all, native);
  let moved = 0;
  const settled = all.map((one) => {
    const { row, positions } = one;
    const told = row.entities.some(saysSo);
    const counting = choice && !told ? chosen(choice, native) : decided;
    if (told)
      moved += row.entities.filter(
        (entity) => positions.span(entity, counting).join() !== positions.span(entity, native).join(),
      ).length;
    return bad.attempt(() => placed(one, counting, new RowReader(bad.file, row.place), counts));
  });
  if (moved > 0)
    counts.add(
      `entities whose offsets count ${nameOf(decided)}, not ${nameOf(native)}, as what they cover shows`,
      moved,
    );
  return settled;
}
