/** The shipped corpora, read once, for the tests of what is in them. */
import { readFileSync } from 'node:fs';
import type { Sentence } from '../../src/tasks/dataset.ts';
import { readCorpus } from '../../src/tasks/corpus-file.ts';
import { stsn } from '../../src/tasks/spans/stsn.ts';

/** The types of entity that a relation may join. */
interface RelationEnds {
  heads: string[];
  tail: string;
}

export interface ShippedCorpus {
  folder: string;
  splits: { name: string; rows: readonly Sentence[] }[];
  unseen: string[];
  entityTypes: string[];
  relations: Record<string, RelationEnds>;
}

function shipped(
  folder: string,
  entityTypes: string[],
  relations: Record<string, RelationEnds>,
): ShippedCorpus {
  const splits = ['train', 'dev', 'test'].map((name) => ({
    name,
    rows: readCorpus(stsn, `${folder}/${name}.json`).sentences,
  }));
  const unseen = readFileSync(`${folder}/unseen.txt`, 'utf8').trim().split('\n');
  return { folder, splits, unseen, entityTypes, relations };
}

export const expeditions = shipped('corpora/expeditions', ['Person', 'Organization', 'Place', 'Instrument'], {
  Works_For: { heads: ['Person'], tail: 'Organization' },
  Based_In: { heads: ['Organization'], tail: 'Place' },
  Located_In: { heads: ['Place'], tail: 'Place' },
  Uses: { heads: ['Person', 'Organization'], tail: 'Instrument' },
});

export const crops = shipped('corpora/crops', ['作物', '病虫害', '药剂', '症状'], {
  危害作物: { heads: ['病虫害'], tail: '作物' },
  典型症状: { heads: ['病虫害'], tail: '症状' },
  防治对象: { heads: ['药剂'], tail: '病虫害' },
  施用作物: { heads: ['药剂'], tail: '作物' },
});

/** The words of an entity. */
export const mention = (row: Sentence, index: number): string =>
  row.tokens.slice(row.entities[index].start, row.entities[index].end).join(' ');

/** Entity pairs of a row that share a token, the wider one first. */
export function overlaps(row: Sentence): [number, number][] {
  const pairs: [number, number][] = [];
  row.entities.forEach((a, i) => {
    row.entities.forEach((b, j) => {
      const isWider = a.end - a.start > b.end - b.start || (a.end - a.start === b.end - b.start && i < j);
      if (i !== j && isWider && a.start < b.end && b.start < a.end) pairs.push([i, j]);
    });
  });
  return pairs;
}
