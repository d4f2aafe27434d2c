/** GLiNER's training data (urchade.github.io/GLiNER, "Dataset Format" and "Data Format for Relation Extraction"). */
import { isObject } from '../../../io/json.ts';
import { idOf, jsonArray, type JsonFormat } from './format.ts';

/** {`tokenized_text`, `ner` [first, last, type], `relations` [head, tail, type]}: tokens, end inclusive. */
export const gliner: JsonFormat = {
  kind: 'json',
  name: 'gliner',
  title: 'GLiNER JSON',
  holds: { unit: 'token', ids: true, overlaps: true, relations: true },
  is: (record) => isObject(record) && Array.isArray(record.tokenized_text),
  read(record, row) {
    const fields = row.fields(record, '');
    const tokens = row.strings(row.list(fields, 'tokenized_text'), 'tokenized_text');
    const entities = (row.optionalList(fields, 'ner') ?? []).map((value, i) => {
      const where = `ner[${i}]`;
      const list = row.asList(value, where);
      const [first, last] = [0, 1].map((at) => row.asInteger(list[at], `${where}[${at}]`));
      return row.inclusiveEntity(row.asName(list[2], `${where}[2]`), [first, last], where, tokens.length);
    });
    const relations = (row.optionalList(fields, 'relations') ?? []).map((value, i) => {
      const where = `relations[${i}]`;
      const list = row.asList(value, where);
      const [head, tail] = [0, 1].map((at) => row.asInteger(list[at], `${where}[${at}]`));
      return row.pair(row.asName(list[2], `${where}[2]`), [head, tail], where, entities.length);
    });
    return { place: row.place, tokens, entities, relations, ...row.id(fields) };
  },
  write: (rows) =>
    jsonArray(
      rows.map((row) => ({
        tokenized_text: row.tokens,
        ner: row.entities.map(({ type, start, end }) => [start, end - 1, type]),
        relations: row.relations.map(({ type, head, tail }) => [head, tail, type]),
        ...idOf(row),
      })),
    ),
};
