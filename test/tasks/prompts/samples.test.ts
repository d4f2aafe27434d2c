import test from 'tape';
import { InputError } from '../../../kernels/errors.ts';
import type { PromptedText } from '../../../src/tasks/prompts/batch.ts';
import { sampleNotes, sampleTexts } from '../../../src/tasks/prompts/samples.ts';
import { pieceNotes } from '../../../src/tasks/prompts/training.ts';
import { buildVocab } from '../../../src/tasks/text/vocab.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';
import { inferSchema, parseSchema } from '../../../src/tasks/prompts/schema.ts';
import { readCorpus } from '../../../src/tasks/corpus-file.ts';
import { cerem } from '../../../src/tasks/prompts/cerem.ts';
import type { Document } from '../../../src/tasks/document.ts';
import { own, published } from '../data.ts';

const schema = parseSchema(
  {
    entities: { 人: '人名', 歌: '歌曲', 剧: '电视剧', 地: '地点' },
    relations: {
      人: { 演唱: '歌', 出演: '剧', 出生: '生地', 亲属: {} },
      歌: { 作者: {} },
    },
  },
  'test',
);

/** 𠮷 is two UTF-16 code units. 阿木 occurs twice. */
const document: Document = {
  text: '𠮷阿木唱晴歌，阿木唱雨歌',
  entities: [
    { type: '人', start: 2, end: 4 },
    { type: '歌', start: 5, end: 7 },
    { type: '人', start: 8, end: 10 },
    { type: '歌', start: 11, end: 13 },
    { type: '怪', start: 0, end: 2 },
  ],
  relations: [
    { type: '演唱', head: 2, tail: 3 },
    { type: '演唱', head: 0, tail: 1 },
    { type: '演唱', head: 0, tail: 3 },
    { type: '倾听', head: 0, tail: 1 },
    { type: '演唱', head: 4, tail: 1 },
  ],
};
const empty: Document = { text: '', entities: [], relations: [] };

const all = { negatives: Infinity, seed: 1, epoch: 0 };
const said = ({ prompt, text, spans }: PromptedText): string =>
  `${prompt}: ${spans.map(([start, end]) => text.slice(start, end)).join('、')}`;

test('one sample a prompt, with all its answers; negatives are the other prompts of its group', (t) => {
  const { texts, counts } = sampleTexts([document], schema, all);
  t.deepEqual(texts.slice(0, 3), [
    {
      prompt: '人名',
      text: document.text,
      spans: [
        [2, 4],
        [8, 10],
      ],
    },
    {
      prompt: '歌曲',
      text: document.text,
      spans: [
        [5, 7],
        [11, 13],
      ],
    },
    {
      prompt: '阿木的歌',
      text: document.text,
      spans: [
        [5, 7],
        [11, 13],
      ],
    },
  ]);
  t.deepEqual(counts, { positives: 3, negatives: 7 });
  const absent = texts.slice(3);
  t.deepEqual(
    absent.map(said).sort(),
    [
      '地点: ',
      '电视剧: ',
      '晴歌的作者: ',
      '阿木的亲属: ',
      '阿木的剧: ',
      '阿木的生地: ',
      '雨歌的作者: ',
    ].sort(),
    'once, though 阿木 occurs twice',
  );
  t.deepEqual(sampleTexts([empty], schema, all).counts, { positives: 0, negatives: 4 });
  t.deepEqual(sampleTexts([], schema, all), { texts: [], counts: { positives: 0, negatives: 0 } });
  t.end();
});

test('a prompt that two types share is one sample, and never a negative beside its answer', (t) => {
  const shared = parseSchema(
    { entities: { 人: '人', 角: '角色' }, relations: { 人: { 妻: '妻子' }, 角: { 妻: '妻子', 友: '朋友' } } },
    'test',
  );
  const twice: Document = {
    text: '甲与乙丙',
    entities: [
      { type: '人', start: 0, end: 1 },
      { type: '角', start: 0, end: 1 },
      { type: '人', start: 2, end: 3 },
      { type: '人', start: 3, end: 4 },
      { type: '角', start: 2, end: 3 },
    ],
    relations: [
      { type: '妻', head: 0, tail: 3 },
      { type: '妻', head: 1, tail: 2 },
    ],
  };
  const { texts } = sampleTexts([twice], shared, all);
  t.equal(new Set(texts.map(({ prompt }) => prompt)).size, texts.length, 'no prompt twice');
  t.deepEqual(texts.filter(({ prompt }) => prompt === '甲的妻子').map(said), ['甲的妻子: 乙、丙']);
  t.end();
});

test('draws depend on seed, epoch and document alone; their number does not depend on the epoch', (t) => {
  const documents = Array.from({ length: 60 }, () => document);
  const prompts = (negatives: number, seed: number, epoch: number, list = documents) => {
    const { texts, counts } = sampleTexts(list, schema, { negatives, seed, epoch });
    t.equal(texts.length, counts.positives + counts.negatives);
    t.ok(
      texts.every(({ spans }, i) => spans.length > 0 || !texts.slice(0, i).includes(texts[i])),
      'distinct',
    );
    return texts.map(said);
  };
  const first = prompts(1, 5, 0);
  // Three positives, and one of each of four groups: entities, 阿木, 晴歌 and 雨歌.
  t.equal(first.length, 60 * 7);
  t.deepEqual(prompts(1, 5, 0), first, 'the same again');
  t.deepEqual(prompts(1, 5, 0, documents.slice(0, 20)), first.slice(0, 140), 'whatever comes after');
  t.notDeepEqual(prompts(1, 5, 1), first, 'another epoch');
  t.notDeepEqual(prompts(1, 6, 0), first, 'another seed');
  t.equal(prompts(0, 5, 0).length, 180, 'none');

  const sizes = [0, 1, 2, 3].map((epoch) => prompts(0.5, 5, epoch).length);
  t.ok(
    sizes.every((size) => size === sizes[0]),
    sizes.join(),
  );
  // 240 draws of a half: six standard deviations are 47.
  t.ok(Math.abs(sizes[0] - 180 - 120) < 47, `${sizes[0] - 180} of 240 groups have a negative`);
  const drawn = prompts(1, 5, 0).filter((line) => line === '阿木的剧: ').length;
  t.ok(drawn > 4 && drawn < 40, `${drawn} of 60: each absent prompt has its share of a third`);
  for (const negatives of [-1, NaN])
    t.throws(() => sampleTexts([document], schema, { ...all, negatives }), InputError);
  t.end();
});

test('notes count the answers that pointers cannot return, and what is not asked for', (t) => {
  t.deepEqual(sampleNotes([document, empty], schema), [
    'relations of a subject that stands nearer to their object in another place: 1 of 3; an answer goes to the nearest mention',
    'entities of types that the schema does not ask for: 1; neither learnt nor scored',
    'relations that the schema does not ask of their subject type: 2; neither learnt nor scored',
  ]);
  const spans = (...list: [number, number][]): Document => ({
    text: 'abcdefgh',
    entities: list.map(([start, end]) => ({ type: '地', start, end })),
    relations: [],
  });
  const lost = (...list: [number, number][]) => sampleNotes([spans(...list)], schema);
  const note = (count: number, of: number) => [
    'answers that share a start or an end with another answer of their prompt, or cross one: ' +
      `${count} of ${of}; ends paired with starts cannot give them`,
  ];
  t.deepEqual(lost([0, 1], [1, 3], [3, 4]), [], 'side by side');
  t.deepEqual(lost([0, 6], [2, 4]), [], 'strictly nested');
  t.deepEqual(lost([2, 4], [2, 4]), [], 'one answer, listed twice');
  t.deepEqual(lost([0, 4], [0, 2]), note(1, 2), 'one start: the shorter is returned');
  t.deepEqual(lost([0, 4], [2, 4]), note(1, 2), 'one end');
  t.deepEqual(lost([0, 4], [2, 6]), note(2, 2), 'crossing: neither is');
  t.end();
});

for (const [{ name, path, skip }, labels, answers] of [
  [own('tags.json'), 4, 7],
  [published('resume_ner/resume_train.json'), 8, 13440],
] as const)
  test(`${name} as samples`, { skip }, (t) => {
    const { documents } = readCorpus(cerem, path);
    const resume = inferSchema(documents);
    const { texts, counts } = sampleTexts(documents, resume, { negatives: 1, seed: 0, epoch: 0 });
    const types = documents.map(({ entities }) => new Set(entities.map(({ type }) => type)).size);
    t.equal(
      counts.positives,
      types.reduce((a, b) => a + b, 0),
    );
    t.equal(counts.negatives, types.filter((n) => n < labels).length);
    t.equal(
      texts.reduce((sum, { spans }) => sum + spans.length, 0),
      answers,
      'every entity is an answer',
    );
    t.deepEqual(sampleNotes(documents, resume), []);
    t.end();
  });

for (const { name, path, skip } of [
  own('triples.jsonl'),
  own('events.json'),
  own('faults.json'),
  published('duie_sample/duie_train.json'),
  published('cec_events/cec_docs_train.json'),
])
  test(`${name} gives as many samples in every epoch`, { skip }, (t) => {
    const corpus = readCorpus(cerem, path).documents;
    const sampled = sampleTexts(corpus, inferSchema(corpus), { negatives: 0.5, seed: 0, epoch: 0 });
    const again = sampleTexts(corpus, inferSchema(corpus), { negatives: 0.5, seed: 0, epoch: 3 });
    t.deepEqual(sampled.counts, again.counts, `${name}: ${JSON.stringify(sampled.counts)}`);
    t.comment(sampleNotes(corpus, inferSchema(corpus)).join('; '));
    t.end();
  });

test('entities that cut a word piece are counted', (t) => {
  const vocab = buildVocab(['Ilse', 'Ilse'], { doLowerCase: false });
  const tokenizer = createWordPieceTokenizer({ vocab, doLowerCase: false });
  const of = (...spans: [number, number][]) => ({
    documents: [
      {
        text: 'Ilse Ilse',
        entities: spans.map(([start, end]) => ({ type: 'P', start, end })),
        relations: [],
      },
    ],
    ...{ file: 'f', notes: [] },
  });
  t.deepEqual(pieceNotes(of([0, 4], [0, 9]), tokenizer), []);
  t.deepEqual(pieceNotes(of([0, 4], [0, 3], [6, 9]), tokenizer), [
    'entities that begin or end within a word piece: 2 of 3; they are learnt wider, and never found',
  ]);
  t.end();
});
