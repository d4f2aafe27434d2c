/**
 * Tags of tokens and the entities that they say. Schemes: BIO (IOB2); IOB1, where B- only parts neighbours of one type
 * (Ramshaw and Marcus 1995; CoNLL-2003's files); BIOES and BMES, which mark ends and single tokens; BILOU, the same
 * under the names of Ratinov and Roth (2009). One reader takes them all, since no prefix means two things.
 */
import type { Entity } from '../dataset.ts';

export const schemes = ['bio', 'iob1', 'bioes', 'bmes', 'bilou'] as const;
export type Scheme = (typeof schemes)[number];

/** O, or a prefix with a type. */
const TAG = /^(?:O|([BMIELSU])-(\S.*))$/s;

export const isTag = (tag: string): boolean => TAG.test(tag);

/** The entities of some sentences' tags, and what their tags are like. */
export class TagReader {
  readonly #prefixes = new Set<string>();
  /** Entities that begin with another tag than B, S or U. */
  unbegun = 0;
  /** B tags that part no neighbours of one type. */
  #plainBegins = 0;

  /** @param tags of one sentence, each of them a tag */
  entities(tags: readonly string[]): Entity[] {
    const found: Entity[] = [];
    let open: Entity | undefined;
    tags.forEach((tag, at) => {
      const [, prefix, type] = TAG.exec(tag) ?? [];
      if (prefix === undefined) {
        open = undefined;
        return;
      }
      this.#prefixes.add(prefix);
      const begins = 'BSU'.includes(prefix);
      const before = found.at(-1);
      const neighbour = before?.end === at && before.type === type;
      if (prefix === 'B' && !neighbour) this.#plainBegins++;
      if (begins || open?.type !== type) {
        if (!begins) this.unbegun++;
        open = { type, start: at, end: at };
        found.push(open);
      }
      open!.end = at + 1;
      if ('ESLU'.includes(prefix)) open = undefined;
    });
    return found;
  }

  /** The scheme of all the tags that were read. */
  get scheme(): Scheme {
    const has = (prefixes: string): boolean => [...prefixes].some((prefix) => this.#prefixes.has(prefix));
    if (has('LU')) return 'bilou';
    if (has('M')) return 'bmes';
    if (has('ES')) return 'bioes';
    return this.unbegun > 0 && this.#plainBegins === 0 ? 'iob1' : 'bio';
  }

  /** A note on entities without a beginning, where the scheme wants one: they begin all the same. */
  notes(): string[] {
    if (this.unbegun === 0 || this.scheme === 'iob1') return [];
    return [`entities that begin with an M, I, E or L tag: ${this.unbegun}`];
  }
}

const MARKS: Record<
  Exclude<Scheme, 'iob1'>,
  readonly [first: string, inner: string, last: string, single: string]
> = {
  bio: ['B', 'I', 'I', 'B'],
  bioes: ['B', 'I', 'E', 'S'],
  bmes: ['B', 'M', 'E', 'S'],
  bilou: ['B', 'I', 'L', 'U'],
};

/** The tags of entities that share no token. */
export function tagsOf(entities: readonly Entity[], length: number, scheme: Scheme = 'bio'): string[] {
  const tags = new Array<string>(length).fill('O');
  const sorted = [...entities].sort((a, b) => a.start - b.start);
  sorted.forEach(({ type, start, end }, i) => {
    const [first, inner, last, single] = MARKS[scheme === 'iob1' ? 'bio' : scheme];
    for (let at = start; at < end; at++) tags[at] = `${at === end - 1 ? last : inner}-${type}`;
    tags[start] = `${end - start === 1 ? single : first}-${type}`;
    const before = sorted[i - 1];
    if (scheme === 'iob1' && !(before?.end === start && before.type === type)) tags[start] = `I-${type}`;
  });
  return tags;
}
