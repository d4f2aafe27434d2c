/**
 * Token classification as Hugging Face's datasets and example scripts have it (transformers,
 * examples/pytorch/token-classification): tokens beside a list of tags, by name or by number.
 */
import { isObject, type Json } from '../../../io/json.ts';
import { quote, type RowReader } from '../../dataset.ts';
import type { Reading } from '../reading.ts';
import type { FoundRow } from '../row.ts';
import { isTag, TagReader, tagsOf } from '../tags.ts';
import { idOf, jsonLines, type JsonFormat } from './format.ts';

const TOKENS = ['tokens', 'words'];
const TAGS = ['ner_tags', 'tags', 'labels', 'ner'];

const keyIn = (record: Json, keys: readonly string[]): string | undefined =>
  keys.find((key) => Array.isArray(record[key]));

/** A tag by its name, or by its number among the names that the user gave. */
function tagName(value: unknown, where: string, row: RowReader, { options }: Reading): string {
  if (typeof value === 'number' && !options.labels)
    return row.fail(
      where,
      `is a number: say with --labels what the numbers stand for, such as O,B-PER,I-PER`,
    );
  const tag = typeof value === 'number' ? options.labels![value] : value;
  if (typeof tag === 'string' && isTag(tag)) return tag;
  return row.fail(
    where,
    typeof value === 'number' ? `is ${value}, which has no label` : `is ${quote(value)}, not a tag`,
  );
}

type Tagged = FoundRow & { tags: string[] };

/** {`tokens`, `ner_tags`, `id`}. */
export const hf: JsonFormat = {
  kind: 'json',
  name: 'hf',
  title: 'Hugging Face token classification JSON',
  holds: { unit: 'token', ids: true, overlaps: false, relations: false },
  is(record) {
    if (!isObject(record) || record.entities !== undefined) return false;
    const [tokens, tags] = [keyIn(record, TOKENS), keyIn(record, TAGS)];
    return tokens !== undefined && tags !== undefined && !(record[tags] as unknown[]).some(isObject);
  },
  read(record, row, reading) {
    const fields = row.fields(record, '');
    const [tokenKey, tagKey] = [keyIn(fields, TOKENS) ?? 'tokens', keyIn(fields, TAGS) ?? 'ner_tags'];
    const tokens = row.strings(row.list(fields, tokenKey), tokenKey);
    const tags = row.list(fields, tagKey).map((tag, i) => tagName(tag, `${tagKey}[${i}]`, row, reading));
    if (tags.length !== tokens.length)
      row.fail(tagKey, `has ${tags.length} tags for ${tokens.length} tokens`);
    const entities = new TagReader().entities(tags);
    const found: Tagged = { place: row.place, tokens, entities, relations: [], ...row.id(fields), tags };
    return found;
  },
  join(rows, reading) {
    // One sentence does not tell IOB1, whose entities all begin with I.
    const reader = new TagReader();
    for (const { tags } of rows as Tagged[]) reader.entities(tags);
    reading.notes.push(...reader.notes());
    return (rows as Tagged[]).map(({ tags: _, ...row }) => row);
  },
  write: (rows, _losses, { tags }) =>
    jsonLines(
      rows.map((row) => ({
        ...idOf(row),
        tokens: row.tokens,
        ner_tags: tagsOf(row.entities, row.tokens!.length, tags),
      })),
    ),
};
