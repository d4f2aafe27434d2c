/** Entities that are written as lists: [start, end, type]. */
import { quote, type RowReader } from '../../dataset.ts';
import type { FoundEntity } from '../row.ts';

export function listEntity(value: unknown, where: string, row: RowReader): FoundEntity {
  if (typeof value === 'string') row.fail(where, `is ${quote(value)}, a class of the whole text, not a span`);
  const list = row.asList(value, where);
  const [start, end] = [0, 1].map((at) => row.asInteger(list[at], `${where}[${at}]`));
  return { type: row.asName(list[2], `${where}[2]`), start, end, where };
}
