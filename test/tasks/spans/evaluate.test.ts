import test from 'tape';
import type { Annotation, Sentence } from '../../../src/tasks/dataset.ts';
import { readCorpus } from '../../../src/tasks/corpus-file.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import type { Prf, Score } from '../../../src/tasks/metrics.ts';
import { evaluate } from '../../../src/tasks/spans/evaluate.ts';
import { f1Scores } from '../../../src/tasks/training/run.ts';
import { own, published } from '../data.ts';

/** Entities [type, start, end] and relations [type, head, tail]. */
function annotation(
  entities: [string, number, number][],
  relations: [string, number, number][] = [],
): Annotation {
  return {
    entities: entities.map(([type, start, end]) => ({ type, start, end })),
    relations: relations.map(([type, head, tail]) => ({ type, head, tail })),
  };
}

function sentence(length: number, ...rest: Parameters<typeof annotation>): Sentence {
  return { tokens: Array.from({ length }, () => 'w'), ...annotation(...rest) };
}

/** P, R and F1 rounded to 12 places, as expected fractions are too. */
const rounded = ({ p, r, f1 }: Prf): number[] => [p, r, f1].map((x) => +x.toFixed(12));
const prf = (p: number, r: number, f1: number): number[] => rounded({ p, r, f1 });

const gold = [
  sentence(
    6,
    [
      ['PER', 0, 2],
      ['ORG', 3, 5],
      ['LOC', 5, 6],
    ],
    [
      ['Work', 0, 1],
      ['In', 1, 2],
    ],
  ),
  sentence(
    20,
    [
      ['LOC', 0, 3],
      ['PER', 10, 12],
    ],
    [['Live', 1, 0]],
  ),
  sentence(
    50,
    [
      ['PER', 0, 1],
      ['LOC', 40, 49],
    ],
    [['Live', 0, 1]],
  ),
];
const predicted = [
  // The organisation typed as a place; one person and one relation listed twice; one relation too many.
  annotation(
    [
      ['PER', 0, 2],
      ['LOC', 3, 5],
      ['LOC', 5, 6],
      ['PER', 0, 2],
    ],
    [
      ['Work', 0, 1],
      ['In', 1, 2],
      ['Work', 0, 2],
      ['Work', 3, 1],
    ],
  ),
  // A place cut short, and a type that the gold does not have.
  annotation(
    [
      ['LOC', 0, 2],
      ['PER', 10, 12],
      ['MISC', 15, 16],
    ],
    [['Live', 1, 0]],
  ),
  gold[2],
];

test('NER worked by hand', (t) => {
  const { ner, nerBoundary, nerPartial } = evaluate(gold, predicted);
  // 7 gold, 8 distinct predictions, 5 right.
  t.deepEqual(rounded(ner.micro), prf(5 / 8, 5 / 7, 2 / 3));
  t.deepEqual([ner.micro.support, ner.micro.predicted], [7, 8]);
  t.deepEqual(rounded(ner.perType.PER), prf(1, 1, 1));
  t.deepEqual(rounded(ner.perType.ORG), prf(0, 0, 0));
  t.deepEqual(rounded(ner.perType.LOC), prf(1 / 2, 2 / 3, 4 / 7));
  t.deepEqual(ner.perType.MISC, { p: 0, r: 0, f1: 0, support: 0, predicted: 1 });
  // Over PER, ORG and LOC; MISC has no gold.
  t.deepEqual(rounded(ner.macro), prf(1 / 2, 5 / 9, 11 / 21));
  t.deepEqual(rounded(nerBoundary), prf(6 / 8, 6 / 7, 4 / 5), 'the mistyped organisation counts');
  t.deepEqual(rounded(nerPartial), prf(6 / 8, 6 / 7, 4 / 5), 'the short place counts');
  t.end();
});

test('RE and RE+ worked by hand', (t) => {
  const { re, rePlus } = evaluate(gold, predicted);
  // 4 gold, 5 distinct predictions; two of the three right ones have the mistyped organisation.
  t.deepEqual(rounded(re.micro), prf(3 / 5, 3 / 4, 2 / 3));
  t.deepEqual([re.micro.support, re.micro.predicted], [4, 5]);
  t.deepEqual(rounded(re.perType.Work), prf(1 / 2, 1, 2 / 3));
  t.deepEqual(rounded(re.macro), prf(2 / 3, 5 / 6, 13 / 18));
  t.deepEqual(rounded(rePlus.micro), prf(1 / 5, 1 / 4, 2 / 9));
  t.deepEqual(rounded(rePlus.macro), prf(1 / 6, 1 / 6, 1 / 6));
  t.end();
});

test('direction and relation type matter', (t) => {
  const entities: [string, number, number][] = [
    ['A', 0, 1],
    ['A', 1, 2],
  ];
  const f1 = (relation: [string, number, number]): number =>
    evaluate([sentence(2, entities, [['r', 0, 1]])], [annotation(entities, [relation])]).re.micro.f1;
  t.equal(f1(['r', 0, 1]), 1);
  t.equal(f1(['r', 1, 0]), 0);
  t.equal(f1(['s', 0, 1]), 0);
  t.end();
});

test('facts of different sentences are different', (t) => {
  const one = annotation([['A', 0, 1]]);
  const { ner } = evaluate([sentence(1, [['A', 0, 1]]), sentence(1, [])], [annotation([]), one]);
  t.deepEqual(rounded(ner.micro), [0, 0, 0]);
  t.end();
});

test('partial matches need the type and one common token', (t) => {
  const { nerPartial } = evaluate(
    [
      sentence(9, [
        ['A', 0, 4],
        ['A', 5, 6],
      ]),
    ],
    [
      annotation([
        ['A', 0, 1],
        ['A', 3, 5],
        ['B', 5, 6],
        ['A', 4, 5],
        ['A', 3, 5],
      ]),
    ],
  );
  t.deepEqual(rounded(nerPartial), prf(1 / 2, 1 / 2, 1 / 2), '2 of 4 predictions touch 1 of 2 gold entities');
  t.end();
});

test('two types on one span are two entities, and one pair of boundaries for RE', (t) => {
  const twice = sentence(
    3,
    [
      ['A', 0, 1],
      ['B', 0, 1],
      ['C', 2, 3],
    ],
    [
      ['r', 0, 2],
      ['r', 1, 2],
    ],
  );
  const kept = annotation(
    [
      ['A', 0, 1],
      ['C', 2, 3],
    ],
    [['r', 0, 1]],
  );
  const { ner, re, rePlus, nerBoundary } = evaluate([twice], [kept]);
  t.equal(ner.micro.r, 2 / 3);
  t.equal(nerBoundary.r, 1);
  t.deepEqual([re.micro.support, re.micro.f1], [1, 1]);
  t.deepEqual([rePlus.micro.support, rePlus.micro.r], [2, 1 / 2]);
  t.end();
});

test('buckets by entity length and text length', (t) => {
  const { nerByLength, nerByLengthRange, byTextLength } = evaluate(gold, predicted);
  const sizes = (rows: (Score & { bucket: string })[]): string[] =>
    rows.filter((s) => s.support || s.predicted).map((s) => `${s.bucket}: ${s.predicted} for ${s.support}`);
  t.deepEqual(sizes(nerByLength), ['1: 3 for 2', '2: 4 for 3', '3: 0 for 1', '≥8: 1 for 1']);
  t.deepEqual(sizes(nerByLengthRange), ['1–2: 7 for 5', '3–4: 0 for 1', '9–10: 1 for 1']);
  t.deepEqual(
    nerByLengthRange.map((row) => row.bucket),
    ['1–2', '3–4', '5–6', '7–8', '9–10', '≥11'],
  );
  t.equal(nerByLength.length, 8);
  t.deepEqual(rounded(nerByLength[1]), prf(1 / 2, 2 / 3, 4 / 7), 'length 2');
  t.deepEqual(
    byTextLength.map((row) => [row.bucket, row.sentences, row.ner.support, row.re.support, row.rePlus.f1]),
    [
      ['<20', 1, 3, 2, 0],
      ['20–34', 1, 2, 1, 0],
      ['35–49', 0, 0, 0, 0],
      ['≥50', 1, 2, 1, 1],
    ],
  );
  const edges = evaluate(
    [19, 34, 35, 49].map((length) => sentence(length, [])),
    [19, 34, 35, 49].map(() => annotation([])),
  );
  t.deepEqual(
    edges.byTextLength.map((row) => row.sentences),
    [1, 1, 2, 0],
  );
  t.end();
});

test('nothing at all scores 0, and a missing prediction is an error', (t) => {
  const empty = evaluate([sentence(1, [])], [annotation([])]);
  t.deepEqual(empty.ner.micro, { p: 0, r: 0, f1: 0, support: 0, predicted: 0 });
  t.deepEqual(empty.rePlus.macro, { p: 0, r: 0, f1: 0 });
  t.deepEqual(empty.ner.perType, {});
  t.throws(() => evaluate(gold, predicted.slice(1)), /2 predictions for 3 sentences/);
  t.end();
});

test('training shows no score of what the data have nothing of', (t) => {
  const entities = [sentence(2, [['PER', 0, 1]])];
  t.deepEqual(f1Scores(stsn, evaluate(entities, entities)), { ner: 1 });
  t.deepEqual(f1Scores(stsn, evaluate(entities, [annotation([])])), { ner: 0 }, 'nothing found scores 0');
  t.ok('rePlus' in f1Scores(stsn, evaluate(gold, predicted)));
  t.end();
});

for (const { name, path, skip } of [
  own('words.json'),
  own('faults.json'),
  ...['conll04/conll04_dev', 'scierc/scierc_dev', 'diakg_sample/diakg_sample'].map((name) =>
    published(`${name}.json`),
  ),
])
  test(`${name} against itself, and halved`, { skip }, (t) => {
    const sentences = readCorpus(stsn, path).sentences;
    const full = evaluate(sentences, sentences);
    t.deepEqual(
      [full.ner, full.re, full.rePlus].map(({ micro, macro }) => micro.f1 + macro.f1),
      [2, 2, 2],
    );
    const sum = (rows: Score[]): number => rows.reduce((total, { support }) => total + support, 0);
    t.equal(sum(full.nerByLength), full.ner.micro.support, 'every entity is in one length bucket');
    t.equal(sum(full.nerByLengthRange), full.ner.micro.support);
    t.equal(sum(full.byTextLength.map((row) => row.re)), full.re.micro.support);
    const firstOnly = sentences.map(({ entities }) => ({ entities: entities.slice(0, 1), relations: [] }));
    const { ner } = evaluate(sentences, firstOnly);
    t.equal(ner.micro.p, 1);
    t.equal(ner.micro.r, sentences.filter((s) => s.entities.length > 0).length / full.ner.micro.support);
    t.end();
  });

test('gold that is not made of whole words counts as missed', (t) => {
  const [found] = [sentence(3, [['PER', 0, 2]])];
  const beyond = { entities: ['PER', 'LOC'], relations: ['In'] };
  const { ner, re, rePlus, nerBoundary, nerPartial } = evaluate([{ ...found, beyond }], [found]);
  t.deepEqual([ner.micro.support, ner.micro.p, ner.micro.r], [3, 1, 1 / 3]);
  t.deepEqual([ner.perType.LOC.support, ner.perType.LOC.r], [1, 0]);
  t.deepEqual([re.micro.support, rePlus.micro.support, re.micro.r], [1, 1, 0]);
  t.deepEqual([nerBoundary.r, nerPartial.r], [1 / 3, 1 / 3]);
  t.end();
});
