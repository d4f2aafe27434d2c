import { readFileSync } from 'node:fs';
import test from 'tape';
import type { Json } from '../../../src/models/config.ts';
import type { LaiConfig } from '../../../src/models/lai-config.ts';
import { parseSpertJson } from '../../../src/tasks/dataset.ts';
import { lai } from '../../../src/tasks/lai/definition.ts';
import { Packer, type Instance, type Span } from '../../../src/tasks/lai/packing.ts';
import { widestOf } from '../../../src/tasks/lai/rows.ts';
import { keptAnnotation } from '../../../src/tasks/spans/enumerate.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';
import { idsOf, sentence, tinyConfig, tokenizer } from './tiny.ts';

const instancesOf = (config: LaiConfig, entities: readonly Span[] = sentence.entities) => {
  const packer = new Packer(config, tokenizer);
  return { packer, all: packer.instances(0, packer.encode(sentence.tokens, 'row 1'), entities) };
};
const spansOf = ({ spans }: Instance): string =>
  Array.from({ length: spans.length / 2 }, (_, c) => spans.slice(2 * c, 2 * c + 2).join('-')).join(' ');
/** An instance as a batch of its own, which has no padding. */
const pack = (packer: Packer, instance: Instance) => {
  const { pieces, ...rest } = packer.batch([instance]);
  return { ...rest, ids: pieces.ids, positions: pieces.positions! };
};
/** Rows of a table as text. */
const rowsOf = (table: Int32Array, width: number): string[] =>
  Array.from({ length: table.length / width }, (_, i) => table.slice(width * i, width * (i + 1)).join(' '));

test('entities: the sentence, the annotations, and the markers of a run of candidates', (t) => {
  const { packer, all } = instancesOf(tinyConfig({ maxCandidates: 4 }));
  t.deepEqual(all.map(spansOf), ['0-1 0-2 1-2 1-3', '2-3 2-4 3-4 3-5', '4-5 4-6 5-6'], 'by start, then end');
  t.deepEqual(
    all.map(({ row }) => row),
    [0, 4, 8],
  );
  const { ids, positions, kinds, groups, candidates, labels, subjects } = pack(packer, all[1]);
  t.deepEqual(
    [...ids],
    idsOf(
      '[CLS] Ida mar ##ried Bo Lin ##d in Ros ##kil ##de [SEP] per ##son place [SEP] ' +
        '[unused1] [unused1] [unused1] [unused1] [unused2] [unused2] [unused2] [unused2]',
    ),
  );
  t.deepEqual(
    [...positions],
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 4, 4, 5, 5, 4, 6, 6, 7],
    'a marker stands where the first or last piece of its span does',
  );
  t.equal(kinds.join(''), '000000000000111122222222', 'the first [SEP] is text, the second annotation');
  t.deepEqual([...groups], [...Array<number>(16).fill(-1), 0, 1, 2, 3, 0, 1, 2, 3]);
  t.deepEqual(rowsOf(candidates, 4), ['4 4 16 20', '4 6 17 21', '5 6 18 22', '5 7 19 23']);
  t.deepEqual(rowsOf(labels, 2), ['12 13', '14 14']);
  t.equal(subjects, undefined);
  t.end();
});

test('relations: an instance a subject in list order, solid markers around it', (t) => {
  const nested = [...sentence.entities, { start: 2, end: 6 }, { start: 3, end: 4 }];
  const { packer, all } = instancesOf(tinyConfig({ stage: 'relations' }), nested);
  t.deepEqual(
    all.map(({ subject, row }) => [subject, row]),
    nested.map((entity, s) => [entity, 4 * s]),
  );
  t.equal(spansOf(all[0]), '0-1 5-6 2-6 3-4', 'the others, of any width');
  const { ids, positions, kinds, candidates, labels, subjects } = pack(packer, all[0]);
  t.deepEqual(
    [...ids.slice(0, 22)],
    idsOf(
      '[CLS] Ida mar ##ried [unused3] Bo Lin ##d [unused4] in Ros ##kil ##de [SEP] lives [UNK] [SEP] ' +
        '[unused1] [unused1] [unused1] [unused1] [unused2]',
    ),
    'a label without annotation is its own phrase',
  );
  t.deepEqual(
    [...positions.slice(0, 17)],
    Array.from({ length: 17 }, (_, i) => i),
    'solid markers count',
  );
  t.deepEqual([...positions.slice(17)], [1, 10, 5, 6, 1, 12, 12, 7]);
  t.equal(kinds.join(''), '0000000000000011122222222');
  t.deepEqual(rowsOf(candidates, 4), ['1 1 17 21', '10 12 18 22', '5 12 19 23', '6 7 20 24']);
  t.deepEqual(rowsOf(labels, 2), ['14 14', '15 15']);
  t.deepEqual([...subjects!], [5, 7, 4, 8]);
  const around = pack(packer, all[3]);
  t.deepEqual([...around.subjects!], [5, 11, 4, 12], 'a subject of several words');
  t.equal(rowsOf(around.candidates, 4)[0], '5 7 17 21', 'a candidate within the subject');
  t.deepEqual(instancesOf(packer.config, nested.slice(0, 1)).all, [], 'one entity has nothing to relate to');
  const runs = instancesOf(tinyConfig({ stage: 'relations', maxCandidates: 3 }), nested).all;
  t.deepEqual(
    runs.slice(0, 4).map(({ row, spans }) => [row, spans.length / 2]),
    [
      [0, 3],
      [3, 1],
      [4, 3],
      [7, 1],
    ],
    'runs of one subject',
  );
  t.end();
});

test('without annotations there are neither phrases nor a second [SEP]', (t) => {
  const { packer, all } = instancesOf(tinyConfig({ annotate: false }));
  const { kinds, labels } = pack(packer, all[0]);
  t.equal(kinds.indexOf(2), 12);
  t.equal(labels.length, 0);
  t.equal(packer.taken, 0);
  t.end();
});

test('what does not fit is refused by name', (t) => {
  const packer = new Packer(tinyConfig(), tokenizer);
  t.equal(packer.taken, 4, 'positions for the annotations');
  const long = Array<string>(10).fill('married');
  t.throws(
    () => packer.encode(long, 'dev.json: row 3'),
    /^InputError: dev.json: row 3: 10 words make 22 word pieces, more than the encoder's 24 positions, of which annotations and markers take 4; split it$/,
  );
  const phrase = Array<string>(10).fill('married').join(' ');
  const full = new Packer(tinyConfig({ annotations: { PER: phrase } }), tokenizer);
  t.throws(
    () => full.encode(['Ida'], 'dev.json: row 3'),
    /1 word makes \d+ word pieces, .* take \d+; no text fits: shorten the annotations, or take an encoder of more/,
  );
  const marked =
    (markers: Record<string, string>, stage = 'relations') =>
    () =>
      new Packer(tinyConfig({ stage, markers }), tokenizer);
  t.throws(marked({ end: '<e>' }), /^InputError: markers.end: token "<e>" is not in the vocabulary$/);
  t.throws(marked({ subjectStart: '<s>' }), /^InputError: markers.subjectStart: token "<s>" is not/);
  t.doesNotThrow(marked({ subjectStart: '<s>' }, 'entities'), 'the entities stage has no solid markers');
  const encoder = { ...tinyConfig().encoder.json, vocab_size: 21 };
  t.throws(
    () => new Packer(tinyConfig({ encoder }), tokenizer),
    /^InputError: a piece of the annotation "place" is not in the vocabulary$/,
  );
  t.end();
});

test('a batch is padded, its rows are those of [B·L, d]', (t) => {
  const { packer, all } = instancesOf(tinyConfig({ maxCandidates: 8 }));
  const batch = packer.batch(all);
  t.deepEqual([batch.pieces.rows, batch.pieces.columns, batch.columns], [2, 32, 8]);
  t.deepEqual([...batch.pieces.lengths, ...batch.counts], [32, 22, 8, 3]);
  const alone = pack(packer, all[1]);
  t.deepEqual([...batch.pieces.ids.slice(32, 54)], [...alone.ids]);
  t.deepEqual([...batch.pieces.ids.slice(54)], Array<number>(10).fill(tokenizer.padId));
  t.deepEqual([...batch.pieces.positions!.slice(32, 54)], [...alone.positions]);
  t.deepEqual([...batch.groups.slice(54)], Array<number>(10).fill(-1));
  t.deepEqual(
    [...batch.candidates.slice(32)],
    [...alone.candidates.map((row) => row + 32), ...Array<number>(20).fill(32)],
  );
  t.deepEqual(rowsOf(batch.labels, 2), ['12 13', '14 14', '44 45', '46 46']);
  t.equal(batch.subjects, undefined);
  const related = instancesOf(tinyConfig({ stage: 'relations' }));
  const { subjects, pieces } = related.packer.batch(related.all);
  t.deepEqual(rowsOf(subjects!, 4).slice(0, 2), [
    '5 7 4 8',
    [2, 2, 1, 3].map((i) => i + pieces.columns).join(' '),
  ]);
  t.end();
});

interface Expected {
  ids: number[];
  positions: number[];
  kinds: number[];
  groups: number[];
  phrases: number[][];
  candidates: number[][];
  subject: number[] | null;
}

test('packs as the fixtures of PyTorch have it', (t) => {
  const fixtures = 'test/fixtures/lai';
  const parse = (name: string): unknown => JSON.parse(readFileSync(`${fixtures}/${name}`, 'utf8'));
  const sentences = parseSpertJson(readFileSync(`${fixtures}/batch.json`, 'utf8'), 'batch.json');
  for (const [name, expected] of Object.entries(parse('instances.json') as Record<string, Expected[]>)) {
    const config = lai.parseConfig(parse(`${name}/config.json`) as Json, name);
    const [vocab, doLowerCase] = [readFileSync(`${fixtures}/${name}/vocab.txt`, 'utf8').split('\n'), true];
    const packer = new Packer(config, createWordPieceTokenizer({ vocab: vocab.slice(0, -1), doLowerCase }));
    const all = sentences.flatMap((s, i) =>
      packer.instances(i, packer.encode(s.tokens, name), keptAnnotation(s, widestOf(config)).entities),
    );
    const packed = all.map((instance): Expected => {
      const { ids, positions, kinds, groups, labels, candidates, subjects } = pack(packer, instance);
      const numbers = (table: Int32Array, width: number) =>
        Array.from({ length: table.length / width }, (_, i) => [...table.slice(i * width, (i + 1) * width)]);
      return {
        ...{ ids: [...ids], positions: [...positions], kinds: [...kinds], groups: [...groups] },
        ...{ phrases: numbers(labels, 2), candidates: numbers(candidates, 4) },
        subject: subjects ? [...subjects] : null,
      };
    });
    t.deepEqual(packed, expected, name);
  }
  t.end();
});
