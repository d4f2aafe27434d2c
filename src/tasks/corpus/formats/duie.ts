/** Rows of triples without positions: subject, predicate and object as strings (DuIE, Li et al. 2019). */
import { isObject, type Json } from '../../../io/json.ts';
import type { Entity, RowReader } from '../../dataset.ts';
import { UTF16 } from '../offsets.ts';
import type { Counts, FoundRow, Row } from '../row.ts';
import { idOf, jsonLines, type JsonFormat } from './format.ts';

/** What had to be guessed or left out. */
interface TripleCounts {
  triples: number;
  /** Triples of which a string occurs more than once. */
  ambiguous: number;
  /** Triples of which a string does not occur, or that no two different entities can hold: left out. */
  missing: number;
}

type Span = Omit<Entity, 'type'>;

/** Every occurrence of `part`, overlapping ones too. */
function occurrences(text: string, part: string): Span[] {
  const found: Span[] = [];
  for (let start = text.indexOf(part); start >= 0; start = text.indexOf(part, start + 1))
    found.push({ start, end: start + part.length });
  return found;
}

/**
 * The nearest pair of spans that do not overlap; of equal ones the first, and the first spans where all overlap. Each list
 * holds one string's occurrences in their order, so that only the neighbours of a subject come into question.
 */
function nearestPair(subjects: readonly Span[], objects: readonly Span[]): [Span, Span] {
  let nearest: [Span, Span] = [subjects[0], objects[0]];
  let least = Infinity;
  let [before, after] = [-1, 0];
  for (const subject of subjects) {
    while (before + 1 < objects.length && objects[before + 1].end <= subject.start) before++;
    while (after < objects.length && objects[after].start < subject.end) after++;
    if (before >= 0 && subject.start - objects[before].end < least) {
      least = subject.start - objects[before].end;
      nearest = [subject, objects[before]];
    }
    if (after < objects.length && objects[after].start - subject.end < least) {
      least = objects[after].start - subject.end;
      nearest = [subject, objects[after]];
    }
  }
  return nearest;
}

/** What `find` gives, found once for each string: one row may say the same of it very often. */
function onceEach<T>(find: (part: string) => T): (part: string) => T {
  const known = new Map<string, T>();
  return (part) => {
    const found = known.get(part) ?? find(part);
    known.set(part, found);
    return found;
  };
}

/** A relation between two strings, as one slot of a triple says it. */
interface Triple {
  type: string;
  subject: string;
  subjectType: string;
  object: string;
  objectType: string;
}

/** The triples of one entry of `spo_list`: one for each slot of its object, empty slots left out. */
function slots(entry: Json, where: string, row: RowReader): Triple[] {
  const named = (fields: Json, key: string, at: string): string => {
    const value = fields[key];
    if (typeof value === 'string' && value.trim() !== '') return value.trim();
    return row.fail(`${at}.${key}`, value === undefined ? 'is missing' : 'is not a name');
  };
  const [type, subject, subjectType] = ['predicate', 'subject', 'subject_type'].map((key) =>
    named(entry, key, where),
  );
  const compound = (key: string): Json =>
    typeof entry[key] === 'string' ? { '@value': entry[key] } : row.fields(entry[key], `${where}.${key}`);
  const objectTypes = compound('object_type');
  const objects = compound('object');
  return Object.keys(objects)
    .filter((slot) => objects[slot] !== '')
    .map((slot) => ({
      type: slot === '@value' ? type : `${type}/${slot}`,
      subject,
      subjectType,
      object: named(objects, slot, `${where}.object`),
      objectType: named(objectTypes, slot, `${where}.object_type`),
    }));
}

/**
 * A row {`text`, `spo_list`: {`predicate`, `subject`, `subject_type`, `object`, `object_type`}[]}; a compound object is
 * an object of slots, of which `@value` has the predicate as relation type and any other `predicate/slot`. Strings are
 * trimmed. Each triple is put where its two strings stand nearest to each other without overlapping.
 * @param counts is added to
 * @returns entities sorted by position, each once, and each relation once
 */
function fromTriples(fields: Json, row: RowReader, counts: TripleCounts): FoundRow {
  const text = row.string(fields, 'text');
  const triples = row.list(fields, 'spo_list').flatMap((entry, i) => {
    const where = `spo_list[${i}]`;
    return slots(row.fields(entry, where), where, row);
  });

  const entities = new Map<string, Entity>();
  const entity = (type: string, { start, end }: Span): Entity => {
    const key = `${start} ${end} ${type}`;
    const known = entities.get(key) ?? { type, start, end };
    entities.set(key, known);
    return known;
  };
  const relations = new Map<string, { type: string; subject: Entity; object: Entity }>();
  const placesOf = onceEach((part: string) => occurrences(text, part));
  const pairsOf = onceEach((subject: string) =>
    onceEach((object: string) => nearestPair(placesOf(subject), placesOf(object))),
  );
  for (const { type, subject, subjectType, object, objectType } of triples) {
    const [subjects, objects] = [placesOf(subject), placesOf(object)];
    counts.triples++;
    if (subjects.length > 1 || objects.length > 1) counts.ambiguous++;
    if (subjects.length === 0 || objects.length === 0) {
      counts.missing++;
      continue;
    }
    const [head, tail] = pairsOf(subject)(object);
    if (head.start === tail.start && subject === object && subjectType === objectType) {
      counts.missing++;
      continue;
    }
    const found = { type, subject: entity(subjectType, head), object: entity(objectType, tail) };
    relations.set(JSON.stringify(found), found);
  }

  const sorted = [...entities.values()].sort((a, b) => a.start - b.start || a.end - b.end);
  const index = new Map(sorted.map((one, i) => [one, i]));
  return {
    place: row.place,
    text,
    entities: sorted,
    relations: [...relations.values()].map(({ type, subject, object }) => ({
      type,
      head: index.get(subject)!,
      tail: index.get(object)!,
    })),
    ...row.id(fields),
  };
}

/** The triples of a row. */
function spoList({ text = '', entities, relations }: Row): Json[] {
  const said = ({ start, end }: Entity): string => text.slice(start, end);
  return relations.map(({ type, head, tail }) => ({
    predicate: type,
    subject: said(entities[head]),
    subject_type: entities[head].type,
    object: { '@value': said(entities[tail]) },
    object_type: { '@value': entities[tail].type },
  }));
}

/** Counts what the triples do not say. */
function countLost({ entities, relations }: Row, losses: Counts): void {
  const related = new Set(relations.flatMap(({ head, tail }) => [head, tail]));
  losses.add('entities without a relation', entities.length - related.size);
  losses.add('places of entities, which are guessed again from what they cover', related.size);
}

type Guessed = FoundRow & { counts: TripleCounts };

export const duie: JsonFormat = {
  kind: 'json',
  name: 'duie',
  title: 'DuIE triples',
  holds: { unit: 'character', ids: true, overlaps: true, relations: true },
  counting: UTF16,
  is: (record) => isObject(record) && record.spo_list !== undefined,
  read(record, row) {
    const counts: TripleCounts = { triples: 0, ambiguous: 0, missing: 0 };
    const found: Guessed = { ...fromTriples(row.fields(record, ''), row, counts), counts };
    return found;
  },
  join(rows, reading) {
    const sum = (of: keyof TripleCounts): number =>
      (rows as Guessed[]).reduce((n, { counts }) => n + counts[of], 0);
    const line = (count: number, which: string, done: string) =>
      count > 0 ? [`triples ${which}: ${count} of ${sum('triples')}; ${done}`] : [];
    reading.notes.push(
      ...line(
        sum('ambiguous'),
        'of which a string occurs more than once',
        'marked where the two stand nearest',
      ),
      ...line(sum('missing'), 'of which a string does not occur, or is both ends', 'left out'),
    );
    return (rows as Guessed[]).map(({ counts: _, ...row }) => row);
  },
  write: (rows, losses) =>
    jsonLines(
      rows.map((row) => {
        countLost(row, losses);
        return { text: row.text, spo_list: spoList(row), ...idOf(row) };
      }),
    ),
};
