/** What checks of any corpus or vocabulary read: our own, and published ones, which are skipped where they are not. */
import { existsSync } from 'node:fs';

export interface TestFile {
  name: string;
  path: string;
  /** Why a check of it cannot run here. */
  skip: string | false;
}

/** A small corpus of test/fixtures/corpora. */
export const own = (name: string): TestFile => ({ name, path: `test/fixtures/corpora/${name}`, skip: false });

/** A published file, beside the checkout. */
export function published(name: string): TestFile {
  const path = `../shared/data/${name}`;
  return { name, path, skip: existsSync(path) ? false : `${path} is not here` };
}

/** Without those that stand on the span of one before them: of two types on one span the first counts. */
export const firstOnSpan = <T extends { start: number; end: number }>(entities: readonly T[]): T[] =>
  entities.filter((e, i) => entities.findIndex(({ start, end }) => start === e.start && end === e.end) === i);
