/**
 * PaddleNLP's training data for its UIE models (model_zoo/uie of github.com/PaddlePaddle/PaddleNLP): a row a prompt, with
 * its answers. The rows of one text, one after another, make a document: a prompt `subject的relation` about an entity of
 * the text asks for a relation, any other for the entities of a type.
 */
import { isObject, type Json } from '../../../io/json.ts';
import { RowReader, type Entity, type Relation } from '../../dataset.ts';
import { CODE_POINTS, codePointsOf } from '../offsets.ts';
import { Reading } from '../reading.ts';
import type { Counts, FoundEntity, FoundRow, Row } from '../row.ts';
import { jsonLines, type JsonFormat } from './format.ts';

const OF = '的';
/** The type of what a relation points to where no prompt of an entity type has found it. */
const OBJECT = 'object';

/** A row before the rows of its text are put together. */
type Asked = FoundRow & { prompt: string };

const gap = (a: Entity, b: Entity): number => Math.max(0, a.start - b.end, b.start - a.end);

const spanOf = ({ start, end }: Entity): string => `${start} ${end}`;

/** The prompts of one text as a row. */
class TextPrompts {
  readonly entities: FoundEntity[] = [];
  readonly relations: Relation[] = [];
  /** By span the first entity there: of a type that was asked for, if any is. */
  readonly #at = new Map<string, number>();
  /** By what they say, the entities. */
  readonly #saying = new Map<string, number[]>();

  /** Adds an entity; returns its index. */
  #add(entity: FoundEntity): number {
    const index = this.entities.push(entity) - 1;
    const span = spanOf(entity);
    if (!this.#at.has(span)) this.#at.set(span, index);
    const same = this.#saying.get(entity.said!);
    if (same) same.push(index);
    else this.#saying.set(entity.said!, [index]);
    return index;
  }

  addEntities({ prompt, entities }: Asked): void {
    for (const answer of entities) this.#add({ ...answer, type: prompt });
  }

  /** The subject and the relation of a prompt: an entity's text before one of the 的 in it, the longest first. */
  subject(prompt: string): { name: string; relation: string } | undefined {
    for (let at = prompt.lastIndexOf(OF); at > 0; at = prompt.lastIndexOf(OF, at - 1)) {
      const [name, relation] = [prompt.slice(0, at), prompt.slice(at + OF.length)];
      if (relation !== '' && this.#saying.has(name)) return { name, relation };
    }
    return undefined;
  }

  addRelations(subject: { name: string; relation: string }, { entities }: Asked, { counts }: Reading): void {
    const heads = [...this.#saying.get(subject.name)!];
    for (const answer of entities) {
      const found = this.#at.get(spanOf(answer));
      if (found === undefined)
        counts.add(`objects of relations that no prompt finds, now of type "${OBJECT}"`);
      const tail = found ?? this.#add({ ...answer, type: OBJECT });
      const [first, ...others] = heads.filter((head) => head !== tail);
      if (first === undefined) {
        counts.add('relations of an entity to itself, left out');
        continue;
      }
      const away = (i: number): number => gap(this.entities[i], this.entities[tail]);
      const head = others.reduce((near, i) => (away(i) < away(near) ? i : near), first);
      if (others.length > 0)
        counts.add('relations of a subject that stands in several places, put at the nearest');
      this.relations.push({ type: subject.relation, head, tail });
    }
  }
}

/** The documents of some rows. */
function joined(rows: readonly Asked[], reading: Reading): FoundRow[] {
  const texts: Asked[][] = [];
  for (const row of rows) {
    const last = texts.at(-1);
    if (last?.[0].text === row.text) last!.push(row);
    else texts.push([row]);
  }
  return texts.map((asked) => {
    const text = new TextPrompts();
    // Types first: a prompt is known for a relation's by its subject. Prompts about what relations find come after them.
    const isLater = (row: Asked): boolean => row.prompt.includes(OF);
    for (const row of asked) if (!isLater(row)) text.addEntities(row);
    for (const row of asked.filter(isLater)) {
      const subject = text.subject(row.prompt);
      if (subject) text.addRelations(subject, row, reading);
      else text.addEntities(row);
    }
    const { entities, relations } = text;
    return { place: asked[0].place, text: asked[0].text, entities, relations };
  });
}

function read(record: unknown, row: RowReader): Asked {
  const fields = row.fields(record, '');
  const text = row.string(fields, 'content');
  const entities = (row.optionalList(fields, 'result_list') ?? []).map((value, i): FoundEntity => {
    const where = `result_list[${i}]`;
    const answer = row.fields(value, where);
    const [start, end] = ['start', 'end'].map((key) => row.integer(answer, where, key));
    // What it says names the subjects of other prompts, so it has to be there.
    return { type: OBJECT, start, end, said: row.string(answer, 'text'), where };
  });
  return { place: row.place, text, entities, relations: [], prompt: row.type(fields, '', 'prompt') };
}

/** A row's prompts, types first. */
function promptsOf({ text = '', entities, relations }: Row): Json[] {
  const points = codePointsOf(text);
  const said = ({ start, end }: Entity): string => text.slice(start, end);
  const answers = (list: readonly Entity[]) =>
    [...list]
      .sort((a, b) => a.start - b.start || a.end - b.end)
      .map((entity) => ({ text: said(entity), start: points(entity.start), end: points(entity.end) }));
  const prompts = new Map<string, Entity[]>();
  const ask = (prompt: string, answer: Entity): void => {
    const known = prompts.get(prompt);
    if (known) known.push(answer);
    else prompts.set(prompt, [answer]);
  };
  for (const entity of entities) ask(entity.type, entity);
  for (const { type, head, tail } of relations) ask(`${said(entities[head])}${OF}${type}`, entities[tail]);
  return [...prompts].map(([prompt, list]) => ({ content: text, result_list: answers(list), prompt }));
}

const facts = ({ entities, relations }: FoundRow): string[] => {
  const spoken = ({ type, start, end }: Entity): string => `${type} ${start} ${end}`;
  return [
    ...entities.map(spoken),
    ...relations.map(({ type, head, tail }) => `${spoken(entities[head])} ${type} ${spoken(entities[tail])}`),
  ];
};

/** Counts what of a row does not come back from its prompts. */
function countLost(row: Row, records: readonly Json[], losses: Counts): void {
  const reading = new Reading('', {});
  const asked = records.map((record) => read(record, new RowReader('', row.place)));
  const points = codePointsOf(row.text!);
  const own = {
    ...row,
    entities: row.entities.map((e) => ({ ...e, start: points(e.start), end: points(e.end) })),
  };
  const back = new Set(joined(asked, reading).flatMap(facts));
  const lost = facts(own).filter((fact) => !back.has(fact)).length;
  losses.add('entities and relations whose prompts mean something else too', lost);
}

/** {`content`, `result_list` {`text`, `start`, `end`}, `prompt`}. */
export const uiePrompts: JsonFormat = {
  kind: 'json',
  name: 'uie-prompts',
  title: 'UIE prompts (PaddleNLP)',
  holds: { unit: 'character', ids: false, overlaps: true, relations: true },
  counting: CODE_POINTS,
  is: (record) => isObject(record) && typeof record.content === 'string' && typeof record.prompt === 'string',
  read,
  join: (rows, reading) => joined(rows as Asked[], reading),
  write(rows, losses) {
    let before: string | undefined;
    return jsonLines(
      rows.flatMap((row) => {
        const records = promptsOf(row);
        if (records.length === 0) losses.add('texts without entities');
        else if (row.text === before) losses.add('texts like the one before, which become one with it');
        countLost(row, records, losses);
        if (records.length > 0) before = row.text;
        return records;
      }),
    );
  },
};
