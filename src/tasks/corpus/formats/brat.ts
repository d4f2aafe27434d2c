/**
 * brat's standoff (brat.nlplab.org/standoff.html): a `.txt` with a `.ann` of the same name beside it. Entities are T
 * lines, relations R lines; events (E lines) become relations from their triggers. Offsets are code points.
 */
import { RowReader, type Relation } from '../../dataset.ts';
import { CODE_POINTS, codePointsOf } from '../offsets.ts';
import type { Reading } from '../reading.ts';
import type { Files, FoundEntity, FoundRow, Row } from '../row.ts';
import { countNumbers, keyOf, type FolderFormat } from './format.ts';

const TEXT_BOUND = /^(T[^\t]*)\t(\S+) (-?\d+) (-?\d+(?:;-?\d+ -?\d+)*)(?:\t(.*))?$/s;
const RELATION = /^R[^\t]*\t(\S+) [^:\s]+:(\S+) [^:\s]+:(\S+)\s*$/;
const EVENT = /^(E[^\t]*)\t[^:\s]+:(\S+)((?: [^:\s]+:\S+)*)\s*$/;
const KINDS: Readonly<Record<string, string>> = {
  '*': 'equivalences',
  A: 'attributes',
  M: 'attributes',
  N: 'normalisations',
  '#': 'comments',
};

/** One document's annotations. */
class Standoff {
  readonly entities: FoundEntity[] = [];
  readonly relations: Relation[] = [];
  /** Indices of entities by id, T or E; −1 for one that is left out. */
  readonly #index = new Map<string, number>();

  constructor(
    readonly name: string,
    readonly reading: Reading,
  ) {}

  reader(line: number): RowReader {
    return new RowReader(this.reading.file, `${this.name}: line ${line}`);
  }

  entity(text: string, line: number): void {
    const [, id, type, start, ends, said] =
      TEXT_BOUND.exec(text) ?? this.reader(line).fail('', 'is no entity');
    if (ends.includes(';')) {
      this.reading.counts.add('entities with a gap, left out');
      this.#index.set(id, -1);
      return;
    }
    this.#index.set(id, this.entities.length);
    this.entities.push({ type, start: Number(start), end: Number(ends), said, where: id });
  }

  /** An event stands for its trigger. */
  event(text: string, line: number): { trigger: number; args: [role: string, of: string][]; line: number } {
    const [, id, trigger, rest] = EVENT.exec(text) ?? this.reader(line).fail('', 'is no event');
    const index = this.#at(trigger, line);
    this.#index.set(id, index);
    const args = rest.trim() === '' ? [] : rest.trim().split(' ');
    return { trigger: index, args: args.map((arg) => arg.split(':', 2) as [string, string]), line };
  }

  relation(text: string, line: number): void {
    const [, type, head, tail] = RELATION.exec(text) ?? this.reader(line).fail('', 'is no relation');
    this.relate(type, this.#at(head, line), tail, line);
  }

  relate(type: string, head: number, of: string, line: number): void {
    const tail = this.#at(of, line);
    if (head < 0 || tail < 0) this.reading.counts.add('relations of an entity that is left out');
    else this.relations.push(this.reader(line).pair(type, [head, tail], 'it', this.entities.length));
  }

  #at(id: string, line: number): number {
    return this.#index.get(id) ?? this.reader(line).fail('', `names ${id}, which is not there`);
  }
}

function documentOf(name: string, text: string, ann: string, reading: Reading): FoundRow {
  const standoff = new Standoff(`${name}.ann`, reading);
  const lines = ann.split('\n').map((line, i): [string, number] => [line.replace(/\r$/, ''), i + 1]);
  const of = (letter: string) => lines.filter(([line]) => line.startsWith(letter));
  for (const [line, at] of of('T')) standoff.entity(line, at);
  const events = of('E').map(([line, at]) => standoff.event(line, at));
  for (const { trigger, args, line } of events)
    for (const [role, id] of args) standoff.relate(role, trigger, id, line);
  for (const [line, at] of of('R')) standoff.relation(line, at);
  for (const [letter, what] of Object.entries(KINDS))
    reading.counts.add(`${what}, left out`, of(letter).length);
  for (const [line, at] of lines)
    if (line.trim() !== '' && !'TER'.includes(line[0]) && !(line[0] in KINDS))
      standoff.reader(at).fail('', 'is no annotation');
  const { entities, relations } = standoff;
  return { place: `${name}.ann`, text, entities, relations, id: name };
}

/** Names with numbers in their order: doc2 before doc10, whatever the machine's language. */
function inOrder(a: string, b: string): number {
  const parts = (name: string) => name.split(/(\d+)/);
  const [one, other] = [parts(a), parts(b)];
  for (let i = 0; i < Math.min(one.length, other.length); i++) {
    if (one[i] === other[i]) continue;
    const difference = i % 2 === 1 ? Number(one[i]) - Number(other[i]) : 0;
    return difference !== 0 ? difference : one[i] < other[i] ? -1 : 1;
  }
  return one.length - other.length;
}

/** Names for the files of rows: their ids where these are names of files and differ, else numbers. */
function namesOf(rows: readonly Row[]): string[] {
  const ids = rows.map(keyOf);
  const plain = (id: string): boolean => /^[^/\\:*?"<>|.\p{Cc}][^/\\:*?"<>|\p{Cc}]{0,99}$/u.test(id);
  const distinct = new Set(ids.map((id) => id.toLowerCase())).size === ids.length;
  return distinct && ids.every(plain) ? ids : rows.map((_, i) => String(i + 1).padStart(6, '0'));
}

export const brat: FolderFormat = {
  kind: 'folder',
  name: 'brat',
  title: 'brat standoff',
  holds: { unit: 'character', ids: true, overlaps: true, relations: true },
  counting: CODE_POINTS,
  read(files: Files, reading) {
    const names = Object.keys(files)
      .filter((name) => name.endsWith('.ann'))
      .map((name) => name.slice(0, -'.ann'.length))
      .sort(inOrder);
    return names.flatMap((name) => {
      const text = files[`${name}.txt`];
      const read = (): FoundRow =>
        text === undefined
          ? new RowReader(reading.file, `${name}.ann`).fail('', `has no text: ${name}.txt is not there`)
          : documentOf(name, text, files[`${name}.ann`], reading);
      return reading.bad.attempt(read) ?? [];
    });
  },
  write(rows, losses) {
    const names = namesOf(rows);
    const kept = rows.filter(({ id }, i) => id !== undefined && names[i] === String(id));
    losses.add('ids that cannot name a file', rows.filter(({ id }) => id !== undefined).length - kept.length);
    countNumbers(kept, losses);
    const sorted = [...names].sort(inOrder);
    const moved = names.filter((name, i) => name !== sorted[i]).length;
    losses.add('places of texts, which a folder has in the order of their names', moved);
    const spaced = new Set<string>();
    const name = (type: string): string => {
      if (/\s/.test(type)) spaced.add(type);
      return type.replace(/\s/g, '_');
    };
    const files = rows.flatMap(({ text = '', entities, relations }, i): [string, string][] => {
      const points = codePointsOf(text);
      const said = (start: number, end: number): string => text.slice(start, end).replace(/[\n\r\t]/g, ' ');
      const lines = [
        ...entities.map(
          ({ type, start, end }, e) =>
            `T${e + 1}\t${name(type)} ${points(start)} ${points(end)}\t${said(start, end)}`,
        ),
        ...relations.map(
          ({ type, head, tail }, r) => `R${r + 1}\t${name(type)} Arg1:T${head + 1} Arg2:T${tail + 1}`,
        ),
      ];
      return [
        [`${names[i]}.txt`, text],
        [`${names[i]}.ann`, lines.map((line) => `${line}\n`).join('')],
      ];
    });
    losses.add('types with white space, which becomes _', spaced.size);
    return Object.fromEntries(files);
  },
};
