/** What `bench cerem` trains on: the splits of a folder, or the part of them that a bench has time for. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../kernels/errors.ts';
import { Fields } from '../src/models/config.ts';
import { readSplits } from '../src/tasks/corpus-file.ts';
import type { Document } from '../src/tasks/document.ts';
import { readJsonFile } from '../src/tasks/folder.ts';
import { cerem, SCHEMA } from '../src/tasks/prompts/cerem.ts';
import { inferSchema, parseSchema, type Schema } from '../src/tasks/prompts/schema.ts';
import type { PromptCorpus } from '../src/tasks/prompts/training.ts';

export const splitNames = ['train', 'dev', 'test'] as const;

export interface BenchCorpus {
  corpora: Record<(typeof splitNames)[number], PromptCorpus>;
  schema: Schema;
}

/** Which part of a folder's documents counts. */
export interface Selection {
  /** Only documents with relations of these types and of no others; only they and their entity types are asked. */
  relations?: readonly string[];
  /** Characters (code points) of the longest text. */
  longest: number;
  /** The first documents of the training split that pass, and half as many of each other split. */
  rows: number;
}

/** A file beside the splits: rows of each, and a prompt for each entity type. */
const SUBSET = 'small.json';

/** The rows of a split that `numbers` names, from 0. */
function pick({ documents, file }: PromptCorpus, numbers: unknown, what: string): PromptCorpus {
  if (!Array.isArray(numbers)) throw new InputError(`${what} must be a list of row numbers`);
  return {
    ...{ file, notes: [] },
    documents: numbers.map((number: unknown) => {
      const document = typeof number === 'number' ? documents[number] : undefined;
      if (!document) throw new InputError(`${what}: ${String(number)} is not a row of ${file}`);
      return document;
    }),
  };
}

/** The questions about these relations, and about the entities on both of their ends. */
function onlyRelations(schema: Schema, types: readonly string[]): Schema {
  const known = new Set(schema.entities.flatMap(({ relations }) => relations.map(({ type }) => type)));
  for (const type of types)
    if (!known.has(type))
      throw new InputError(
        `bench cerem: --relations names "${type}", which is not one of ${[...known].join(', ')}`,
      );
  const asked = schema.entities.map((question) => ({
    ...question,
    relations: question.relations.filter(({ type }) => types.includes(type)),
  }));
  const objects = new Set(asked.flatMap(({ relations }) => relations.map(({ object }) => object)));
  return {
    ...schema,
    entities: asked.filter(({ type, relations }) => relations.length > 0 || objects.has(type)),
  };
}

/**
 * The three splits of a folder and its schema, or that of the training split's types. A folder without a test split gives
 * every second document of its dev split as one.
 */
function readFolder(folder: string): BenchCorpus['corpora'] & { schema: Schema } {
  const { train, dev, test } = readSplits(cerem, folder, ['train', 'dev']);
  const half = (odd: number) => ({ ...dev, documents: dev.documents.filter((_, i) => i % 2 === odd) });
  const file = join(folder, SCHEMA);
  const schema = existsSync(file)
    ? parseSchema(readJsonFile(file, 'schema'), file)
    : inferSchema(train.documents);
  return { train, dev: test ? dev : half(0), test: test ?? half(1), schema };
}

/**
 * The splits of a folder and what to ask: by its `small.json`, or whole, as far as `selection` goes.
 * @throws InputError for what `readSplits` refuses, a relation that the schema lacks, and a selection of nothing
 */
export function readBenchCorpus(folder: string, { relations, longest, rows }: Selection): BenchCorpus {
  const { schema: whole, ...corpora } = readFolder(folder);
  let schema = relations ? onlyRelations(whole, relations) : whole;
  const subset = join(folder, SUBSET);
  if (existsSync(subset)) {
    const json = readJsonFile(subset, 'subset');
    for (const name of splitNames) corpora[name] = pick(corpora[name], json[name], `${subset}: "${name}"`);
    schema = parseSchema({ entities: new Fields(json, subset).object('prompts') }, subset);
  }
  const keep = (document: Document): boolean =>
    [...document.text].length <= longest &&
    (!relations ||
      (document.relations.length > 0 && document.relations.every(({ type }) => relations.includes(type))));
  for (const name of splitNames) {
    const { documents, file } = corpora[name];
    const kept = documents.filter(keep).slice(0, name === 'train' ? rows : Math.ceil(rows / 2));
    if (kept.length === 0) throw new InputError(`bench cerem: no document of ${file} is selected`);
    corpora[name] = { documents: kept, file, notes: [] };
  }
  return { corpora, schema };
}
