/** The one form of a document between the formats: every reader gives it, every writer takes it. */
import type { Annotation, Entity } from '../dataset.ts';

/** Offsets count tokens where there are some, else UTF-16 code units of the text; `end` is exclusive. */
export interface Row extends Annotation {
  /** Names it in messages: `row 3`, `doc1.ann`. */
  place: string;
  /** Of a row with tokens: these in order, at most white space between them. Absent where it is not known. */
  text?: string;
  tokens?: string[];
  id?: string | number;
}

/** An entity as its file says it. */
export interface FoundEntity extends Entity {
  /** What the file says that it covers. */
  said?: string;
  /** Names it in messages; `entities[i]` when absent. */
  where?: string;
}

/** A row as its format gives it. Without tokens, its offsets are in the format's counting and not checked yet. */
export interface FoundRow extends Omit<Row, 'entities'> {
  entities: FoundEntity[];
}

/** Files by name, of a format that has several. */
export type Files = Readonly<Record<string, string>>;

/** How often something was met, by what a note says of it. */
export class Counts {
  readonly #counts = new Map<string, number>();

  add(what: string, count = 1): void {
    if (count > 0) this.#counts.set(what, (this.#counts.get(what) ?? 0) + count);
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  /** A line each, in the order in which they were first met. */
  notes(before = ''): string[] {
    return [...this.#counts].map(([what, count]) => `${before}${what}: ${count}`);
  }
}
