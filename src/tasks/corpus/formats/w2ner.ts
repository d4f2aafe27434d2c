/** W2NER's data (Li et al. 2022; github.com/ljynlp/W2NER): the tokens of every entity by number, gaps allowed. */
import { isObject } from '../../../io/json.ts';
import { range } from '../indices.ts';
import { idOf, jsonArray, type JsonFormat } from './format.ts';

/** {`sentence` tokens, `ner` {`index` numbers of tokens, `type`}}. */
export const w2ner: JsonFormat = {
  kind: 'json',
  name: 'w2ner',
  title: 'W2NER JSON',
  holds: { unit: 'token', ids: true, overlaps: true, relations: false },
  is: (record) => isObject(record) && Array.isArray(record.sentence) && record.tokens === undefined,
  read(record, row, reading) {
    const fields = row.fields(record, '');
    const tokens = row.strings(row.list(fields, 'sentence'), 'sentence');
    const entities = (row.optionalList(fields, 'ner') ?? []).flatMap((value, i) => {
      const where = `ner[${i}]`;
      const entity = row.fields(value, where);
      const span = range(row.list(entity, 'index', where), `${where}.index`, row);
      const type = row.type(entity, where);
      if (span) return [row.inclusiveEntity(type, span, where, tokens.length)];
      reading.counts.add('entities with a gap, left out');
      return [];
    });
    return { place: row.place, tokens, entities, relations: [], ...row.id(fields) };
  },
  write: (rows) =>
    jsonArray(
      rows.map((row) => ({
        sentence: row.tokens,
        ner: row.entities.map(({ type, start, end }) => ({
          index: Array.from({ length: end - start }, (_, i) => start + i),
          type,
        })),
        ...idOf(row),
      })),
    ),
};
