/**
 * spaCy's offsets: [text, {"entities": [[start, end, type]]}] (spacy.io/usage/v2, "Training data"), as annotation tools
 * write them too, alone or under "annotations"; and Prodigy's {"text", "spans", "answer"} (prodi.gy/docs/api-interfaces).
 */
import { isObject, type Json } from '../../../io/json.ts';
import type { RowReader } from '../../dataset.ts';
import { CODE_POINTS, codePointsOf } from '../offsets.ts';
import type { FoundEntity } from '../row.ts';
import { jsonArray, PASSED_OVER, type JsonFormat } from './format.ts';
import { listEntity } from './list-entity.ts';

const isPair = (record: unknown): record is [string, Json] =>
  Array.isArray(record) && record.length === 2 && typeof record[0] === 'string' && isObject(record[1]);

/** What Prodigy's annotators say of a text as a whole, and those of it that leave no gold. */
const ANSWERS: readonly unknown[] = ['accept', 'reject', 'ignore'];
const NO_GOLD = ANSWERS.slice(1);

/** `spans` of Prodigy. */
function spans(fields: Json, row: RowReader): FoundEntity[] {
  return (row.optionalList(fields, 'spans') ?? []).map((value, i) => {
    const where = `spans[${i}]`;
    const span = row.fields(value, where);
    const [start, end] = ['start', 'end'].map((key) => row.integer(span, where, key));
    const said = typeof span.text === 'string' ? { said: span.text } : {};
    return { type: row.type(span, where, 'label'), start, end, where, ...said };
  });
}

export const spacy: JsonFormat = {
  kind: 'json',
  name: 'spacy',
  title: 'spaCy offsets',
  holds: { unit: 'character', ids: false, overlaps: true, relations: false },
  counting: CODE_POINTS,
  is(record) {
    if (isPair(record)) return true;
    if (!isObject(record) || typeof record.text !== 'string') return false;
    const { entities, spans: own, answer } = record;
    return (
      Array.isArray(own) ||
      ANSWERS.includes(answer) ||
      (Array.isArray(entities) && entities.length > 0 && entities.every(Array.isArray))
    );
  },
  read(record, row, { counts }) {
    if (isObject(record) && NO_GOLD.includes(record.answer)) {
      counts.add(PASSED_OVER);
      return [];
    }
    const [text, fields] = isPair(record)
      ? record
      : [row.string(row.fields(record, ''), 'text'), row.fields(record, '')];
    const listed = (row.optionalList(fields, 'entities') ?? []).map((value, i) =>
      listEntity(value, `entities[${i}]`, row),
    );
    return { place: row.place, text, entities: [...listed, ...spans(fields, row)], relations: [] };
  },
  write: (rows) =>
    jsonArray(
      rows.map(({ text, entities }) => {
        const codePoints = codePointsOf(text!);
        return [
          text,
          { entities: entities.map(({ type, start, end }) => [codePoints(start), codePoints(end), type]) },
        ];
      }),
    ),
};
